// The inputs of the track cache that come from the app state and the player: retention ranks, the protected track and the
// storage limit.

import { RANK, rankFunction, urgentTrackIds } from '../tracks/cache-policy.js';
import { indexedDurationSec } from '../tracks/durations.js';

/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {() => TrackId | null} options.playingTrackId
 * @param {(trackId: TrackId) => import('../sound/player-tracks.js').PreparedTrack | undefined} options.preparedTrack the
 *   version and indexed length with which the player prepared the track; `undefined` for tracks of the element engine
 */
export function createCachePriorities({ store, playingTrackId, preparedTrack }) {
  return {
    /**
     * Returns a function from a track to its retention rank. Without a room, all tracks count as urgent.
     * @param {number} budgetBytes
     * @returns {(trackId: TrackId) => number}
     */
    rankFunction: (budgetBytes) => {
      const { room, index, cachedTrackIds, unplayableReasons } = store.get();
      return room ? rankFunction({ room, index, cachedTrackIds, unplayableReasons, budgetBytes }) : () => RANK.urgent;
    },

    /** @param {TrackId} trackId */
    isUrgent: (trackId) => {
      const { room } = store.get();
      return room !== null && urgentTrackIds(room).includes(trackId);
    },

    /**
     * The playing track, which must be removed neither as outdated nor when the storage is cleared. A file with new tags
     * is another version with the same music, and a removal would interrupt the playback. If the duration in the server's
     * index has changed too, the music has changed, and the phone must play the new version: then the result is `null`,
     * as it is while nothing plays.
     * @returns {TrackId | null}
     */
    protectedTrackId: () => {
      const trackId = playingTrackId();
      if (trackId === null) return null;
      const prepared = preparedTrack(trackId);
      const track = store.get().index.get(trackId);
      if (!prepared) return trackId;
      const isSameMusic = track && (prepared.version === track.version || prepared.indexedSec === indexedDurationSec(track));
      return isSameMusic ? trackId : null;
    },

    /** The storage limit of the settings; applies where the browser reports no quota. */
    settingsLimitBytes: () => store.get().settings.storageMb * 1e6,
  };
}
