import assert from 'node:assert/strict';
import test from 'node:test';
import { estimate, offsetAt, remember, roundTrip } from '../../../static/js/clock.js';

const TRUE_OFFSET_MS = 12_345;

/** What the server takes to answer. */
const ANSWER_MS = 0.1;

/** A round trip with so long a way there and back, begun at a moment of the page's clock. */
function trip(atMs, thereMs, backMs, offsetAtMs = () => TRUE_OFFSET_MS) {
  const receivedMs = atMs + thereMs + offsetAtMs(atMs + thereMs);
  return roundTrip(atMs, atMs + thereMs + ANSWER_MS + backMs, { receivedMs, serverMs: receivedMs + ANSWER_MS });
}

/** Numbers from 0 to 1 that are the same at every run. */
function dice(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const isNear = (value, expected, within) =>
  assert.ok(Math.abs(value - expected) <= within, `${value} is not within ${within} of ${expected}`);

test('an even path gives the offset exactly', () => {
  isNear(estimate([trip(0, 10, 10)]).offsetMs, TRUE_OFFSET_MS, 1e-9);
});

test('nothing is known of no round trips', () => {
  assert.equal(estimate([]), null);
  assert.equal(offsetAt(null, 5), null);
});

test('the quickest way there and the quickest way back count, wherever they came', () => {
  isNear(estimate([trip(0, 1, 90), trip(100, 90, 1)]).offsetMs, TRUE_OFFSET_MS, 0.05);
});

test('an uneven path costs half of what it is uneven by, and no more', () => {
  isNear(estimate([trip(0, 4, 20), trip(100, 4, 20)]).offsetMs, TRUE_OFFSET_MS - 8, 1e-9);
});

test('round trips are told as they are as a rule, and as the slow ones are', () => {
  const kept = [5, 5, 5, 40, 5].map((backMs, i) => trip(i * 100, 5, backMs));
  isNear(estimate(kept).roundTripMs, 10, 1e-9);
  isNear(estimate(kept).slowTripMs, 45, 1e-9);
});

test('round trips of more than five minutes ago are forgotten', () => {
  assert.equal(remember([trip(0, 1, 1)], trip(310_000, 20, 5)).length, 1);
});

test('a clock that jumped is believed at once', () => {
  const kept = remember([trip(0, 1, 1), trip(10, 1, 1)], trip(1_000, 20, 20, () => TRUE_OFFSET_MS + 500));
  isNear(estimate(kept).offsetMs, TRUE_OFFSET_MS + 500, 1e-9);
});

test('a slow answer does not throw out the good ones', () => {
  const kept = remember([trip(0, 1, 1)], trip(1_000, 300, 5));
  isNear(estimate(kept).offsetMs, TRUE_OFFSET_MS, 1e-9);
});

test('an answer that was there before its question says nothing', () => {
  const kept = [trip(0, 1, 1)];
  const stoodStill = { atMs: 10, mostMs: TRUE_OFFSET_MS - 2_500, leastMs: TRUE_OFFSET_MS + 2_500 };
  assert.deepEqual(remember(kept, stoodStill), kept);
});

test('the offset goes on drifting between two estimates', () => {
  isNear(offsetAt({ atMs: 1_000, offsetMs: 5, drift: 80e-6, roundTripMs: 1, slowTripMs: 1 }, 11_000), 5.8, 1e-9);
});

test('a drift that was known before is kept while little is seen', () => {
  isNear(estimate([trip(0, 1, 1)], 80e-6).drift, 80e-6, 1e-9);
});

/** A way that takes at least `leastMs`, and on average `meanMs` more. */
const tail = (roll, leastMs, meanMs) => leastMs - Math.log(1 - roll()) * meanMs;

/**
 * Networks: ways there and back, in ms; and by how much nineteen of twenty estimates may be off after the first burst, after 10 s, after a minute and after five.
 */
const NETWORKS = {
  'a cable': { ways: (roll) => [tail(roll, 0.3, 0.2), tail(roll, 0.3, 0.2)], limits: [0.4, 0.2, 0.1, 0.1] },
  'a quiet Wi-Fi': { ways: (roll) => [tail(roll, 1.5, 1), tail(roll, 1.5, 1.5)], limits: [0.5, 1, 0.5, 0.3] },
  'a busy Wi-Fi': { ways: (roll) => [tail(roll, 3, 15), tail(roll, 3, 20)], limits: [3, 2, 4, 2] },
  'jitter of up to 40 ms each way': { ways: (roll) => [5 + roll() * 40, 5 + roll() * 40], limits: [6, 3, 5, 3] },
  'bursts of other traffic': { ways: burstyWays(), limits: [12, 6, 3, 1] },
  'a phone whose Wi-Fi saves power': {
    ways: (roll) => [tail(roll, 2, 1), roll() < 0.5 ? tail(roll, 2, 2) : 20 + roll() * 80],
    limits: [1.5, 1.5, 1.5, 0.6],
  },
};

function burstyWays() {
  let busy = false;
  return (/** @type {() => number} */ roll) => {
    if (roll() < 0.1) busy = !busy;
    return busy ? [tail(roll, 30, 40), tail(roll, 20, 50)] : [tail(roll, 2, 1), tail(roll, 2, 1)];
  };
}

const SEEN_AT_MS = [1_000, 10_000, 60_000, 300_000];

/** How far off estimates are at `SEEN_AT_MS`, for bursts as the page makes them. */
function errorsOf(ways, drift, seed) {
  const roll = dice(seed);
  const offsetAtMs = (/** @type {number} */ atMs) => TRUE_OFFSET_MS + drift * atMs;
  const errors = [];
  let [kept, known, atMs] = [[], 0, 0];
  for (let burst = 0; errors.length < SEEN_AT_MS.length; burst += 1) {
    for (let i = 0; i < (burst === 0 ? 12 : 6); i += 1) {
      const [there, back] = ways(roll);
      kept = remember(kept, trip(atMs, there, back, offsetAtMs));
      atMs += there + back + 1;
    }
    const clock = estimate(kept, known);
    known = clock.drift;
    atMs += burst < 20 ? 2_500 : 10_000;
    while (errors.length < SEEN_AT_MS.length && atMs > SEEN_AT_MS[errors.length]) {
      errors.push(Math.abs(offsetAt(clock, atMs) - offsetAtMs(atMs)));
    }
  }
  return errors;
}

for (const [name, { ways, limits }] of Object.entries(NETWORKS)) {
  for (const ppm of [0, 80]) {
    test(`over ${name}, with ${ppm} ppm of drift, the clock is known well enough`, (t) => {
      const runs = Array.from({ length: 60 }, (_, run) => errorsOf(ways, ppm / 1e6, run * 7_919 + 1));
      const seen = SEEN_AT_MS.map((_, i) => runs.map((errors) => errors[i]).sort((a, b) => a - b));
      const figures = seen.map((errors, i) => `${SEEN_AT_MS[i] / 1000} s ${errors[30].toFixed(2)} / ${errors[57].toFixed(2)}`);
      t.diagnostic(`off by, median / 95 %, in ms: ${figures.join(', ')}`);
      seen.forEach((errors, i) => assert.ok(errors[57] <= limits[i], `after ${SEEN_AT_MS[i]} ms: ${errors[57]} ms`));
    });
  }
}
