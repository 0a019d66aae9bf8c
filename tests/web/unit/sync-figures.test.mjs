// The plot of the sync figures sheet.

import assert from 'node:assert/strict';
import test from 'node:test';
import { plotPoints } from '../../../static/js/ui/sync-figures.js';

test('the plot shows the present at the right, positive errors above', () => {
  const samples = [{ atMs: 0, syncErrorMs: 0 }, { atMs: 60_000, syncErrorMs: 5 }, { atMs: 120_000, syncErrorMs: -50 }];
  assert.equal(plotPoints(samples, 120_000, 5), '0.0,30.0 120.0,0.0 240.0,60.0');
});
