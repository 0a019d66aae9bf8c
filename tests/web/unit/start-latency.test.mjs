// The estimated latencies of a media element.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createStartLatency } from '../../../static/js/sound/start-latency.js';

test('the latency approaches the measured starts by half of the difference', () => {
  const latency = createStartLatency();
  latency.recordStart(95, false);
  assert.equal(latency.latencyMs(), 85);
  latency.recordStart(85, false);
  assert.equal(latency.latencyMs(), 85);
});

test('track changes have a separate latency', () => {
  const latency = createStartLatency();
  latency.recordStart(210, true);
  assert.deepEqual([latency.latencyMs(), latency.trackChangeLatencyMs()], [75, 160]);
});

test('measured latencies are clamped to the range 0 to 250 ms', () => {
  const latency = createStartLatency();
  latency.recordStart(10_000, false);
  assert.equal(latency.latencyMs(), (75 + 250) / 2);
  latency.recordStart(-10_000, false);
  assert.equal(latency.latencyMs(), (75 + 250) / 4);
});

test('late seeks raise the lead time, punctual seeks lower it slowly', () => {
  const latency = createStartLatency();
  const initialMs = latency.leadMs();
  latency.recordLateSeek(200);
  assert.equal(latency.leadMs() - initialMs, 200 + 15 - 60);
  latency.recordSeekInTime(0);
  assert.equal(latency.leadMs() - initialMs, 215 + (15 - 215) / 4 - 60);
  for (let i = 0; i < 50; i += 1) latency.recordSeekInTime(0);
  assert.equal(latency.leadMs(), initialMs);
});
