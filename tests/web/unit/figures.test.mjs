import assert from 'node:assert/strict';
import test from 'node:test';
import { createFigures } from '../../../static/js/figures.js';
import { isNews } from '../../../static/js/reporter.js';
import { nextSound } from '../../../static/js/tuner.js';
import { plotLine } from '../../../static/js/ui/figures.js';

/** Figures after such looks, a quarter of a second apart. */
function after(offs) {
  const figures = createFigures();
  offs.forEach((offMs, i) => figures.look(i * 250, offMs, 40));
  return figures;
}

test('nothing is said of a sound that was looked at less than nine times', () => {
  assert.equal(after([1, 1, 1, 1, 1, 1, 1, 1]).offMs(), null);
});

test('one look that is far off does not make the figure', () => {
  assert.equal(after([2, 2, 2, 2, 90, 2, 2, 2, 2]).offMs(), 2);
});

test('only the last nine looks count', () => {
  assert.equal(after([...Array(20).fill(50), ...Array(9).fill(3)]).offMs(), 3);
});

test('a sound that fell silent has no figure', () => {
  assert.equal(after([...Array(9).fill(3), null]).offMs(), null);
});

test('after a cut the figure is found anew, and after a move that nobody hears it stays', () => {
  const figures = after(Array(9).fill(3));
  figures.corrected('slews');
  assert.equal(figures.offMs(), 3);
  figures.corrected('cuts');
  assert.equal(figures.offMs(), null);
  assert.deepEqual([figures.all().slews, figures.all().cuts], [1, 1]);
});

test('the last two minutes are kept, a look a second', () => {
  const { plot } = after(Array(4 * 200).fill(1)).all();
  assert.ok(plot.length >= 119 && plot.length <= 121, `${plot.length}`);
});

test('the plot has now at its right, in step in its middle and ahead above that', () => {
  const looks = [{ atMs: 0, offMs: 0 }, { atMs: 60_000, offMs: 5 }, { atMs: 120_000, offMs: -50 }];
  assert.equal(plotLine(looks, 120_000, 5), '0.0,30.0 120.0,0.0 240.0,60.0');
});

const REPORT = { offMs: 1, roundTripMs: 5, latencyMs: 40, needsMs: 80, waitsForTap: false };
for (const [name, told, now, news] of [
  ['the first report', null, REPORT, true],
  ['the same again', REPORT, REPORT, false],
  ['a little more', REPORT, { ...REPORT, offMs: 2 }, false],
  ['much more', REPORT, { ...REPORT, offMs: -9 }, true],
  ['silence', REPORT, { ...REPORT, offMs: null }, true],
  ['that it waits for a tap', REPORT, { ...REPORT, waitsForTap: true }, true],
  ['a slower network', REPORT, { ...REPORT, needsMs: 200 }, true],
]) {
  test(`the server hears of ${name}: ${news}`, () => assert.equal(isNews(told, now), news));
}

const TICKS = { kind: 'tick', startsAtMs: 5_000, memberIds: [] };
for (const [name, tuning, serverMs, tickMs] of [
  ['before they begin it is the first', TICKS, 4_200, 5_000],
  ['then it is the next whole second', TICKS, 7_001, 8_000],
  ['on the second it is that', TICKS, 8_000, 8_000],
  ['after a minute there is none', TICKS, 65_001, null],
  ['once it is stopped there is none', { ...TICKS, kind: 'off' }, 7_000, null],
]) {
  test(`the next tick: ${name}`, () => assert.deepEqual(nextSound(tuning, 'm1', serverMs), tickMs && { sound: 'tick', atMs: tickMs }));
}
