// PURE: round trips to `GET /clock` in, the offset and the drift of the server's clock out. Nothing here
// asks the network or reads a clock; all times are milliseconds, `…Ms` of this page's `performance.now()`
// unless they say `server`.
//
// Each way there and each way back bounds the offset from one side, and delays only ever loosen the bounds.
// So the two ways are looked at apart: the quickest way there and the quickest way back need not belong to
// the same round trip. The clocks drift meanwhile, by a rate that is found as the one for which the bounds
// lie closest together (Moon, Skelly and Towsley, "Estimation and Removal of Clock Skew from Network Delay
// Measurements", 1999). What is left is half of what the paths themselves are uneven by: no clock can see that.

/** @typedef {import('./types.js').ClockEstimate} ClockEstimate */

/**
 * One question and its answer, as two bounds.
 * @typedef {object} RoundTrip
 * @property {number} atMs When the answer was here.
 * @property {number} mostMs The offset is at most this (the way there took what is above it),
 * @property {number} leastMs and at least this.
 */

/** Older round trips say too little. */
const REMEMBER_MS = 300_000;

/** No two clocks of phones and computers drift apart faster: 200 ppm. */
const MOST_DRIFT = 200e-6;

/** Two round trips that are both right may contradict each other by so much besides. */
const TOLERANCE_MS = 1;

/** So many steps narrow the drift down to 0.001 ppm. */
const STEPS = 32;

/**
 * The quickest of N ways is off by about the N-th part of how much the ways differ. A drift that fits no better
 * than by so many times that is no reason to give up the one that is known.
 */
const NOISE = 1;

/** As many of the last round trips tell how slow the way is just now; and what share of them is not called slow. */
const RECENT = 20;
const SLOW_SHARE = 0.85;

/**
 * @param {number} sentMs
 * @param {number} gotMs
 * @param {{receivedMs: number, serverMs: number}} server when, on the server's clock, the question was there
 *   and the answer left
 * @returns {RoundTrip}
 */
export function roundTrip(sentMs, gotMs, { receivedMs, serverMs }) {
  return { atMs: gotMs, mostMs: receivedMs - sentMs, leastMs: serverMs - gotMs };
}

/**
 * The round trips worth keeping, the newest last. One that contradicts the newest tells of a clock
 * that has since jumped: a page that slept, or another server.
 * @param {readonly RoundTrip[]} kept
 * @param {RoundTrip} newest
 * @returns {RoundTrip[]}
 */
export function remember(kept, newest) {
  // It was answered before it was asked: this page stood still meanwhile, and its clock with it.
  if (newest.mostMs - newest.leastMs < -TOLERANCE_MS) return [...kept];
  const agrees = (/** @type {RoundTrip} */ old) => {
    const agoMs = newest.atMs - old.atMs;
    const slackMs = agoMs * MOST_DRIFT + TOLERANCE_MS;
    return (
      agoMs <= REMEMBER_MS &&
      newest.leastMs - old.mostMs <= slackMs &&
      old.leastMs - newest.mostMs <= slackMs
    );
  };
  return [...kept.filter(agrees), newest];
}

/**
 * @param {readonly RoundTrip[]} kept
 * @param {number} [knownDrift] what an earlier estimate has found
 * @returns {ClockEstimate | null}
 */
export function estimate(kept, knownDrift = 0) {
  const last = kept.at(-1);
  if (!last) return null;
  const tripsMs = kept.map((trip) => trip.mostMs - trip.leastMs);
  const noiseMs = (share(tripsMs, 0.5) - Math.min(...tripsMs)) / kept.length;
  const { atMs } = last;
  const drift = closest(kept, atMs, knownDrift, NOISE * noiseMs);
  const { mostMs, leastMs } = bounds(kept, drift, atMs);
  const recentMs = tripsMs.slice(-RECENT);
  return {
    atMs,
    offsetMs: (mostMs + leastMs) / 2,
    drift,
    roundTripMs: share(recentMs, 0.5),
    slowTripMs: share(recentMs, SLOW_SHARE),
  };
}

/**
 * The value that this share of them lies below.
 * @param {readonly number[]} values
 * @param {number} part
 */
function share(values, part) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * part)] ?? 0;
}

/**
 * The offset at a moment of this page's clock: server's clock = page's clock + offset.
 * @param {ClockEstimate | null} clock
 * @param {number} nowMs
 * @returns {number | null}
 */
export function offsetAt(clock, nowMs) {
  return clock && clock.offsetMs + clock.drift * (nowMs - clock.atMs);
}

/**
 * The bounds of the offset at `atMs`, if the clocks drift apart by so much.
 * @param {readonly RoundTrip[]} kept
 * @param {number} drift
 * @param {number} atMs
 */
function bounds(kept, drift, atMs) {
  let mostMs = Infinity;
  let leastMs = -Infinity;
  for (const trip of kept) {
    const sinceMs = drift * (atMs - trip.atMs);
    mostMs = Math.min(mostMs, trip.mostMs + sinceMs);
    leastMs = Math.max(leastMs, trip.leastMs + sinceMs);
  }
  return { mostMs, leastMs };
}

/**
 * The drift for which the bounds lie closest to what was measured: any other tilts them away from some of the
 * points. How far apart they lie is concave in the drift, so thirds of the range can be dropped.
 * @param {readonly RoundTrip[]} kept
 * @param {number} atMs
 * @param {number} known
 * @param {number} noiseMs
 */
function closest(kept, atMs, known, noiseMs) {
  const gapMs = (/** @type {number} */ drift) => {
    const { mostMs, leastMs } = bounds(kept, drift, atMs);
    return mostMs - leastMs;
  };
  let [low, high] = [-MOST_DRIFT, MOST_DRIFT];
  for (let i = 0; i < STEPS; i += 1) {
    const third = (high - low) / 3;
    if (gapMs(low + third) < gapMs(high - third)) low += third;
    else high -= third;
  }
  const best = (low + high) / 2;
  // As far towards the known one as the noise lets it.
  const enoughMs = gapMs(best) - noiseMs;
  let [near, far] = [0, 1];
  for (let i = 0; i < STEPS; i += 1) {
    const share = (near + far) / 2;
    if (gapMs(best + (known - best) * share) >= enoughMs) near = share;
    else far = share;
  }
  return best + (known - best) * near;
}
