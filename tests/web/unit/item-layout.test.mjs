// The layout of the long lists in the Queue tab.

import assert from 'node:assert/strict';
import test from 'node:test';
import { cardColumns, inLines, indexAt, layOut, visibleRange } from '../../../static/js/ui/queue/item-layout.js';

const HEIGHTS = [40, 60, 60, 100, 60];
const layout = layOut(HEIGHTS.map((height, i) => ({ key: `${i}`, kind: 'row', height })), ({ height }) => height);

test('items follow each other without gaps', () => {
  assert.deepEqual([[...layout.offsetsPx], layout.totalPx], [[0, 40, 100, 160, 260, 320], 320]);
});

for (const [topPx, expected] of [[-50, 0], [0, 0], [39, 0], [40, 1], [159, 2], [160, 3], [319, 4], [999, 4]]) {
  test(`item ${expected} is at ${topPx} px`, () => assert.equal(indexAt(layout, topPx), expected));
}

test('visible items and a margin around them are rendered', () => {
  const rows = layOut(Array.from({ length: 1_000 }, (_, i) => ({ key: `${i}`, kind: 'row' })), () => 10);
  assert.deepEqual(visibleRange(rows, { topPx: 5_000, heightPx: 200 }), { first: 493, end: 528 });
  assert.deepEqual(visibleRange(rows, { topPx: 9_900, heightPx: 200 }), { first: 983, end: 1_000 });
  assert.deepEqual(visibleRange(rows, { topPx: 0, heightPx: 0 }), { first: 0, end: 0 });
});

test('an empty list renders nothing', () => {
  assert.deepEqual(visibleRange(layOut([], () => 1), { topPx: 0, heightPx: 100 }), { first: 0, end: 0 });
});

for (const [widthPx, count] of [[288, 2], [350, 2], [390, 2], [528, 3], [900, 5], [100, 1]]) {
  test(`a line of ${widthPx} px has ${count} cards, which fill it`, () => {
    const columns = cardColumns(widthPx, 16);
    assert.deepEqual([columns.count, columns.cardPx * count + 16 * (count - 1)], [count, widthPx]);
  });
}

test('with text at 200 %, fewer and larger cards are in a line', () => assert.equal(cardColumns(288, 32).count, 1));

test('items are divided into lines', () => assert.deepEqual(inLines([1, 2, 3, 4, 5], 2), [[1, 2], [3, 4], [5]]));
