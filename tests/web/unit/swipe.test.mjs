// How finger movements over a queue row are interpreted.

import assert from 'node:assert/strict';
import test from 'node:test';
import { SWIPE_THRESHOLD_PX, classifyMove, rowShiftPx } from '../../../static/js/ui/swipe.js';

const moves = [
  ['of a few pixels', 4, 4, 'undecided'],
  ['to the right', 30, 5, 'swipe'],
  ['to the left', -30, 5, 'other'],
  ['down', 5, 30, 'other'],
  ['in a diagonal', 30, 28, 'other'],
];
for (const [name, dxPx, dyPx, expected] of moves) {
  test(`a movement ${name} is classified as “${expected}”`, () => assert.equal(classifyMove(dxPx, dyPx), expected));
}

test('a row follows the finger right only, slower beyond the threshold', () => {
  assert.deepEqual([-20, 40, SWIPE_THRESHOLD_PX, SWIPE_THRESHOLD_PX + 40].map(rowShiftPx), [0, 40, SWIPE_THRESHOLD_PX, SWIPE_THRESHOLD_PX + 10]);
});
