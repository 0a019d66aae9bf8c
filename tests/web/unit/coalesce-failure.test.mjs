// Failures of a coalesced job.

import assert from 'node:assert/strict';
import test from 'node:test';
import { coalesce } from '../../../static/js/coalesce.js';

test('a run requested during a run that fails still takes place', async () => {
  let runCount = 0;
  let failFirstRun = () => {};
  const request = coalesce(() => {
    runCount += 1;
    return runCount > 1 ? undefined : new Promise((_, reject) => (failFirstRun = () => reject(new Error('first run'))));
  });
  const firstRequest = request();
  request();
  failFirstRun();
  await assert.rejects(firstRequest, /first run/);
  assert.equal(runCount, 2);
});

test('a run requested by a job that throws still takes place', async () => {
  let runCount = 0;
  const request = coalesce(() => {
    runCount += 1;
    if (runCount > 1) return;
    request();
    throw new Error('first run');
  });
  await assert.rejects(request(), /first run/);
  assert.equal(runCount, 2);
});
