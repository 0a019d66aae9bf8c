// Keeps the library index in the store up to date with `GET /index`. If that request fails while the store has no index,
// the store gets the copy that the index cache holds. Lengths of decoded tracks replace those of the index that
// contradict them.

import { getIndex } from './api.js';
import { coalesce } from '../coalesce.js';
import { after } from '../timer.js';
import { withDecodedDuration, withDecodedDurations } from '../tracks/durations.js';
import { indexTracks, reuseUnchanged } from '../tracks/index-cache.js';

/** @typedef {import('../types.js').TrackId} TrackId */

const RETRY_INTERVAL_MS = 2_000;

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {Promise<import('../tracks/index-cache.js').IndexCache>} options.indexCache
 */
export function createIndexSync({ store, indexCache }) {
  let cancelRetry = () => {};
  /** `ETag` of the index in the store; `null` if that index is not from the server. */
  /** @type {string | null} */
  let etag = null;

  /** Also those that agree with the index, because a later index may state other lengths. */
  /** @type {Map<TrackId, import('../tracks/durations.js').DecodedLength>} */
  const decodedLengths = new Map();

  const refresh = coalesce(async () => {
    cancelRetry();
    try {
      const [response, { withKnownDurations, save }] = await Promise.all([getIndex(etag), indexCache]);
      if (!response) return;
      etag = response.etag;
      const receivedIndex = withKnownDurations(indexTracks(response.tracks));
      save(receivedIndex);
      const previousIndex = store.get().index;
      const index = reuseUnchanged(previousIndex, withDecodedDurations(receivedIndex, decodedLengths));
      if (index !== previousIndex) store.update({ index });
    } catch {
      const { storedIndex } = await indexCache;
      if (store.get().index.size === 0) {
        etag = null;
        store.update({ index: storedIndex() });
      }
      // Without an up-to-date index, new tracks can be neither downloaded nor shown.
      if (store.get().view === 'room') cancelRetry = after(RETRY_INTERVAL_MS, refresh);
    }
  });

  return {
    refresh,
    /**
     * Records a duration that was measured during playback, if the index has none.
     * @param {TrackId} trackId
     * @param {number} durationSec
     */
    recordDuration: async (trackId, durationSec) => {
      const { save } = await indexCache;
      const { index } = store.get();
      const track = index.get(trackId);
      if (!track || track.duration !== undefined) return;
      const completedIndex = new Map(index).set(trackId, { ...track, duration: durationSec });
      save(completedIndex);
      store.update({ index: completedIndex });
    },
    /**
     * Records the length of a decoded track, which applies from now on if it contradicts the server's index.
     * @param {TrackId} trackId
     * @param {string} version the version that was decoded
     * @param {number} durationSec
     */
    recordDecodedDuration: (trackId, version, durationSec) => {
      decodedLengths.set(trackId, { version, durationSec });
      const { index } = store.get();
      const track = index.get(trackId);
      if (track?.version !== version) return;
      const correctedTrack = withDecodedDuration(track, durationSec);
      if (correctedTrack !== track) store.update({ index: new Map(index).set(trackId, correctedTrack) });
    },
  };
}
