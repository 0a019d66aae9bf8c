// PURE: decides what the player must do next, by comparing the goal with the player's report. Positions are seconds
// within a track. Times are milliseconds of this page's `performance.now()`.

import { PREDICTED_KEY_SUFFIX, positionAt } from './goal.js';

/** @typedef {import('./goal.js').Goal} Goal */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * An instruction to the player. `hold`: be silent at a position. `start`: play from `positionSec` at the time `atMs`;
 * `isImmediate` means that `atMs` is only an estimate of the earliest possible time, so the player must not wait for
 * `atMs`. A `start` while the track plays is a cut: the position jumps audibly. `slew`: move the position forward by
 * `byMs` milliseconds (back if negative) without a jump, by a slight change of the playback rate.
 * @typedef {{kind: 'hold', trackId: TrackId, positionSec: number}
 *   | {kind: 'start', trackId: TrackId, positionSec: number, atMs: number, isImmediate: boolean}
 *   | {kind: 'slew', byMs: number}} Plan
 */

/**
 * The player's state at one moment.
 * @typedef {object} PlayerReport
 * @property {TrackId | null} trackId
 * @property {'empty' | 'held' | 'starting' | 'playing' | 'ended' | 'keepAlive'} phase `empty`: no track is
 *   loaded; `held`: silent at a position; `starting`: a start is planned; `ended`: silent at the track's end;
 *   `keepAlive`: plays silence so that the system does not suspend the page.
 * @property {boolean} isExact Whether the engine is accurate to the sample and can execute `slew`: the buffer engine.
 * @property {boolean} isSettled Whether enough time has passed since the start for `positionSec` to be reliable.
 * @property {boolean} isSlewing
 * @property {boolean} hasGlitched Whether an audible glitch happened within the last two seconds.
 * @property {number} spreadMs Median absolute deviation of the measured positions.
 * @property {number} positionSec
 * @property {number} atMs When `positionSec` was read.
 * @property {Plan | null} plan The last `hold` or `start`.
 * @property {number} latencyMs Expected time from a call of `play()` (or of `start()` of an audio node) until the track
 *   is heard, if the track is loaded and at its start position.
 * @property {number} leadMs As `latencyMs`, including a load or a seek before the call, and a reserve.
 * @property {number} trackChangeLatencyMs Expected time from an immediate track change until the new track is heard.
 */

/**
 * The state that one call of `decide` hands to the next.
 * @typedef {object} AlignState
 * @property {string} goalKey The key of the last goal `play`; empty after a hold or silence.
 * @property {number | null} errorSinceMs Since when the absolute sync error has exceeded the threshold for a cut.
 * @property {number} cooldownUntilMs No further cut before this time.
 * @property {number | null} holdIgnoredSinceMs Since when a hold that may be brief has been ignored.
 */

/** @type {AlignState} */
export const INITIAL_STATE = { goalKey: '', errorSinceMs: null, cooldownUntilMs: 0, holdIgnoredSinceMs: null };

/**
 * Element engine, while the anchor stays the same: a smaller error is not corrected, because the correction would be
 * more audible than the error. On both engines also the tolerance when the server confirms a predicted start.
 */
const ELEMENT_CUT_THRESHOLD_MS = 120;

/** Element engine: after a change of the anchor, a larger error is corrected at once. */
const ELEMENT_NEW_ANCHOR_THRESHOLD_MS = 40;

/** Buffer engine: a smaller error, or an error below the spread of the measurements, is not corrected. */
const DEAD_BAND_MS = 0.6;

/**
 * Buffer engine: a larger error is corrected by a cut instead of a slew. A predicted track that is at most this late
 * starts at position 0, as with `MAX_LATE_START_FROM_ZERO_MS` on the element engine.
 */
const MAX_SLEW_MS = 30;

/**
 * Buffer engine, just after an audible glitch: a larger error is corrected by a cut, which is quicker and, just after a
 * glitch, not noticed.
 */
const CUT_AFTER_GLITCH_THRESHOLD_MS = 6;

const ELEMENT_CUT_COOLDOWN_MS = 5_000;
const EXACT_CUT_COOLDOWN_MS = 1_500;

/** An error must persist for this long before it is corrected by a cut. */
const CUT_CONFIRMATION_MS = 200;

/**
 * A barrier whose track plays on this phone is ignored for this long: the barrier may be released sooner, and an
 * interruption would be heard.
 */
export const BRIEF_BARRIER_MS = 700;

/**
 * Element engine: a predicted track that is at most this late starts at position 0, a later one at its current
 * position.
 */
const MAX_LATE_START_FROM_ZERO_MS = 100;

/** Two starts whose timelines differ by no more than this count as the same start. */
const SAME_START_MS = 5;

/**
 * @param {Goal} goal
 * @param {PlayerReport} report
 * @param {AlignState} state
 * @param {number} nowMs
 * @returns {{plan: Plan | 'silence' | null, state: AlignState}} the player's new plan (`null`: no change;
 *   `'silence'`: stop, without a track), and the state for the next call
 */
export function decide(goal, report, state, nowMs) {
  switch (goal.kind) {
    case 'unchanged':
      return { plan: null, state };
    case 'silent':
      return { plan: report.phase === 'empty' ? null : 'silence', state: INITIAL_STATE };
    case 'hold':
      return decideHold(goal, report, state, nowMs);
    case 'play':
      return decidePlay(goal, report, state, nowMs);
  }
}

/**
 * @param {Extract<Goal, {kind: 'hold'}>} goal
 * @param {PlayerReport} report
 * @param {AlignState} state
 * @param {number} nowMs
 * @returns {{plan: Plan | null, state: AlignState}}
 */
function decideHold(goal, report, state, nowMs) {
  const { trackId, positionSec } = goal;
  const isSounding = report.phase === 'playing' || report.phase === 'starting';
  // The server confirms a predicted start in several events, of which only the last one starts playback. A hold just
  // after a predicted start may therefore be brief too.
  const mayBeBrief = goal.mayBeBrief || state.goalKey.endsWith(PREDICTED_KEY_SUFFIX);
  if (mayBeBrief && isSounding && report.trackId === trackId) {
    const holdIgnoredSinceMs = state.holdIgnoredSinceMs ?? nowMs;
    if (nowMs - holdIgnoredSinceMs < BRIEF_BARRIER_MS) return { plan: null, state: { ...state, holdIgnoredSinceMs } };
  }
  const { plan } = report;
  const isHeldAtGoal = plan?.kind === 'hold' && plan.trackId === trackId && plan.positionSec === positionSec;
  return { plan: isHeldAtGoal ? null : { kind: 'hold', trackId, positionSec }, state: INITIAL_STATE };
}

/**
 * @param {Extract<Goal, {kind: 'play'}>} goal
 * @param {PlayerReport} report
 * @param {AlignState} state
 * @param {number} nowMs
 * @returns {{plan: Plan | null, state: AlignState}}
 */
function decidePlay(goal, report, state, nowMs) {
  const nextState = { ...state, goalKey: goal.key, holdIgnoredSinceMs: null };
  const start = () => startPlan(goal, report, nowMs);
  const wasPredicted = state.goalKey.endsWith(PREDICTED_KEY_SUFFIX);
  if (report.trackId !== goal.trackId || report.phase === 'empty' || report.phase === 'held') {
    return { plan: start(), state: { ...nextState, errorSinceMs: null } };
  }
  if (report.phase === 'starting') {
    const { plan } = report;
    const errorMs = plan?.kind === 'start' ? Math.abs(syncErrorMs(goal, plan)) : Infinity;
    const isSameStart = errorMs <= (goal.isPredicted || wasPredicted ? ELEMENT_CUT_THRESHOLD_MS : SAME_START_MS);
    return { plan: isSameStart ? null : start(), state: { ...nextState, errorSinceMs: null } };
  }
  if (report.phase === 'ended') {
    // A track that has ended is started again only if the anchor has changed, for instance by a seek.
    const hasGoalChanged = state.goalKey !== goal.key;
    return { plan: hasGoalChanged ? start() : null, state: { ...nextState, errorSinceMs: null } };
  }

  // Until the reported position has settled, the planned position is more accurate.
  const position = report.isSettled || report.plan?.kind !== 'start' ? report : report.plan;
  const errorMs = Math.abs(syncErrorMs(goal, position));
  if (state.goalKey !== goal.key && !goal.isPredicted) {
    const engineLimitMs = report.isExact ? MAX_SLEW_MS : ELEMENT_NEW_ANCHOR_THRESHOLD_MS;
    const limitMs = wasPredicted ? ELEMENT_CUT_THRESHOLD_MS : engineLimitMs;
    return { plan: errorMs > limitMs ? start() : null, state: { ...nextState, errorSinceMs: null } };
  }
  if (!report.isSettled) return { plan: null, state: nextState };
  if (report.isExact) return decideCorrection(goal, report, nextState, start);
  if (errorMs <= ELEMENT_CUT_THRESHOLD_MS) return { plan: null, state: { ...nextState, errorSinceMs: null } };
  const errorSinceMs = state.errorSinceMs ?? nowMs;
  if (nowMs - errorSinceMs < CUT_CONFIRMATION_MS || nowMs < state.cooldownUntilMs) {
    return { plan: null, state: { ...nextState, errorSinceMs } };
  }
  const cooldownUntilMs = nowMs + ELEMENT_CUT_COOLDOWN_MS;
  return { plan: start(), state: { ...nextState, errorSinceMs: null, cooldownUntilMs } };
}

/**
 * The correction while the buffer engine plays: none within the dead band, a slew for a small error, and for a
 * large error a cut once the error has persisted.
 * @param {Extract<Goal, {kind: 'play'}>} goal
 * @param {PlayerReport} report
 * @param {AlignState} state
 * @param {() => Plan} start
 * @returns {{plan: Plan | null, state: AlignState}}
 */
function decideCorrection(goal, report, state, start) {
  const byMs = -syncErrorMs(goal, report);
  const errorMs = Math.abs(byMs);
  const stateWithoutError = { ...state, errorSinceMs: null };
  if (errorMs > (report.hasGlitched ? CUT_AFTER_GLITCH_THRESHOLD_MS : MAX_SLEW_MS)) {
    const errorSinceMs = state.errorSinceMs ?? report.atMs;
    if (report.atMs - errorSinceMs < CUT_CONFIRMATION_MS || report.atMs < state.cooldownUntilMs) {
      return { plan: null, state: { ...state, errorSinceMs } };
    }
    return { plan: start(), state: { ...stateWithoutError, cooldownUntilMs: report.atMs + EXACT_CUT_COOLDOWN_MS } };
  }
  if (report.isSlewing || errorMs < Math.max(DEAD_BAND_MS, report.spreadMs)) return { plan: null, state: stateWithoutError };
  return { plan: { kind: 'slew', byMs }, state: stateWithoutError };
}

/**
 * How far a position is ahead of the goal, in milliseconds; negative if it is behind.
 * @param {{positionSec: number, atMs: number}} goal
 * @param {{positionSec: number, atMs: number}} position
 */
export function syncErrorMs(goal, position) {
  return (position.positionSec - positionAt(goal, position.atMs)) * 1000;
}

/**
 * The start that brings the player to the goal's position: at the goal's `atMs` if there is enough time, else as soon
 * as possible. A predicted start that is only slightly late starts at position 0.
 * @param {Extract<Goal, {kind: 'play'}>} goal
 * @param {PlayerReport} report
 * @param {number} nowMs
 * @returns {Plan}
 */
function startPlan(goal, report, nowMs) {
  const { trackId, positionSec, atMs } = goal;
  const isInPosition =
    report.phase === 'held' && report.trackId === trackId && report.positionSec === positionSec;
  const leadMs = isInPosition ? report.latencyMs : report.leadMs;
  if (goal.isPredicted && atMs < nowMs + report.trackChangeLatencyMs) {
    const earliestMs = nowMs + report.trackChangeLatencyMs;
    const goalPositionSec = positionAt(goal, earliestMs);
    const maxLateMs = report.isExact ? MAX_SLEW_MS : MAX_LATE_START_FROM_ZERO_MS;
    const fromSec = goalPositionSec * 1000 <= maxLateMs ? 0 : goalPositionSec;
    return { kind: 'start', trackId, positionSec: fromSec, atMs: earliestMs, isImmediate: true };
  }
  if (atMs >= nowMs + leadMs) return { kind: 'start', trackId, positionSec, atMs, isImmediate: false };
  const earliestMs = nowMs + report.leadMs;
  const goalPositionSec = Math.max(0, positionAt(goal, earliestMs));
  return { kind: 'start', trackId, positionSec: goalPositionSec, atMs: earliestMs, isImmediate: false };
}
