// The merging of calls during the run of a coalesced job.

import assert from 'node:assert/strict';
import test from 'node:test';
import { coalesce } from '../../../static/js/coalesce.js';

/** A job each of whose runs lasts until `endRun` is called. */
function createJob() {
  /** @type {((value?: unknown) => void)[]} */
  const resolveCallbacks = [];
  let runs = 0;
  const job = () => new Promise((resolve) => {
    runs += 1;
    resolveCallbacks.push(resolve);
  });
  const endRun = async () => {
    resolveCallbacks.shift()?.();
    await new Promise(setImmediate);
  };
  return { job, endRun, runs: () => runs };
}

test('calls during a run cause one more run afterwards', async () => {
  const { job, endRun, runs } = createJob();
  const request = coalesce(job);
  const first = request();
  for (let i = 0; i < 3; i += 1) request();
  assert.equal(runs(), 1);
  await endRun();
  assert.equal(runs(), 2);
  await endRun();
  await first;
  assert.equal(runs(), 2);
});

test('a job that calls itself runs again after its end', () => {
  /** @type {string[]} */
  const log = [];
  const request = coalesce(() => {
    log.push('start');
    if (log.length === 1) request();
    log.push('end');
  });
  request();
  assert.deepEqual(log, ['start', 'end', 'start', 'end']);
});

test('a job that failed can run again', async () => {
  let runs = 0;
  const request = coalesce(async () => {
    runs += 1;
    if (runs === 1) throw new Error('first run');
  });
  await assert.rejects(request(), /first run/);
  await request();
  assert.equal(runs, 2);
});
