// The audible output of the buffer engine, used through the player, on a fake sound card.

import assert from 'node:assert/strict';
import test from 'node:test';
import { songOf } from '../support/song.mjs';
import { openAudiblePhone } from '../support/audible-phone.mjs';

/** Largest error of an audible time or position; three times the error of the fake output timestamps. */
const TOLERANCE_MS = 0.3;

/** Longest time from a stop to the last sound: blocks that are already rendered stay audible. */
const MAX_STOP_DELAY_MS = 85;

/** The sound card renders bursts of this length, between which `currentTime` stands still. */
const BURST_MS = 11;

/** Time until the estimate of the output clock has settled. */
const SETTLE_MS = 2_000;

/**
 * A phone that has had a user gesture and has these songs prepared.
 * @param {import('node:test').TestContext} t
 * @param {Record<string, number>} songs name → length in seconds
 * @param {Parameters<typeof openAudiblePhone>[1]} [overrides]
 */
async function openPhone(t, songs, overrides) {
  const phone = openAudiblePhone(t, overrides);
  for (const [song, duration] of Object.entries(songs)) phone.player.prepare(song, songOf(song, duration), { duration });
  phone.player.unlock();
  await phone.time.run(SETTLE_MS);
  return phone;
}

/** @param {string} trackId @param {number} atMs @param {number} [positionSec] */
const startPlan = (trackId, atMs, positionSec = 0) => ({ kind: /** @type {const} */ ('start'), trackId, positionSec, atMs, isImmediate: false });

/** @param {string} trackId @param {number} positionSec */
const holdPlan = (trackId, positionSec) => ({ kind: /** @type {const} */ ('hold'), trackId, positionSec });

/** Advances the time by `ms`, and calls `report` every 250 ms as playback.js does. */
async function runWithReports(phone, ms) {
  for (let elapsedMs = 0; elapsedMs < ms; elapsedMs += 250) {
    phone.player.report();
    await phone.time.run(250);
  }
}

const assertNear = (value, expected, within = TOLERANCE_MS) =>
  assert.ok(Math.abs(value - expected) <= within, `${value} is not within ${within} of ${expected}`);

/** Asserts the audible position at a time of the page's clock. */
const assertPosition = (phone, ms, positionSec, within = TOLERANCE_MS) => assertNear(phone.positionSecAt(ms) * 1000, positionSec * 1000, within);

/** A phone that has played `a` from its beginning for a second; `atMs` is the start time. */
async function openPlayingPhone(t, songs, overrides) {
  const phone = await openPhone(t, songs, overrides);
  const atMs = phone.time.now() + 300;
  phone.player.execute(startPlan('a', atMs));
  await phone.time.run(1_300);
  return { phone, atMs };
}

for (const latencyMs of [12, 40, 180]) {
  test(`a song starts on time without a fade at ${latencyMs} ms latency`, async (t) => {
    const phone = await openPhone(t, { a: 60 }, { latencyMs });
    const atMs = phone.time.now() + 500;
    phone.player.execute(startPlan('a', atMs));
    await phone.time.run(3_000);
    assertNear(phone.audibleSpan(atMs - 500).fromMs, atMs);
    assertPosition(phone, atMs + 2_000, 2);
    assert.equal(phone.levelRange(atMs + 1, atMs + 2_000).min, 1);
    assert.equal(phone.player.report().phase, 'playing');
  });
}

for (const timestamps of /** @type {const} */ (['cancelling', 'rendered'])) {
  test(`${timestamps} timestamps, which lack the output latency, are completed`, async (t) => {
    const phone = await openPhone(t, { a: 60 }, { latencyMs: 90, timestamps });
    const atMs = phone.time.now() + 500;
    phone.player.execute(startPlan('a', atMs));
    await runWithReports(phone, 3_000);
    assertNear(phone.audibleSpan(atMs - 500).fromMs, atMs, BURST_MS);
    assertNear(phone.player.report().positionSec * 1000, phone.positionSecAt(phone.time.now()) * 1000, BURST_MS);
    // The phone's output becomes another one, which is later.
    phone.sound.card.latencyMs = 220;
    phone.player.resetOutputClock();
    await runWithReports(phone, 3_000);
    assertNear(phone.player.report().positionSec * 1000, phone.positionSecAt(phone.time.now()) * 1000, BURST_MS);
  });
}

test('the first gesture makes a context at the sample rate of the output', async (t) => {
  const phone = openAudiblePhone(t);
  phone.player.prepare('a', songOf('a', 60), { duration: 60 });
  await phone.time.run(500);
  phone.sound.card.sampleRate = 44_100;
  phone.player.unlock();
  await phone.time.run(SETTLE_MS);
  assert.deepEqual(phone.sound.runningRates(), [44_100]);
  // The track that was decoded before is played.
  const atMs = phone.time.now() + 500;
  phone.player.execute(startPlan('a', atMs));
  await phone.time.run(2_000);
  assertNear(phone.audibleSpan(atMs - 400).fromMs, atMs);
});

test('a start in mid-song fades in at the planned position', async (t) => {
  const phone = await openPhone(t, { a: 60 });
  const atMs = phone.time.now() + 400;
  phone.player.execute(startPlan('a', atMs, 30));
  await phone.time.run(1_500);
  assertNear(phone.audibleSpan(atMs - 300).fromMs, atMs);
  assertPosition(phone, atMs + 500, 30.5);
  assert.ok(phone.levelRange(atMs + 0.5, atMs + 3).max < 0.5);
  assert.equal(phone.levelRange(atMs + 9, atMs + 500).min, 1);
});

test('a start in the past begins at once at the current position', async (t) => {
  const phone = await openPhone(t, { a: 60 });
  const atMs = phone.time.now() - 1_000;
  const executedMs = phone.time.now();
  phone.player.execute(startPlan('a', atMs, 10));
  await phone.time.run(1_000);
  assertNear(phone.audibleSpan(executedMs).fromMs, executedMs + 60, 20);
  assertPosition(phone, executedMs + 300, 11.3);
});

test('a pause fades out at once and keeps the position', async (t) => {
  const { phone, atMs } = await openPlayingPhone(t, { a: 60 });
  const pausedMs = phone.time.now();
  phone.player.execute(holdPlan('a', 1));
  await phone.time.run(3_000);
  const { toMs } = phone.audibleSpan(atMs);
  assert.ok(toMs > pausedMs && toMs < pausedMs + MAX_STOP_DELAY_MS, `${toMs - pausedMs} ms`);
  assert.ok(phone.levelRange(toMs - 2, toMs).max < 0.5, 'the sound must fade out');
  assert.deepEqual([phone.player.report().phase, phone.player.report().positionSec], ['held', 1]);
  assert.deepEqual(phone.events.ended, []);
});

test('a queued song follows without a gap, and `ended` is reported once', async (t) => {
  const { phone, atMs } = await openPlayingPhone(t, { a: 10, b: 10 });
  const endMs = atMs + 10_000;
  phone.player.scheduleNext({ trackId: 'b', atMs: endMs });
  await runWithReports(phone, 12_000);
  assert.deepEqual(phone.songsHeard(atMs), ['a', 'b']);
  assert.ok(phone.levelRange(atMs + 1, endMs + 1_000).min > 0.9);
  assertPosition(phone, endMs + 500, 0.5);
  assert.deepEqual(phone.events.ended, ['a']);
  const { trackId, phase } = phone.player.report();
  assert.deepEqual([trackId, phase], ['b', 'playing']);
});

test('a cancelled queued song is not heard after the current one', async (t) => {
  const { phone, atMs } = await openPlayingPhone(t, { a: 10, b: 10 });
  phone.player.scheduleNext({ trackId: 'b', atMs: atMs + 10_000 });
  await phone.time.run(8_000);
  phone.player.scheduleNext(null);
  await runWithReports(phone, 6_000);
  assert.deepEqual(phone.songsHeard(atMs), ['a', '']);
  assertNear(phone.audibleSpan(atMs).toMs, atMs + 10_000);
  assert.deepEqual(phone.events.ended, ['a']);
  assert.equal(phone.player.report().phase, 'ended');
});

for (const [description, interrupt] of /** @type {[string, (phone: any) => void][]} */ ([
  ['a pause', (phone) => phone.player.execute(holdPlan('a', 3))],
  ['silence', (phone) => phone.player.execute('silence')],
  ['a seek', (phone) => phone.player.execute(startPlan('a', phone.time.now() + 100, 1))],
])) {
  test(`${description} also cancels the queued song`, async (t) => {
    const { phone, atMs } = await openPlayingPhone(t, { a: 10, b: 10 });
    phone.player.scheduleNext({ trackId: 'b', atMs: atMs + 5_000 });
    await phone.time.run(1_000);
    interrupt(phone);
    await runWithReports(phone, 6_000);
    assert.ok(!phone.songsHeard(atMs).includes('b'), `${phone.songsHeard(atMs)}`);
    assert.deepEqual(phone.events.ended, []);
  });
}

test('a queued song can be rescheduled until 100 ms before its start', async (t) => {
  const { phone, atMs } = await openPlayingPhone(t, { a: 10, b: 10 });
  const queueWithOffset = (/** @type {number} */ offsetMs) => phone.player.scheduleNext({ trackId: 'b', atMs: atMs + 10_000 + offsetMs });
  queueWithOffset(-300);
  await phone.time.run(500);
  queueWithOffset(20);
  assert.equal(phone.sound.activeSources(), 2 + 1, 'the cancelled source must stay active until its block ends');
  await phone.time.run(8_440);
  queueWithOffset(-5);
  await phone.time.run(3_000);
  assert.deepEqual(phone.songsHeard(atMs), ['a', '', 'b']);
  assertPosition(phone, atMs + 11_000, 0.98);
});

test('a queued start is not rescheduled for changes below 0.5 ms', async (t) => {
  const { phone, atMs } = await openPlayingPhone(t, { a: 10, b: 10 });
  for (const offsetMs of [0, 0.2, -0.1, 0.15]) {
    phone.player.scheduleNext({ trackId: 'b', atMs: atMs + 10_000 + offsetMs });
    await phone.time.run(200);
  }
  assert.equal(phone.sound.startedSources(), 2);
});

test('a song longer than indexed fades out when the next starts', async (t) => {
  const { phone, atMs } = await openPlayingPhone(t, { a: 10, b: 10 });
  phone.player.scheduleNext({ trackId: 'b', atMs: atMs + 9_000 });
  await phone.time.run(11_000);
  assertPosition(phone, atMs + 9_500, 0.5);
  assert.equal(phone.levelRange(atMs + 9_100, atMs + 11_000).max, 1, 'the two songs must not overlap');
  assert.deepEqual(phone.events.ended, ['a']);
});

test('a queued song starts on time if the current one ends early', async (t) => {
  const { phone, atMs } = await openPlayingPhone(t, { a: 10, b: 10 });
  phone.player.scheduleNext({ trackId: 'b', atMs: atMs + 10_400 });
  await phone.time.run(11_000);
  assert.deepEqual(phone.songsHeard(atMs), ['a', '', 'b']);
  assertPosition(phone, atMs + 10_900, 0.5);
  assert.deepEqual(phone.events.ended, ['a']);
});

for (const byMs of [12, -7.5]) {
  test(`a slew by ${byMs} ms causes no gap, jump or pitch change`, async (t) => {
    const { phone, atMs } = await openPlayingPhone(t, { a: 60 });
    const slewedMs = phone.time.now();
    phone.player.execute({ kind: 'slew', byMs });
    await phone.time.run(4_000);
    assertPosition(phone, slewedMs + 3_500, (slewedMs + 3_500 - atMs + byMs) / 1000);
    assert.equal(phone.levelRange(atMs + 1, slewedMs + 3_500).min, 1);
    for (let ms = slewedMs; ms < slewedMs + 3_500; ms += 10) {
      const gainedMs = (phone.positionSecAt(ms + 10) - phone.positionSecAt(ms)) * 1000 - 10;
      assert.ok(Math.abs(gainedMs) < 0.06, `${gainedMs} ms in 10 ms`);
    }
    assertNear((phone.player.report().positionSec - (phone.time.now() - atMs) / 1000) * 1000, byMs, TOLERANCE_MS);
  });
}

test('a cut to another position crossfades without a gap', async (t) => {
  const { phone, atMs } = await openPlayingPhone(t, { a: 60 });
  const cutMs = phone.time.now() + 120;
  phone.player.execute(startPlan('a', cutMs, 40));
  await phone.time.run(1_000);
  const { min, max } = phone.levelRange(atMs + 1, cutMs + 700);
  assert.ok(min > 0.95 && max < 1.05, `${min} to ${max}`);
  assertPosition(phone, cutMs - 10, (cutMs - 10 - atMs) / 1000);
  assertPosition(phone, cutMs + 10, 40.01);
  assert.equal(phone.sound.activeSources(), 1, 'the old source must have ended');
});

test('the old song ends exactly when another song starts', async (t) => {
  const { phone, atMs } = await openPlayingPhone(t, { a: 60, b: 60 });
  const nextMs = phone.time.now() + 300;
  phone.player.execute(startPlan('b', nextMs));
  await phone.time.run(1_000);
  assert.deepEqual(phone.songsHeard(atMs), ['a', 'b']);
  assertPosition(phone, nextMs + 500, 0.5);
  assert.equal(phone.sound.activeSources(), 1, 'the old source must have ended');
  assert.deepEqual(phone.events.ended, []);
});

test('the later of two starts while the context resumes takes effect', async (t) => {
  const phone = openAudiblePhone(t);
  for (const song of ['a', 'b']) phone.player.prepare(song, songOf(song, 60), { duration: 60 });
  await phone.time.run(100);
  phone.player.unlock();
  const atMs = phone.time.now() + 600;
  phone.player.execute(startPlan('a', atMs));
  await phone.time.run(50);
  phone.player.execute(startPlan('b', atMs));
  await phone.time.run(1_500);
  assert.deepEqual(phone.songsHeard(atMs + 1), ['b']);
  assertPosition(phone, atMs + 500, 0.5, 1);
});

test('encoder padding is not played', async (t) => {
  const phone = openAudiblePhone(t);
  phone.player.prepare('a', songOf('a', 10.05), { duration: 10, padding: { leadSec: 0.025, wholeSec: 10.05 } });
  phone.player.unlock();
  await phone.time.run(SETTLE_MS);
  const atMs = phone.time.now() + 300;
  phone.player.execute(startPlan('a', atMs));
  await phone.time.run(11_000);
  assertPosition(phone, atMs + 1, 0.026);
  assertNear(phone.audibleSpan(atMs).toMs, atMs + 10_000);
});

test('a song starts on time after its idle context was suspended', async (t) => {
  const { phone } = await openPlayingPhone(t, { a: 60 });
  phone.player.execute(holdPlan('a', 0));
  await phone.time.run(59_000);
  assert.equal(phone.sound.isRunning(), true);
  await phone.time.run(3_000);
  assert.equal(phone.sound.isRunning(), false);
  assert.equal(phone.player.isLocked(), false);
  const atMs = phone.time.now() + 600;
  phone.player.execute(startPlan('a', atMs, 7));
  await phone.time.run(1_500);
  assertNear(phone.audibleSpan(atMs - 500).fromMs, atMs, 1);
  assertPosition(phone, atMs + 500, 7.5, 1);
});

test('after an interruption sound needs a tap and a new plan', async (t) => {
  const { phone } = await openPlayingPhone(t, { a: 60 });
  const interruptedMs = phone.time.now();
  phone.sound.interrupt();
  await runWithReports(phone, 2_000);
  assert.equal(phone.player.isLocked(), true);
  assertNear(phone.player.report().positionSec, 1, 0.05);
  phone.player.unlock();
  await phone.time.run(2_000);
  assert.equal(phone.player.isLocked(), false);
  assert.deepEqual(phone.songsHeard(interruptedMs + MAX_STOP_DELAY_MS), [''], 'the engine must stay silent until the next plan');
  const atMs = phone.time.now() + 300;
  phone.player.execute(startPlan('a', atMs, 20));
  await phone.time.run(1_000);
  assertPosition(phone, atMs + 400, 20.4);
});

test('the engine is locked until the gesture that the browser requires', async (t) => {
  const phone = openAudiblePhone(t, { allowed: false });
  phone.player.prepare('a', songOf('a', 60), { duration: 60 });
  await phone.time.run(100);
  const executedMs = phone.time.now();
  phone.player.execute(startPlan('a', executedMs + 300));
  await phone.time.run(2_000);
  assert.equal(phone.player.isLocked(), true);
  assert.deepEqual(phone.songsHeard(executedMs), ['']);
  phone.sound.card.allowed = true;
  phone.player.unlock();
  await phone.time.run(200);
  assert.equal(phone.player.isLocked(), false);
  const atMs = phone.time.now() + 500;
  phone.player.execute(startPlan('a', atMs, 3));
  await phone.time.run(1_500);
  assertPosition(phone, atMs + 500, 3.5, 1);
});

test('a context that resumes late unlocks the engine without a tap', async (t) => {
  const phone = openAudiblePhone(t, { resumeMs: 1_800 });
  phone.player.prepare('a', songOf('a', 60), { duration: 60 });
  await phone.time.run(100);
  phone.player.execute(startPlan('a', phone.time.now() + 300));
  await phone.time.run(1_700);
  assert.equal(phone.player.isLocked(), true);
  await phone.time.run(500);
  assert.equal(phone.player.isLocked(), false);
});

for (const isRestartable of [true, false]) {
  test(`a context whose clock stands still ${isRestartable ? 'is restarted' : 'locks the engine if restarting fails'}`, async (t) => {
    const { phone } = await openPlayingPhone(t, { a: 60 });
    phone.sound.stopClock(isRestartable);
    await runWithReports(phone, 4_000);
    assert.equal(phone.player.isLocked(), !isRestartable);
    assert.equal(phone.heardAt(phone.time.now()).length, isRestartable ? 1 : 0);
  });
}

test('a clock that moves again unlocks the engine without a tap', async (t) => {
  const { phone } = await openPlayingPhone(t, { a: 60 });
  phone.sound.stopClock(false);
  await runWithReports(phone, 4_000);
  assert.equal(phone.player.isInterrupted(), true);
  phone.sound.releaseClock();
  await runWithReports(phone, 1_000);
  assert.equal(phone.player.isLocked(), false);
  const atMs = phone.time.now() + 500;
  phone.player.execute(startPlan('a', atMs, 3));
  await runWithReports(phone, 1_500);
  assertPosition(phone, atMs + 500, 3.5, 1);
});

test('a start on a context that is being suspended as idle is heard', async (t) => {
  const { phone } = await openPlayingPhone(t, { a: 60 });
  phone.sound.card.suspendMs = 300;
  phone.player.execute(holdPlan('a', 0));
  await phone.time.run(60_100);
  assert.equal(phone.sound.isRunning(), true);
  const atMs = phone.time.now() + 100;
  phone.player.execute(startPlan('a', atMs));
  await phone.time.run(800);
  assert.equal(phone.heardAt(phone.time.now()).length, 1);
});

test('a chirp is heard on time, and a late chirp is dropped', async (t) => {
  const phone = await openPhone(t, {});
  phone.player.execute('silence');
  await phone.time.run(70_000);
  const atMs = phone.time.now() + 1_500;
  phone.player.playTestSound('rise', atMs);
  phone.player.playTestSound('fall', phone.time.now() + 20);
  await phone.time.run(2_500);
  assertNear(phone.audibleSpan(atMs - 1_500).fromMs, atMs);
  assertNear(phone.audibleSpan(atMs - 1_500).toMs, atMs + 100);
});
