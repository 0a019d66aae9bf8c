// PURE: round trips to `GET /clock` in, the offset of the server's clock out. Nothing here asks the
// network or reads a clock; all times are milliseconds, `…Ms` of this page's `performance.now()`.

/** @typedef {import('./types.js').ClockEstimate} ClockEstimate */

/**
 * One question and its answer. The server read its clock somewhere within the round trip, so the
 * offset is known to half of it, either way.
 * @typedef {object} RoundTrip
 * @property {number} atMs
 * @property {number} roundTripMs
 * @property {number} offsetMs
 */

/** Older round trips say too little of a clock that drifts by up to 100 ppm. */
const REMEMBER_MS = 60_000;

/** How far two clocks may drift apart within that time. */
const DRIFT_MS = 10;

/**
 * @param {number} sentMs
 * @param {number} receivedMs
 * @param {number} serverMs
 * @returns {RoundTrip}
 */
export function roundTrip(sentMs, receivedMs, serverMs) {
  return {
    atMs: receivedMs,
    roundTripMs: receivedMs - sentMs,
    offsetMs: serverMs - (sentMs + receivedMs) / 2,
  };
}

/**
 * The round trips worth keeping, the newest last. One that contradicts the newest tells of a clock
 * that has since jumped: a page that slept, or another server.
 * @param {readonly RoundTrip[]} kept
 * @param {RoundTrip} newest
 * @returns {RoundTrip[]}
 */
export function remember(kept, newest) {
  const agrees = (/** @type {RoundTrip} */ old) =>
    newest.atMs - old.atMs <= REMEMBER_MS &&
    Math.abs(newest.offsetMs - old.offsetMs) <=
      (newest.roundTripMs + old.roundTripMs) / 2 + DRIFT_MS;
  return [...kept.filter(agrees), newest];
}

/**
 * The least round trip has the narrowest bounds, so it wins.
 * @param {readonly RoundTrip[]} kept
 * @returns {ClockEstimate | null}
 */
export function estimate(kept) {
  const best = kept.reduce(
    (least, trip) => (least && least.roundTripMs <= trip.roundTripMs ? least : trip),
    /** @type {RoundTrip | null} */ (null),
  );
  return best && { offsetMs: best.offsetMs, roundTripMs: best.roundTripMs };
}
