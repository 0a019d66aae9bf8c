// The position that the seek bar shows while the computed position jumps.

import assert from 'node:assert/strict';
import test from 'node:test';
import { roundToPixel, withoutSmallStepsBack } from '../../../static/js/ui/seek-bar-position.js';

/** [name, displayed position, computed position, whether the room plays, next displayed position] */
const cases = [
  ['moves on while playing', 10, 10.25, true, 10.25],
  ['stands still for a small step back while playing', 10, 9.2, true, 10],
  ['follows a seek back', 10, 5, true, 5],
  ['follows a seek forward', 10, 30, true, 30],
  ['stands still for a small step back while paused', 10, 9.7, false, 10],
  ['follows a seek back while paused', 10, 9, false, 9],
];
for (const [name, displayedSec, computedSec, isPlaying, expectedSec] of cases) {
  test(`the seek bar ${name}`, () => {
    const displayed = { trackId: 'a', positionSec: displayedSec, isPlaying: true };
    assert.equal(withoutSmallStepsBack(displayed, { trackId: 'a', positionSec: computedSec, isPlaying }), expectedSec);
  });
}

test('the first and each different track show their computed position', () => {
  const next = { trackId: 'b', positionSec: 0.5, isPlaying: true };
  assert.equal(withoutSmallStepsBack({ trackId: 'a', positionSec: 1, isPlaying: true }, next), 0.5);
  assert.equal(withoutSmallStepsBack(null, next), 0.5);
});

test('the seek bar moves by whole pixels', () => {
  assert.deepEqual([10, 10.4, 10.6].map((positionSec) => roundToPixel(positionSec, 240, 480)), [10, 10, 10.5]);
  assert.equal(roundToPixel(3, 0, 480), 0);
});
