import assert from 'node:assert/strict';
import test from 'node:test';
import { estimate, remember, roundTrip } from '../../../static/js/clock.js';

const TRUE_OFFSET_MS = 12_345;

/** A round trip with so long a way there and back, at a moment of the page's clock. */
function trip(atMs, thereMs, backMs, offsetMs = TRUE_OFFSET_MS) {
  return roundTrip(atMs, atMs + thereMs + backMs, atMs + thereMs + offsetMs);
}

/** Numbers from 0 to 1 that are the same at every run. */
function dice(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

test('an even path gives the offset exactly', () => {
  assert.equal(estimate([trip(0, 10, 10)]).offsetMs, TRUE_OFFSET_MS);
});

test('nothing is known of no round trips', () => {
  assert.equal(estimate([]), null);
});

test('the least round trip wins, wherever it came', () => {
  for (const trips of [[trip(0, 1, 1), trip(9, 90, 5)], [trip(0, 90, 5), trip(99, 1, 1)]]) {
    assert.deepEqual(estimate(trips), { offsetMs: TRUE_OFFSET_MS, roundTripMs: 2 });
  }
});

const paths = [
  ['loopback', 0.2, 0.5, 0.5],
  ['a quiet Wi-Fi', 3, 4, 2],
  ['a busy Wi-Fi', 10, 40, 12],
];
for (const [name, baseMs, jitterMs, limitMs] of paths) {
  test(`over ${name} a burst of eight is within ${limitMs} ms`, () => {
    const roll = dice(7);
    const errors = [];
    for (let run = 0; run < 200; run += 1) {
      let kept = [];
      for (let i = 0; i < 8; i += 1) {
        kept = remember(kept, trip(i * 100, baseMs + roll() * jitterMs, baseMs + roll() * jitterMs));
      }
      errors.push(Math.abs(estimate(kept).offsetMs - TRUE_OFFSET_MS));
    }
    const p95 = errors.sort((a, b) => a - b)[Math.floor(errors.length * 0.95)];
    assert.ok(p95 <= limitMs, `p95 is ${p95.toFixed(2)} ms`);
  });
}

test('round trips are forgotten after a minute', () => {
  const kept = remember([trip(0, 1, 1)], trip(70_000, 20, 5));
  assert.equal(kept.length, 1);
});

test('a clock that jumped is believed at once', () => {
  const kept = remember([trip(0, 1, 1), trip(10, 1, 1)], trip(1_000, 20, 20, TRUE_OFFSET_MS + 500));
  assert.equal(estimate(kept).offsetMs, TRUE_OFFSET_MS + 500);
});

test('a slow answer does not throw out the good ones', () => {
  const kept = remember([trip(0, 1, 1)], trip(1_000, 300, 5));
  assert.equal(estimate(kept).offsetMs, TRUE_OFFSET_MS);
});
