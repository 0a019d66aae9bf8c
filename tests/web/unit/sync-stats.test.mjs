// The statistics of sync errors and corrections.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createSyncStats } from '../../../static/js/sound/sync-stats.js';

/** Statistics with these sync errors, recorded 250 ms apart. */
function statsWith(errorsMs) {
  const stats = createSyncStats();
  errorsMs.forEach((errorMs, i) => stats.record(i * 250, errorMs, 40));
  return stats;
}

test('there is no sync error with fewer than nine samples', () => {
  assert.equal(statsWith([1, 1, 1, 1, 1, 1, 1, 1]).syncErrorMs(), null);
});

test('an outlier does not change the sync error', () => {
  assert.equal(statsWith([2, 2, 2, 2, 90, 2, 2, 2, 2]).syncErrorMs(), 2);
});

test('only the last nine samples count', () => {
  assert.equal(statsWith([...Array(20).fill(50), ...Array(9).fill(3)]).syncErrorMs(), 3);
});

test('there is no sync error after the sound has stopped', () => {
  assert.equal(statsWith([...Array(9).fill(3), null]).syncErrorMs(), null);
});

test('a cut resets the sync error, and a slew does not', () => {
  const stats = statsWith(Array(9).fill(3));
  stats.countCorrection('slews');
  assert.equal(stats.syncErrorMs(), 3);
  stats.countCorrection('cuts');
  assert.equal(stats.syncErrorMs(), null);
  assert.deepEqual([stats.summary().slews, stats.summary().cuts], [1, 1]);
});

test('the plot keeps two minutes with one sample per second', () => {
  const { plotSamples: plot } = statsWith(Array(4 * 200).fill(1)).summary();
  assert.ok(plot.length >= 119 && plot.length <= 121, `the plot has ${plot.length} samples`);
});
