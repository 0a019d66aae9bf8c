// The buffer engine's report of its state and position.

import { SCHEDULING_RESERVE_SEC } from './voice.js';

/** @typedef {import('./align.js').Plan} Plan */
/** @typedef {import('./align.js').PlayerReport} PlayerReport */
/** @typedef {import('./voice.js').Voice} Voice */

/**
 * The track of a silent engine, and a position in the track: that of a plan `hold`, or that of an interruption.
 * `hasEnded`: the track has played to its end, or would have been over by the time of the planned start.
 * @typedef {{trackId: import('../types.js').TrackId, positionSec: number, hasEnded: boolean}} SilentPosition
 */

/** Assumed time from rendering to audible output, until the output clock has been measured. */
const DEFAULT_OUTPUT_DELAY_MS = 40;

/**
 * @param {AudioContext} context
 * @param {import('./output-clock-meter.js').OutputClockMeter} clockMeter
 * @param {{voice: Voice | null, silentPosition: SilentPosition | null, plan: Plan | null}} state
 * @returns {PlayerReport}
 */
export function bufferReport(context, clockMeter, { voice, silentPosition, plan }) {
  const atMs = performance.now();
  const outputClock = clockMeter.estimate();
  const heardSec = clockMeter.contextSecAt(atMs);
  const phase = phaseAt(heardSec, voice, silentPosition, plan);
  const outputDelayMs = outputClock ? (context.currentTime - heardSec) * 1000 : DEFAULT_OUTPUT_DELAY_MS;
  const leadMs = Math.max(0, outputDelayMs) + SCHEDULING_RESERVE_SEC * 1000;
  return {
    trackId: (voice ?? silentPosition)?.trackId ?? (plan?.kind === 'start' ? plan.trackId : null),
    phase,
    isExact: true,
    isSettled: phase === 'playing' && outputClock !== null && outputClock.isSettled,
    isSlewing: Boolean(voice?.isSlewing(heardSec)),
    hasGlitched: clockMeter.hasGlitched(),
    spreadMs: outputClock?.spreadMs ?? 0,
    positionSec: voice ? voice.positionAt(heardSec) : (silentPosition?.positionSec ?? 0),
    atMs,
    plan,
    // Decoded tracks need neither a load nor a seek, so all three times are equal.
    latencyMs: leadMs,
    leadMs,
    trackChangeLatencyMs: leadMs,
  };
}

/**
 * @param {number} heardSec the context time that is heard now
 * @param {Voice | null} voice
 * @param {SilentPosition | null} silentPosition
 * @param {Plan | null} plan
 * @returns {PlayerReport['phase']}
 */
function phaseAt(heardSec, voice, silentPosition, plan) {
  if (voice) return heardSec < voice.atSec ? 'starting' : 'playing';
  if (silentPosition?.hasEnded) return 'ended';
  if (plan?.kind === 'start') return 'starting';
  return silentPosition ? 'held' : 'empty';
}
