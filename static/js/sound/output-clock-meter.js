// Measures the offset between this page's clock and the context time that is heard, so that times of the two clocks
// can be converted into each other. output-clock.js evaluates the measurements.

import { after } from '../timer.js';
import { addSample, estimateOutput, outputLatencyMs } from './output-clock.js';
import { NO_VOTES, addVote, earlierVotes, isLatencyLeftOut } from './output-latency.js';

/** After a resume, a start or an outlier, the output clock is sampled at this interval for this long. */
const FAST_SAMPLING_INTERVAL_MS = 30;
const FAST_SAMPLING_MS = 1_500;

/** A gap in the sound counts as a recent glitch for this long. */
const RECENT_GLITCH_MS = 2_000;

/** A larger latency is implausible. */
const MAX_LATENCY_SEC = 0.5;

/** Before this context time, Firefox must not be asked for its latency, see `isLatencyReadable`. */
const FIREFOX_SETTLE_SEC = 0.5;

/** The latency assumed where the browser reports none. */
const DEFAULT_LATENCY_SEC = 0.04;

/**
 * After this many consecutive implausible timestamps the browser's timestamps are not used any more. Implausible
 * timestamps within `FAST_SAMPLING_INTERVAL_MS` count as one: until the first sound of a context is heard there is no
 * timestamp, and in this time the page may take many samples.
 */
const MAX_IMPLAUSIBLE_TIMESTAMPS = 12;

/** @typedef {ReturnType<typeof createOutputClockMeter>} OutputClockMeter */

/** @param {AudioContext} context */
export function createOutputClockMeter(context) {
  /** @type {import('./output-clock.js').OutputSample[]} */
  let samples = [];
  let votes = NO_VOTES;
  let fastSamplingUntilMs = 0;
  let glitchedUntilMs = 0;
  /** Number of consecutive implausible timestamps. */
  let implausibleTimestampCount = 0;
  /** When the last implausible timestamp was counted, on this page's clock. */
  let lastImplausibleAtMs = -Infinity;
  let cancelNextSample = () => {};

  /** Measures the output clock once, if the context runs. */
  function sample() {
    if (context.state !== 'running' || context.currentTime === 0 || !isLatencyReadable(context)) return;
    const nowMs = performance.now();
    const usesTimestamps = implausibleTimestampCount < MAX_IMPLAUSIBLE_TIMESTAMPS;
    const outputOffsetMs = usesTimestamps ? timestampOffsetMs(context, nowMs) : reportedOffsetMs(context, nowMs);
    if (outputOffsetMs === null) {
      if (nowMs - lastImplausibleAtMs < FAST_SAMPLING_INTERVAL_MS) return;
      lastImplausibleAtMs = nowMs;
      implausibleTimestampCount += 1;
      // Timestamps and reported latencies disagree systematically, so samples of both must not be mixed.
      if (implausibleTimestampCount === MAX_IMPLAUSIBLE_TIMESTAMPS) samples = [];
      return;
    }
    const renderOffsetMs = nowMs - context.currentTime * 1000;
    let addedLatencyMs = 0;
    if (usesTimestamps) {
      implausibleTimestampCount = 0;
      addedLatencyMs = compareLatencies(outputOffsetMs - renderOffsetMs);
    }
    const result = addSample(samples, { atMs: nowMs, outputOffsetMs: outputOffsetMs + addedLatencyMs, renderOffsetMs });
    samples = result.samples;
    if (result.hasGap) glitchedUntilMs = nowMs + RECENT_GLITCH_MS;
    if (result.isOutlier) sampleFast();
  }

  /**
   * Compares the latency by a timestamp with the one that the browser reports, and returns the latency in ms that must be
   * added to the timestamp.
   * @param {number} timestampLatencyMs
   */
  function compareLatencies(timestampLatencyMs) {
    const reportedMs = Math.min(context.outputLatency || 0, MAX_LATENCY_SEC) * 1000;
    const wasLeftOut = isLatencyLeftOut(votes);
    votes = addVote(votes, timestampLatencyMs, reportedMs);
    // Samples with and without the reported latency must not be mixed.
    if (isLatencyLeftOut(votes) !== wasLeftOut) samples = [];
    return isLatencyLeftOut(votes) ? reportedMs : 0;
  }

  function sampleFast() {
    fastSamplingUntilMs = performance.now() + FAST_SAMPLING_MS;
    cancelNextSample();
    cancelNextSample = after(FAST_SAMPLING_INTERVAL_MS, sampleRepeatedly);
  }

  function sampleRepeatedly() {
    sample();
    if (performance.now() >= fastSamplingUntilMs) return;
    cancelNextSample();
    cancelNextSample = after(FAST_SAMPLING_INTERVAL_MS, sampleRepeatedly);
  }

  return {
    sample,
    /** Samples at a short interval for `FAST_SAMPLING_MS`. */
    sampleFast,
    /** Drops all samples. To be called after a suspension or when the output device has changed. */
    reset: () => {
      samples = [];
      votes = earlierVotes(votes);
      implausibleTimestampCount = 0;
    },
    estimate: () => estimateOutput(samples),
    /** The time in ms from rendering a sample until it is heard; `null` until it has been measured. */
    latencyMs: () => (estimateOutput(samples)?.isSettled ? outputLatencyMs(samples) : null),
    /** Whether the sound had a gap within the last `RECENT_GLITCH_MS`. */
    hasGlitched: () => performance.now() < glitchedUntilMs,
    /** The context time, in seconds, that is heard at a time of this page's clock. @param {number} atMs */
    contextSecAt: (atMs) =>
      (atMs - (estimateOutput(samples)?.outputOffsetMs ?? reportedOffsetMs(context, performance.now()))) / 1000,
  };
}

/**
 * This page's clock minus the context time that is heard, in ms, by `getOutputTimestamp()`; `null` if the timestamp is
 * implausible.
 * @param {AudioContext} context
 * @param {number} nowMs
 */
function timestampOffsetMs(context, nowMs) {
  const { contextTime = 0, performanceTime = 0 } = context.getOutputTimestamp?.() ?? {};
  const latencySec = context.currentTime - contextTime;
  const isPlausible =
    contextTime > 0 &&
    latencySec >= 0 &&
    latencySec < MAX_LATENCY_SEC &&
    Math.abs(nowMs - performanceTime) < MAX_LATENCY_SEC * 1000;
  return isPlausible ? performanceTime - contextTime * 1000 : null;
}

/**
 * As `timestampOffsetMs`, computed from the latency that the browser reports, which is less accurate: Chromium 156
 * reports 16, 24 and 32 ms on one output device, and Safari has no `outputLatency` before 18.4.
 * @param {AudioContext} context
 * @param {number} nowMs
 */
function reportedOffsetMs(context, nowMs) {
  const latencySec = (isLatencyReadable(context) && context.outputLatency) || context.baseLatency || DEFAULT_LATENCY_SEC;
  return nowMs - (context.currentTime - Math.min(latencySec, MAX_LATENCY_SEC)) * 1000;
}

/**
 * Whether `outputLatency` and `getOutputTimestamp()` may be read. Firefox 153 keeps the first value of `outputLatency` until the
 * output changes, and in the first half second of a context that value is up to 8 ms off.
 * @param {AudioContext} context
 */
function isLatencyReadable(context) {
  return !('mozInnerScreenX' in globalThis) || context.currentTime > FIREFOX_SETTLE_SEC;
}
