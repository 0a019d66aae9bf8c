// Aligns the player with its goal: makes the player execute the plans that remove the sync error, and queues the next
// track. align.js makes the decisions.

import { BRIEF_BARRIER_MS, INITIAL_STATE, decide, syncErrorMs } from './align.js';
import { offsetAt } from './clock.js';
import { nextStart } from './goal.js';
import { firstTrackIdAfter, ownDelayMs, validSegue } from '../room/selectors.js';

/** @typedef {import('./goal.js').Goal} Goal */
/** @typedef {import('./align.js').Plan} Plan */
/** @typedef {import('./align.js').PlayerReport} PlayerReport */
/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {import('./player.js').Player} options.player
 * @param {import('./goal-source.js').GoalSource} options.goals
 * @param {import('./sync-stats.js').SyncStats} options.syncStats
 */
export function createAligner({ store, player, goals, syncStats }) {
  let alignState = INITIAL_STATE;
  /** The track that the player has queued, and the start time on the page clock. */
  /** @type {{trackId: TrackId, atMs: number} | null} */
  let queuedStart = null;

  /**
   * Whether the barrier's track is queued on this phone, and its start is less than `BRIEF_BARRIER_MS` away, before or
   * after now. In this case another phone has reached the end of the current track first, and the server will confirm
   * the start time that this phone has queued.
   * @param {Goal} goal
   * @param {PlayerReport} report
   * @param {number} nowMs
   */
  function isQueuedStartNear(goal, report, nowMs) {
    if (goal.kind !== 'hold' || queuedStart?.trackId !== goal.trackId) return false;
    return report.phase === 'playing' && Math.abs(queuedStart.atMs - nowMs) < BRIEF_BARRIER_MS;
  }

  /**
   * @param {Plan | 'silence'} plan
   * @param {boolean} [isCorrection] whether the goal has not changed since the last step
   */
  function execute(plan, isCorrection = false) {
    const { phase, trackId } = player.report();
    if (plan === 'silence' && phase === 'empty') return;
    if (plan !== 'silence' && plan.kind === 'slew') {
      syncStats.countCorrection('slews');
    } else if (isCorrection && plan !== 'silence' && phase === 'playing' && plan.trackId === trackId) {
      syncStats.countCorrection('cuts');
    }
    player.execute(plan);
  }

  /** @param {Goal} goal @param {PlayerReport} report */
  function recordSyncError(goal, report) {
    const isMeasured = goal.kind === 'play' && report.isSettled && report.trackId === goal.trackId;
    syncStats.record(report.atMs, isMeasured ? syncErrorMs(goal, report) : null, report.latencyMs);
  }

  /**
   * Queues the track that follows the current one, so that the change has no gap.
   * @param {Goal} goal
   * @param {PlayerReport} report
   * @param {AppState} appState
   */
  function scheduleNext(goal, report, { room, clock, connection, index }) {
    if (!room || goal.kind !== 'play' || report.phase !== 'playing' || report.trackId !== goal.trackId) {
      queuedStart = null;
      return player.scheduleNext(null);
    }
    const segue = validSegue(room);
    const next = nextStart({
      goal,
      durationSec: index.get(goal.trackId)?.duration ?? 0,
      segue: segue && goals.isPlayable(segue.trackId) ? segue : null,
      offsetMs: offsetAt(clock, performance.now()),
      delayMs: ownDelayMs(store.get()),
      offlineNextId: connection === 'open' ? null : firstTrackIdAfter(room, goal.trackId, goals.isPlayable),
    });
    queuedStart = next && next.trackId !== goal.trackId ? next : null;
    player.scheduleNext(queuedStart);
  }

  return {
    queuedStart: () => queuedStart,

    /** Forgets the sync errors and cooldowns of earlier alignment steps. */
    reset: () => {
      alignState = INITIAL_STATE;
    },

    /** One alignment step. @param {Goal} goal @param {number} nowMs @param {AppState} appState */
    align: (goal, nowMs, appState) => {
      const trackId = 'trackId' in goal ? goal.trackId : null;
      if (trackId !== null && !player.isReady(trackId)) {
        // The previous track must stop while this one is being loaded.
        if (player.report().trackId !== trackId) execute('silence');
        return;
      }
      if (goal.kind === 'play' && player.isLocked()) return;
      const report = player.report();
      if (isQueuedStartNear(goal, report, nowMs)) return;
      const decision = decide(goal, report, alignState, nowMs);
      const isCorrection = goal.kind === 'play' && alignState.goalKey === goal.key;
      alignState = decision.state;
      recordSyncError(goal, report);
      if (decision.plan) execute(decision.plan, isCorrection);
      scheduleNext(goal, report, appState);
    },
  };
}
