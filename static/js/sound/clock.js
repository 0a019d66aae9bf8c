// PURE: estimates the offset and the drift of the server's clock from round trips to `GET /clock`. Times are
// milliseconds of this page's `performance.now()`, except for `receivedMs` and `serverMs`, which are on the server's
// clock.
//
// The request of each round trip gives an upper bound of the offset and the response a lower bound; delay only makes
// the bounds less tight. The two directions are therefore evaluated separately: the fastest request and the fastest
// response need not belong to the same round trip. The drift is the rate at which the gap between the tightest bounds
// is widest: with a wrong rate, bounds of different age come closer together or contradict each other (compare Moon,
// Skelly and Towsley, "Estimation and Removal of Clock Skew from Network Delay Measurements", 1999). The remaining error
// is half of the asymmetry of the network path, which no clock exchange can detect.

/** @typedef {import('../types.js').ClockEstimate} ClockEstimate */

/**
 * One request and response, as two bounds of the offset.
 * @typedef {object} RoundTrip
 * @property {number} atMs When the response arrived.
 * @property {number} maxOffsetMs Upper bound: the offset plus the delay of the request.
 * @property {number} minOffsetMs Lower bound: the offset minus the delay of the response.
 */

/** Older round trips are dropped. */
const MAX_AGE_MS = 300_000;

/** The largest drift between the clocks of two phones or computers: 200 ppm. */
const MAX_DRIFT = 200e-6;

/** The bounds of two valid round trips may contradict each other by this time in addition to the drift. */
const TOLERANCE_MS = 1;

/** Iterations of the ternary search: enough to resolve the drift to 0.001 ppm. */
const SEARCH_STEPS = 32;

/**
 * The fastest of N round trips exceeds the minimum delay by about 1/N of the spread of the delays (the noise). Of the
 * drifts whose gap is narrower than the widest gap by at most this multiple of the noise, the one that is closest to the
 * known drift is used.
 */
const NOISE_FACTOR = 1;

/** Number of the last round trips that `roundTripMs` and `slowRoundTripMs` describe, and the percentile of the latter. */
const RECENT_TRIPS = 20;
const SLOW_PERCENTILE = 0.85;

/**
 * @param {number} requestAtMs when the request was sent
 * @param {number} responseAtMs when the response arrived
 * @param {{receivedMs: number, serverMs: number}} serverTimes when the server received the request and sent the
 *   response, on the server's clock
 * @returns {RoundTrip}
 */
export function roundTrip(requestAtMs, responseAtMs, { receivedMs, serverMs }) {
  return { atMs: responseAtMs, maxOffsetMs: receivedMs - requestAtMs, minOffsetMs: serverMs - responseAtMs };
}

/**
 * Adds a round trip and drops outdated round trips. An earlier round trip that contradicts the newest one was made
 * before a clock jumped (the page slept, or the server was restarted on another machine), and is dropped too.
 * @param {readonly RoundTrip[]} roundTrips
 * @param {RoundTrip} newestTrip
 * @returns {RoundTrip[]} the newest last
 */
export function addRoundTrip(roundTrips, newestTrip) {
  // The response seems to precede the request: the page's clock stood still in between, because the page was suspended.
  // Such a round trip is ignored.
  if (newestTrip.maxOffsetMs - newestTrip.minOffsetMs < -TOLERANCE_MS) return [...roundTrips];
  const agreesWithNewest = (/** @type {RoundTrip} */ olderTrip) => {
    const ageMs = newestTrip.atMs - olderTrip.atMs;
    const slackMs = ageMs * MAX_DRIFT + TOLERANCE_MS;
    return (
      ageMs <= MAX_AGE_MS &&
      newestTrip.minOffsetMs - olderTrip.maxOffsetMs <= slackMs &&
      olderTrip.minOffsetMs - newestTrip.maxOffsetMs <= slackMs
    );
  };
  return [...roundTrips.filter(agreesWithNewest), newestTrip];
}

/**
 * @param {readonly RoundTrip[]} roundTrips
 * @param {number} [knownDrift] of an earlier estimate
 * @returns {ClockEstimate | null} `null` without a round trip
 */
export function estimateClock(roundTrips, knownDrift = 0) {
  const lastTrip = roundTrips.at(-1);
  if (!lastTrip) return null;
  const roundTripsMs = roundTrips.map((trip) => trip.maxOffsetMs - trip.minOffsetMs);
  const noiseMs = (percentile(roundTripsMs, 0.5) - Math.min(...roundTripsMs)) / roundTrips.length;
  const { atMs } = lastTrip;
  const drift = fitDrift(roundTrips, atMs, knownDrift, NOISE_FACTOR * noiseMs);
  const { maxOffsetMs, minOffsetMs } = boundsAt(roundTrips, drift, atMs);
  const recentTripsMs = roundTripsMs.slice(-RECENT_TRIPS);
  return {
    atMs,
    offsetMs: (maxOffsetMs + minOffsetMs) / 2,
    drift,
    roundTripMs: percentile(recentTripsMs, 0.5),
    slowRoundTripMs: percentile(recentTripsMs, SLOW_PERCENTILE),
  };
}

/** @param {readonly number[]} values @param {number} share the percentile, from 0 to 1 */
function percentile(values, share) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * share)] ?? 0;
}

/**
 * The server's clock minus this page's clock, at a time of this page's clock.
 * @param {ClockEstimate | null} clock
 * @param {number} nowMs
 * @returns {number | null}
 */
export function offsetAt(clock, nowMs) {
  return clock && clock.offsetMs + clock.drift * (nowMs - clock.atMs);
}

/**
 * The tightest bounds of the offset at `atMs`, if the drift is `drift`.
 * @param {readonly RoundTrip[]} roundTrips
 * @param {number} drift
 * @param {number} atMs
 */
function boundsAt(roundTrips, drift, atMs) {
  let maxOffsetMs = Infinity;
  let minOffsetMs = -Infinity;
  for (const trip of roundTrips) {
    const driftMs = drift * (atMs - trip.atMs);
    maxOffsetMs = Math.min(maxOffsetMs, trip.maxOffsetMs + driftMs);
    minOffsetMs = Math.max(minOffsetMs, trip.minOffsetMs + driftMs);
  }
  return { maxOffsetMs, minOffsetMs };
}

/**
 * The drift that is closest to `knownDrift` among those whose gap between the bounds is at most `gapToleranceMs` narrower
 * than the widest gap. The gap is a concave function of the drift, so a ternary search finds its maximum.
 * @param {readonly RoundTrip[]} roundTrips
 * @param {number} atMs
 * @param {number} knownDrift
 * @param {number} gapToleranceMs
 */
function fitDrift(roundTrips, atMs, knownDrift, gapToleranceMs) {
  const gapMs = (/** @type {number} */ drift) => {
    const { maxOffsetMs, minOffsetMs } = boundsAt(roundTrips, drift, atMs);
    return maxOffsetMs - minOffsetMs;
  };
  let [low, high] = [-MAX_DRIFT, MAX_DRIFT];
  for (let i = 0; i < SEARCH_STEPS; i += 1) {
    const third = (high - low) / 3;
    if (gapMs(low + third) < gapMs(high - third)) low += third;
    else high -= third;
  }
  const bestDrift = (low + high) / 2;
  // `share` is the part of the way from `bestDrift` to `knownDrift`.
  const requiredGapMs = gapMs(bestDrift) - gapToleranceMs;
  let [sufficientShare, excessiveShare] = [0, 1];
  for (let i = 0; i < SEARCH_STEPS; i += 1) {
    const share = (sufficientShare + excessiveShare) / 2;
    if (gapMs(bestDrift + (knownDrift - bestDrift) * share) >= requiredGapMs) sufficientShare = share;
    else excessiveShare = share;
  }
  return bestDrift + (knownDrift - bestDrift) * sufficientShare;
}
