// The estimate of the server clock, from single round trips and in simulated networks.

import assert from 'node:assert/strict';
import test from 'node:test';
import { estimateClock, offsetAt, addRoundTrip, roundTrip } from '../../../static/js/sound/clock.js';

const TRUE_OFFSET_MS = 12_345;

/** Time from the request's arrival at the server to its response. */
const PROCESSING_MS = 0.1;

/** A round trip that begins at `atMs`, with these network delays of the request and the response. */
function roundTripAt(atMs, requestMs, responseMs, offsetAtMs = () => TRUE_OFFSET_MS) {
  const receivedMs = atMs + requestMs + offsetAtMs(atMs + requestMs);
  return roundTrip(atMs, atMs + requestMs + PROCESSING_MS + responseMs, { receivedMs, serverMs: receivedMs + PROCESSING_MS });
}

/** A generator of reproducible random numbers from 0 to 1. */
function seededFraction(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const assertNear = (value, expected, within) =>
  assert.ok(Math.abs(value - expected) <= within, `${value} is not within ${within} of ${expected}`);

test('a symmetric path gives the exact offset', () => {
  assertNear(estimateClock([roundTripAt(0, 10, 10)]).offsetMs, TRUE_OFFSET_MS, 1e-9);
});

test('without round trips there is no estimate', () => {
  assert.equal(estimateClock([]), null);
  assert.equal(offsetAt(null, 5), null);
});

test('the estimate combines the fastest request and the fastest response', () => {
  assertNear(estimateClock([roundTripAt(0, 1, 90), roundTripAt(100, 90, 1)]).offsetMs, TRUE_OFFSET_MS, 0.05);
});

test('the error of an asymmetric path is half of its asymmetry', () => {
  assertNear(estimateClock([roundTripAt(0, 4, 20), roundTripAt(100, 4, 20)]).offsetMs, TRUE_OFFSET_MS - 8, 1e-9);
});

test('the estimate includes the median and a slow round-trip time', () => {
  const roundTrips = [5, 5, 5, 40, 5].map((responseMs, i) => roundTripAt(i * 100, 5, responseMs));
  assertNear(estimateClock(roundTrips).roundTripMs, 10, 1e-9);
  assertNear(estimateClock(roundTrips).slowRoundTripMs, 45, 1e-9);
});

test('round trips older than five minutes are dropped', () => {
  assert.equal(addRoundTrip([roundTripAt(0, 1, 1)], roundTripAt(310_000, 20, 5)).length, 1);
});

test('a jump of the server’s clock is adopted at once', () => {
  const roundTrips = addRoundTrip([roundTripAt(0, 1, 1), roundTripAt(10, 1, 1)], roundTripAt(1_000, 20, 20, () => TRUE_OFFSET_MS + 500));
  assertNear(estimateClock(roundTrips).offsetMs, TRUE_OFFSET_MS + 500, 1e-9);
});

test('a slow round trip does not drop the fast ones', () => {
  const roundTrips = addRoundTrip([roundTripAt(0, 1, 1)], roundTripAt(1_000, 300, 5));
  assertNear(estimateClock(roundTrips).offsetMs, TRUE_OFFSET_MS, 1e-9);
});

test('a response that precedes its request is ignored', () => {
  const roundTrips = [roundTripAt(0, 1, 1)];
  const implausible = { atMs: 10, maxOffsetMs: TRUE_OFFSET_MS - 2_500, minOffsetMs: TRUE_OFFSET_MS + 2_500 };
  assert.deepEqual(addRoundTrip(roundTrips, implausible), roundTrips);
});

test('the offset drifts between two estimates', () => {
  assertNear(offsetAt({ atMs: 1_000, offsetMs: 5, drift: 80e-6, roundTripMs: 1, slowRoundTripMs: 1 }, 11_000), 5.8, 1e-9);
});

test('a known drift is kept while there are few round trips', () => {
  assertNear(estimateClock([roundTripAt(0, 1, 1)], 80e-6).drift, 80e-6, 1e-9);
});

/** A delay of at least `minMs` and on average `meanMs` more, exponentially distributed. */
const exponential = (random, minMs, meanMs) => minMs - Math.log(1 - random()) * meanMs;

/**
 * Networks. `delays`: the delays of a request and its response in ms. `limits`: the largest 95th percentile of the clock
 * error in ms at each of CHECK_TIMES_MS.
 */
const NETWORKS = {
  'Ethernet': { delays: (random) => [exponential(random, 0.3, 0.2), exponential(random, 0.3, 0.2)], limits: [0.4, 0.2, 0.1, 0.1] },
  'quiet Wi-Fi': { delays: (random) => [exponential(random, 1.5, 1), exponential(random, 1.5, 1.5)], limits: [0.5, 1, 0.5, 0.3] },
  'busy Wi-Fi': { delays: (random) => [exponential(random, 3, 15), exponential(random, 3, 20)], limits: [3, 2, 4, 2] },
  '40 ms jitter each way': { delays: (random) => [5 + random() * 40, 5 + random() * 40], limits: [6, 3, 5, 3] },
  'bursts of other traffic': { delays: burstyDelays(), limits: [12, 6, 3, 1] },
  'Wi-Fi with power saving': {
    delays: (random) => [exponential(random, 2, 1), random() < 0.5 ? exponential(random, 2, 2) : 20 + random() * 80],
    limits: [1.5, 1.5, 1.5, 0.6],
  },
};

function burstyDelays() {
  let busy = false;
  return (/** @type {() => number} */ random) => {
    if (random() < 0.1) busy = !busy;
    return busy ? [exponential(random, 30, 40), exponential(random, 20, 50)] : [exponential(random, 2, 1), exponential(random, 2, 1)];
  };
}

/** Time since the start: after the first burst, 10 s, one minute and five minutes. */
const CHECK_TIMES_MS = [1_000, 10_000, 60_000, 300_000];

/** The errors of the estimates at `CHECK_TIMES_MS`, with bursts of requests as in clock-exchange.js. */
function errorsOf(delays, drift, seed) {
  const random = seededFraction(seed);
  const offsetAtMs = (/** @type {number} */ atMs) => TRUE_OFFSET_MS + drift * atMs;
  const errors = [];
  let [roundTrips, knownDrift, atMs] = [[], 0, 0];
  for (let burst = 0; errors.length < CHECK_TIMES_MS.length; burst += 1) {
    for (let i = 0; i < (burst === 0 ? 12 : 6); i += 1) {
      const [requestMs, responseMs] = delays(random);
      roundTrips = addRoundTrip(roundTrips, roundTripAt(atMs, requestMs, responseMs, offsetAtMs));
      atMs += requestMs + responseMs + 1;
    }
    const clock = estimateClock(roundTrips, knownDrift);
    knownDrift = clock.drift;
    atMs += burst < 20 ? 2_500 : 10_000;
    while (errors.length < CHECK_TIMES_MS.length && atMs > CHECK_TIMES_MS[errors.length]) {
      errors.push(Math.abs(offsetAt(clock, atMs) - offsetAtMs(atMs)));
    }
  }
  return errors;
}

/** Simulations of each network, and the indices of percentiles in their sorted errors. */
const RUNS = 60;
const MEDIAN_INDEX = 30;
const P95_INDEX = 57;

for (const [name, { delays, limits }] of Object.entries(NETWORKS)) {
  for (const ppm of [0, 80]) {
    test(`${name}, ${ppm} ppm: clock error stays within limits`, (t) => {
      const runs = Array.from({ length: RUNS }, (_, run) => errorsOf(delays, ppm / 1e6, run * 7_919 + 1));
      const errorsAt = CHECK_TIMES_MS.map((_, i) => runs.map((errors) => errors[i]).sort((a, b) => a - b));
      const percentiles = errorsAt.map((errors, i) => `${CHECK_TIMES_MS[i] / 1000} s ${errors[MEDIAN_INDEX].toFixed(2)} / ${errors[P95_INDEX].toFixed(2)}`);
      t.diagnostic(`error, median / 95 %, in ms: ${percentiles.join(', ')}`);
      errorsAt.forEach((errors, i) => assert.ok(errors[P95_INDEX] <= limits[i], `after ${CHECK_TIMES_MS[i]} ms: ${errors[P95_INDEX]} ms`));
    });
  }
}
