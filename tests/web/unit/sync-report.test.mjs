// The report of this phone's synchronisation.

import assert from 'node:assert/strict';
import test from 'node:test';
import { syncReport } from '../../../static/js/app/sync-report.js';

const NAVIGATOR = { userAgent: 'Mozilla/5.0 (Android 14; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0', maxTouchPoints: 5 };

const CLOCK = { atMs: 0, offsetMs: 5, drift: 0, roundTripMs: 4, slowRoundTripMs: 30 };

test('needsMs is the sum of slow round trip, output latency and reserve', () => {
  const report = syncReport({ clock: CLOCK, sound: { isLocked: true, isInterrupted: false }, outputKind: 'late' }, { syncErrorMs: -2, latencyMs: 40 }, NAVIGATOR);
  assert.deepEqual(report, { offMs: -2, roundTripMs: 4, latencyMs: 40, needsMs: 95, waitsForTap: true, pausedAlone: false, kind: 'firefox-android-late' });
});

test('a phone that alone is paused is reported as silent until a tap', () => {
  const state = { clock: CLOCK, sound: { isLocked: false }, isPausedHere: true };
  const report = syncReport(state, { syncErrorMs: null, latencyMs: 40 }, NAVIGATOR);
  assert.deepEqual([report?.waitsForTap, report?.pausedAlone], [true, true]);
});

test('there is no report before the first clock estimate', () => {
  assert.equal(syncReport({ clock: null, sound: { isLocked: false } }, { syncErrorMs: null, latencyMs: 0 }, NAVIGATOR), null);
});
