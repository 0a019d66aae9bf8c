// Loads the current and the next tracks into the player, so that neither a start nor a track change waits for the
// storage or the decoder.

import { readHeader } from './file-header.js';
import { currentTrackId, firstTrackIdAfter, nextUpId } from '../room/selectors.js';

/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {import('./player.js').Player} options.player
 * @param {import('./goal-source.js').GoalSource} options.goals
 * @param {(trackId: TrackId) => Promise<Blob | null>} options.read reads a track from this phone's storage
 * @param {() => void} options.onLoaded a track was passed to the player
 */
export function createTrackLoader({ store, player, goals, read, onLoaded }) {
  /** Tracks that are being read from the storage. */
  /** @type {Set<TrackId>} */
  const tracksBeingRead = new Set();

  /**
   * Whether to postpone loading other tracks: loading might disturb a start that is imminent or has just been made.
   * @param {TrackId | null} playingTrackId the track that plays or is to be played
   */
  function mustPostponeLoading(playingTrackId) {
    const { phase, isSettled } = player.report();
    if (playingTrackId !== null && goals.isPlayable(playingTrackId) && !player.isReady(playingTrackId)) return true;
    return phase === 'starting' || (phase === 'playing' && !isSettled);
  }

  /** @param {TrackId} trackId */
  async function load(trackId) {
    if (tracksBeingRead.has(trackId)) return;
    tracksBeingRead.add(trackId);
    const { version } = store.get().index.get(trackId) ?? {};
    const blob = await read(trackId);
    const header = blob && (await readHeader(blob).catch(() => ({ music: blob, channels: 2 })));
    tracksBeingRead.delete(trackId);
    const track = store.get().index.get(trackId);
    // If the file has changed meanwhile, the index no longer describes these bytes.
    if (!header || track?.version !== version) return;
    const { music, channels } = header;
    player.prepare(trackId, music, { ...track, channels });
    onLoaded();
  }

  return {
    /** Also drops all other tracks, and updates `readyTrackIds` in the store. @param {import('../types.js').Room} room */
    update: (room) => {
      const { cachedTrackIds, index, settings, connection, isOtherTabSounding } = store.get();
      const roomTrackId = currentTrackId(room);
      const predictedStart = goals.predictedStart();
      const playingTrackId = predictedStart?.trackId ?? roomTrackId;
      // While the server is unreachable, the next track is the next one that is stored here.
      const mayPredictNext = playingTrackId !== null && connection !== 'open';
      const offlineNextId = mayPredictNext ? firstTrackIdAfter(room, playingTrackId, goals.isPlayable) : null;
      const neededIds = [roomTrackId, predictedStart?.trackId, nextUpId(room), offlineNextId];
      // Two tabs with the same decoded tracks might need more memory than the phone has.
      const ids = isOtherTabSounding ? [] : [...new Set(neededIds)].filter((id) => typeof id === 'string');
      // A track that is no longer stored was evicted, or its file has changed.
      player.retainOnly(new Set(ids.filter((id) => cachedTrackIds.has(id))));
      // Without its length from the index, a track would be assigned to the less accurate engine.
      if (settings.isRemoteControl || index.size === 0) return;
      for (const id of ids) {
        if (!goals.isPlayable(id) || player.isPrepared(id)) continue;
        if (id === playingTrackId || !mustPostponeLoading(playingTrackId)) load(id);
      }
      const readyTrackIds = ids.filter((id) => player.isReady(id));
      if (readyTrackIds.length !== store.get().readyTrackIds.size || readyTrackIds.some((id) => !store.get().readyTrackIds.has(id))) {
        store.update({ readyTrackIds: new Set(readyTrackIds) });
      }
    },
  };
}
