// Playback on this phone. At a fixed interval and after each change, it loads tracks, handles a track's end, and aligns
// the player with the room (track-loader.js, track-end.js, aligner.js).

import { syncErrorMs } from './align.js';
import { createAligner } from './aligner.js';
import { offsetAt } from './clock.js';
import { isOver, positionAt, realignToSound } from './goal.js';
import { createGoalSource } from './goal-source.js';
import { needsKeepAlive } from './keep-alive.js';
import { publishSoundState } from './sound-state.js';
import { createTrackEnd } from './track-end.js';
import { createTrackLoader } from './track-loader.js';
import { coalesce } from '../coalesce.js';
import { isSilencedHere } from '../room/own-silence.js';
import { ownDelayMs } from '../room/selectors.js';
import { after, every } from '../timer.js';

/** @typedef {import('./goal.js').Goal} Goal */
/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').TrackId} TrackId */

const UPDATE_INTERVAL_MS = 250;

/** After a start, updates follow each other at this interval until the sync error is known, for this long at most. */
const FIRST_UPDATES = { intervalMs: 110, durationMs: 3_000 };

/** One tap causes several events; those within this time are one gesture. */
const GESTURE_DEBOUNCE_MS = 500;

/** If the wall clock advances by more than this between two updates, the machine has slept. */
const SLEEP_THRESHOLD_MS = 10_000;

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {import('./player.js').Player} options.player
 * @param {import('./sync-stats.js').SyncStats} options.syncStats
 * @param {(trackId: TrackId) => Promise<Blob | null>} options.read reads a track from this phone's storage
 * @param {() => void} options.onWake called when the machine has slept: the connection and the clock estimate may be
 *   invalid
 */
export function createPlayback({ store, player, syncStats, read, onWake }) {
  let lastGestureAtMs = -Infinity;
  /** @type {number | null} */
  let silentSinceMs = null;
  let lastUpdateAtMs = Date.now();
  /** @type {number | null} */
  let playingSinceMs = null;
  let cancelNextUpdate = () => {};

  // An update may request another update, which `coalesce` runs after the first one.
  const update = coalesce(() => {
    const hasSlept = Date.now() - lastUpdateAtMs > SLEEP_THRESHOLD_MS;
    lastUpdateAtMs = Date.now();
    if (hasSlept) {
      // With the samples from before the sleep, the computed position would be too far ahead.
      player.resetOutputClock();
      handleWake();
    }
    const appState = store.get();
    const { room } = appState;
    goals.expirePredictedStart(room);
    trackEnd.predictNextWhileSilenced(performance.now());
    const goal = goals.goal();
    const nowMs = performance.now();
    if (room) trackLoader.update(room);
    updateSilence(nowMs);
    const mustKeepAlive = isKeepAliveNeeded(goal, nowMs, appState);
    if (mustKeepAlive) player.keepAlive();
    const isTrackOver = trackEnd.isTrackOver(goal, nowMs, appState);
    trackEnd.requestNextIfOver(goal, nowMs, appState, isTrackOver);
    if (!isTrackOver && mustKeepAlive) aligner.reset();
    if (!isTrackOver && !mustKeepAlive) aligner.align(goal, nowMs, appState);
    // Other phones wait for those that report a sync error, because these sound.
    const { phase, latencyMs } = player.report();
    if (phase !== 'playing') syncStats.record(nowMs, null, latencyMs);
    playingSinceMs = phase === 'playing' ? (playingSinceMs ?? nowMs) : null;
    cancelNextUpdate();
    const isMeasuring = playingSinceMs !== null && syncStats.syncErrorMs() === null && nowMs - playingSinceMs < FIRST_UPDATES.durationMs;
    if (isMeasuring) cancelNextUpdate = after(FIRST_UPDATES.intervalMs, update);
    publishSoundState({ store, player, goals, syncStats, isCutOff: trackEnd.isCutOff() });
  });

  const goals = createGoalSource(store);
  const trackLoader = createTrackLoader({ store, player, goals, read, onLoaded: update });
  const aligner = createAligner({ store, player, goals, syncStats });
  const trackEnd = createTrackEnd({ store, player, goals, queuedStart: aligner.queuedStart, onPredictedStartChange: update });

  /** Records since when the player has been silent. @param {number} nowMs */
  function updateSilence(nowMs) {
    const { phase } = player.report();
    if (phase === 'playing' || phase === 'starting') {
      silentSinceMs = null;
      trackEnd.clearEnded();
    } else {
      silentSinceMs ??= nowMs;
    }
  }

  /**
   * Whether to play silence, because no track can be played now and the system might suspend the page.
   * @param {Goal} goal
   * @param {number} nowMs
   * @param {AppState} appState
   */
  function isKeepAliveNeeded(goal, nowMs, appState) {
    const { room, index, settings } = appState;
    if (silentSinceMs === null || isSilencedHere(appState)) return false;
    const canStart =
      goal.kind === 'play' &&
      player.isReady(goal.trackId) &&
      !isOver(goal, index.get(goal.trackId)?.duration ?? 0, nowMs);
    return !canStart && needsKeepAlive({
      room,
      isHidden: document.visibilityState === 'hidden',
      canPlaySound: !settings.isRemoteControl && player.isSoundAllowed(),
      silentMs: nowMs - silentSinceMs,
    });
  }

  /** After a sleep, a playing track continues without a jump until the server responds. */
  function handleWake() {
    const { room, clock } = store.get();
    const report = player.report();
    const goal = goals.goal();
    if (room && goal.kind === 'play' && report.phase === 'playing' && report.trackId === goal.trackId) {
      const realigned = realignToSound({ room, clock, predictedStart: goals.predictedStart() }, syncErrorMs(goal, report));
      goals.setPredictedStart(realigned.predictedStart);
      store.update({ room: realigned.room, clock: realigned.clock });
    } else {
      store.update({ clock: null });
    }
    onWake();
  }

  every(UPDATE_INTERVAL_MS, update);

  return {
    update,
    handleEnded: trackEnd.handleEnded,

    /**
     * The track that this phone plays and the room's position in it, without this phone's speaker delay. A restarted
     * server recovers its position from this.
     * @returns {{trackId: TrackId, positionSec: number, serverMs: number | null} | null} `serverMs`: when the
     *   room is at `positionSec`, on the server's clock; `null` if that clock is unknown
     */
    nowPlaying: () => {
      const { trackId, phase } = player.report();
      const goal = goals.goal();
      if (phase !== 'playing' || goal.kind !== 'play' || goal.trackId !== trackId) return null;
      const nowMs = performance.now();
      const positionSec = positionAt(goal, nowMs) - ownDelayMs(store.get()) / 1000;
      const offsetMs = offsetAt(store.get().clock, nowMs);
      return { trackId, positionSec, serverMs: offsetMs === null ? null : nowMs + offsetMs };
    },

    /** Must be called within a gesture: from then on the browser allows sound. */
    unlock: () => {
      const nowMs = performance.now();
      if (nowMs - lastGestureAtMs < GESTURE_DEBOUNCE_MS) return;
      lastGestureAtMs = nowMs;
      const goal = goals.goal();
      player.unlock(goal.kind === 'play' ? goal : undefined);
      update();
    },
  };
}
