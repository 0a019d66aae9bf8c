// Publishes the sound state in the store, for the views: whether sound is locked, whether the system has interrupted it, whether
// an audio output is missing, whether a track plays or has no more sound, the sync error, and the predicted start.

/** @typedef {import('../types.js').AppState['sound']} SoundState */

/**
 * Updates the sound state in the store, if the sound state has changed.
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {import('./player.js').Player} options.player
 * @param {import('./goal-source.js').GoalSource} options.goals
 * @param {import('./sync-stats.js').SyncStats} options.syncStats
 * @param {boolean} options.isCutOff whether this phone can play no more of a track that goes on by the index
 */
export function publishSoundState({ store, player, goals, syncStats, isCutOff }) {
  const { sound } = store.get();
  const { phase } = player.report();
  const syncErrorMs = syncStats.syncErrorMs();
  /** @type {SoundState} */
  const newSound = {
    isLocked: player.isLocked(),
    isInterrupted: player.isInterrupted(),
    isOutputMissing: player.isOutputMissing(),
    isSounding: phase === 'playing',
    hasNoMoreSound: isCutOff && phase !== 'playing' && phase !== 'starting',
    syncErrorMs: syncErrorMs === null ? null : Math.round(syncErrorMs),
    predictedStart: goals.predictedStart(),
  };
  const keys = /** @type {(keyof SoundState)[]} */ (Object.keys(newSound));
  if (keys.some((key) => newSound[key] !== sound[key])) store.update({ sound: newSound });
}
