// Looks at an AudioContext's output again and again, so that it is known which moment of it is heard when. What
// the looks tell is worked out in output.js.

import { after } from '../timer.js';
import { lag, sight } from './output.js';

/** After a start, or something odd, it is looked at so often, for so long. */
const KEEN_EVERY_MS = 30;
const KEEN_MS = 1_500;

/** Right after the sound fell behind, something was heard anyway. */
const SHAKEN_MS = 2_000;

/** What a browser says of its output is believed up to so much, in seconds; and what stands in for it. */
const MOST_LATENCY_SEC = 0.5;
const USUAL_LATENCY_SEC = 0.04;

/** A browser whose timestamps make no sense so often in a row has none that do. */
const MISSES = 12;

/** @param {AudioContext} context */
export function createWatch(context) {
  /** @type {import('./output.js').Sighting[]} */
  let sightings = [];
  let keenUntilMs = 0;
  let shakenUntilMs = 0;
  let misses = 0;
  let cancel = () => {};

  function look() {
    if (context.state !== 'running' || context.currentTime === 0) return;
    const nowMs = performance.now();
    const lagMs = misses < MISSES ? stampedLag(context, nowMs) : toldLag(context, nowMs);
    if (lagMs === null) {
      misses += 1;
      // The one says something else than the other: they must not be mixed.
      if (misses === MISSES) sightings = [];
      return;
    }
    if (misses < MISSES) misses = 0;
    const seen = sight(sightings, { atMs: nowMs, lagMs, clockMs: nowMs - context.currentTime * 1000 });
    sightings = seen.sightings;
    if (seen.fell) shakenUntilMs = nowMs + SHAKEN_MS;
    if (seen.odd) keen();
  }

  function keen() {
    keenUntilMs = performance.now() + KEEN_MS;
    cancel();
    cancel = after(KEEN_EVERY_MS, watch);
  }

  function watch() {
    look();
    if (performance.now() >= keenUntilMs) return;
    cancel();
    cancel = after(KEEN_EVERY_MS, watch);
  }

  return {
    look,
    /** Looks often, for a while. */
    keen,
    /** What was seen is of another output, or of one that has slept. */
    forget: () => {
      sightings = [];
      misses = 0;
    },
    known: () => lag(sightings),
    shaken: () => performance.now() < shakenUntilMs,
    /** @param {number} atMs a moment of this page's clock, on the context's clock, in seconds */
    secAt: (atMs) => (atMs - (lag(sightings)?.lagMs ?? toldLag(context, performance.now()))) / 1000,
  };
}

/**
 * How much earlier, by this page's clock, a moment of the context's clock is heard than it says, in ms; as the
 * browser stamps it, or `null` where that makes no sense.
 * @param {AudioContext} context
 * @param {number} nowMs
 */
function stampedLag(context, nowMs) {
  const { contextTime = 0, performanceTime = 0 } = context.getOutputTimestamp?.() ?? {};
  const behindSec = context.currentTime - contextTime;
  const likely =
    contextTime > 0 &&
    behindSec >= 0 &&
    behindSec < MOST_LATENCY_SEC &&
    Math.abs(nowMs - performanceTime) < MOST_LATENCY_SEC * 1000;
  return likely ? performanceTime - contextTime * 1000 : null;
}

/**
 * The same by what the browser says of its latency, which is little and at times wrong.
 * @param {AudioContext} context
 * @param {number} nowMs
 */
function toldLag(context, nowMs) {
  const told = context.outputLatency || context.baseLatency || USUAL_LATENCY_SEC;
  return nowMs - (context.currentTime - Math.min(told, MOST_LATENCY_SEC)) * 1000;
}
