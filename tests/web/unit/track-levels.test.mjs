// The level of tracks and the volume of the phone, as they are heard on the player's sound card.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { songOf } from '../support/song.mjs';
import { openAudiblePhone } from '../support/audible-phone.mjs';

const startPlan = (/** @type {string} */ trackId, /** @type {number} */ atMs, positionSec = 0) => ({ kind: /** @type {const} */ ('start'), trackId, positionSec, atMs, isImmediate: false });

/** A phone with the decoded tracks `loud` and `quiet` of 20 s, whose levels a test can change. */
async function openPhone(t, overrides = {}) {
  const levels = { loud: 0.25, quiet: 2 };
  /** The tracks whose levels were asked for. @type {string[]} */
  const asked = [];
  const phone = openAudiblePhone(t, overrides, {}, (trackId) => {
    asked.push(trackId);
    return levels[trackId] ?? 1;
  });
  phone.player.unlock();
  await phone.time.run(1_000);
  for (const song of ['loud', 'quiet']) phone.player.prepare(song, songOf(song, 20), { duration: 20 });
  await phone.time.run(200);
  return { ...phone, levels, asked };
}

/** The level that is heard in the next 200 ms, which must be steady. */
async function heardLevel(phone) {
  const fromMs = phone.time.now();
  await phone.time.run(600);
  const { min, max } = phone.levelRange(fromMs + 100, fromMs + 300);
  assert.ok(max - min < 1e-6, `the level varies from ${min} to ${max}`);
  return max;
}

test('each track has its level from its first sample, without a gap between them', async (t) => {
  const phone = await openPhone(t);
  const atMs = phone.time.now() + 500;
  phone.player.execute(startPlan('loud', atMs));
  await phone.time.run(1_000);
  phone.player.scheduleNext({ trackId: 'quiet', atMs: atMs + 20_000 });
  await phone.time.run(21_000);
  const loud = phone.levelRange(atMs + 1, atMs + 19_990);
  const quiet = phone.levelRange(atMs + 20_060, atMs + 21_000);
  assert.deepEqual([loud, quiet], [{ min: 0.25, max: 0.25 }, { min: 2, max: 2 }]);
});

test('a level that is found before the start applies, and a later one does not', async (t) => {
  const phone = await openPhone(t);
  const atMs = phone.time.now() + 500;
  phone.player.execute(startPlan('loud', atMs));
  await phone.time.run(1_000);
  phone.player.scheduleNext({ trackId: 'quiet', atMs: atMs + 20_000 });
  phone.levels.loud = 0.125;
  phone.levels.quiet = 1.5;
  phone.player.updateLevels();
  assert.equal(await heardLevel(phone), 0.25);
  await phone.time.run(atMs + 20_100 - phone.time.now());
  phone.levels.quiet = 3;
  phone.player.updateLevels();
  assert.equal(await heardLevel(phone), 1.5);
});

test('the level of a sounding track is not computed again', async (t) => {
  const phone = await openPhone(t);
  const atMs = phone.time.now() + 500;
  phone.player.execute(startPlan('loud', atMs));
  await phone.time.run(1_000);
  phone.player.scheduleNext({ trackId: 'quiet', atMs: atMs + 20_000 });
  phone.asked.length = 0;
  phone.player.updateLevels();
  assert.deepEqual(phone.asked, ['quiet']);
});

test('a track that starts in the middle fades in to its level', async (t) => {
  const phone = await openPhone(t);
  phone.player.execute(startPlan('loud', phone.time.now() + 200, 5));
  await phone.time.run(500);
  assert.equal(await heardLevel(phone), 0.25);
});

test('the volume changes smoothly while a track sounds, and muted is not paused', async (t) => {
  const phone = await openPhone(t);
  phone.player.execute(startPlan('loud', phone.time.now() + 200));
  await phone.time.run(500);
  const fromMs = phone.time.now();
  phone.player.setOutputGain(0.5);
  assert.equal(await heardLevel(phone), 0.125);
  const levels = Array.from({ length: 200 }, (_, ms) => phone.levelRange(fromMs + ms, fromMs + ms + 1).max);
  const steps = levels.map((level, i) => Math.abs(level - (levels[i - 1] ?? level)));
  assert.ok(Math.max(...steps) < 0.02, `a step of ${Math.max(...steps)}`);
  phone.player.setOutputGain(0);
  await phone.time.run(500);
  assert.deepEqual(phone.heardAt(phone.time.now()), []);
  assert.equal(phone.player.report().phase, 'playing');
  phone.player.setOutputGain(1);
  assert.equal(await heardLevel(phone), 0.25);
});

test('the element has the volume, and is neither raised above 1 nor muted in silence', async (t) => {
  const phone = await openPhone(t);
  const audio = /** @type {any} */ (phone.audio);
  phone.player.prepare('symphony', songOf('symphony', 900), { duration: 900 });
  phone.levels.symphony = 0.5;
  phone.player.execute(startPlan('symphony', phone.time.now() + 200));
  await phone.time.run(500);
  phone.player.setOutputGain(0.5);
  assert.deepEqual([audio.volume, audio.muted], [0.25, false]);
  phone.player.setOutputGain(0);
  assert.equal(audio.muted, true);
  phone.player.setOutputGain(1);
  phone.levels.symphony = 4;
  phone.player.execute(startPlan('symphony', phone.time.now() + 200, 10));
  assert.equal(audio.volume, 1);
  // The silence beside the buffer engine keeps the page alive.
  phone.player.execute(startPlan('loud', phone.time.now() + 200));
  phone.player.setOutputGain(0);
  await phone.time.run(1_000);
  assert.deepEqual([audio.volume, audio.muted], [1, false]);
});

test('the silence that keeps a hidden page alive is neither levelled nor muted', async (t) => {
  const phone = await openPhone(t);
  const audio = /** @type {any} */ (phone.audio);
  phone.player.prepare('symphony', songOf('symphony', 900), { duration: 900 });
  phone.levels.symphony = 0.5;
  phone.player.setOutputGain(0);
  phone.player.execute(startPlan('symphony', phone.time.now() + 200));
  await phone.time.run(500);
  assert.deepEqual([audio.volume, audio.muted], [0, true]);
  phone.player.keepAlive();
  await phone.time.run(500);
  assert.deepEqual([audio.volume, audio.muted], [1, false]);
});

/** A phone that plays `waiting` on the element, since the memory is full until `first` is dropped. */
async function openFullPhone(t, level, overrides = {}, support = {}) {
  const phone = await openPhone(t, { deviceMemory: null, ...overrides });
  const audio = /** @type {any} */ (phone.audio);
  phone.player.retainOnly(new Set());
  phone.levels.waiting = level;
  for (const song of ['first', 'waiting']) phone.player.prepare(song, songOf(song, 240, song === 'waiting' ? support : {}), { duration: 240 });
  await phone.time.run(200);
  phone.player.execute(startPlan('first', phone.time.now() + 200));
  await phone.time.run(1_000);
  const atMs = phone.time.now() + 200;
  phone.player.execute(startPlan('waiting', atMs));
  await phone.time.run(600);
  const takeOver = async () => {
    phone.player.retainOnly(new Set(['waiting']));
    await phone.time.run(200);
    const nowMs = phone.time.now();
    phone.player.execute(startPlan('waiting', nowMs + 200, (nowMs + 200 - atMs) / 1000));
    await phone.time.run(800);
  };
  return { ...phone, audio, atMs, takeOver };
}

test('the buffers go on with the level of an element that cannot raise a track', async (t) => {
  const phone = await openFullPhone(t, 2);
  phone.player.setOutputGain(0.8);
  await phone.time.run(200);
  assert.deepEqual([phone.audio.volume, phone.audio.muted], [1, false]);
  await phone.takeOver();
  assert.equal(phone.player.report().isExact, true);
  assert.ok(Math.abs((await heardLevel(phone)) - 1) < 1e-6);
  phone.player.updateLevels();
  const nextAtMs = phone.time.now() + 200;
  phone.player.prepare('quiet', songOf('quiet', 20), { duration: 20 });
  await phone.time.run(100);
  phone.player.execute(startPlan('quiet', nextAtMs));
  await phone.time.run(500);
  assert.ok(Math.abs((await heardLevel(phone)) - 1.6) < 1e-6, 'the next track has its own level');
});

test('an element without a volume is muted until the buffers take over', async (t) => {
  const phone = await openFullPhone(t, 0.5, { isVolumeFixed: true });
  assert.equal(phone.audio.muted, true);
  await phone.takeOver();
  assert.equal(phone.player.report().isExact, true);
  assert.equal(await heardLevel(phone), 0.5);
  assert.equal(phone.audio.muted, false, 'the silence beside the buffers is not muted');
});

test('a start whose takeover fails to come is unmuted', async (t) => {
  const late = await openFullPhone(t, 0.5, { isVolumeFixed: true });
  await late.time.run(3_000);
  assert.equal(late.audio.muted, true);
  await late.time.run(2_000);
  assert.equal(late.audio.muted, false);
  late.player.execute(startPlan('waiting', late.time.now() + 200, 6));
  await late.time.run(500);
  assert.equal(late.audio.muted, false, 'a correction of the position does not mute a track that sounds');
});

test('a start of a track that proves undecodable is unmuted', async (t) => {
  const phone = await openFullPhone(t, 0.5, { isVolumeFixed: true }, { decodable: false });
  assert.equal(phone.audio.muted, true);
  phone.player.retainOnly(new Set(['waiting']));
  await phone.time.run(200);
  assert.equal(phone.audio.muted, false);
});

for (const [name, level, overrides] of /** @type {[string, number, object][]} */ ([
  ['a volume that can be set', 0.5, {}],
  ['a track that is to be raised', 2, { isVolumeFixed: true }],
])) {
  test(`a start is not muted with ${name}`, async (t) => {
    const phone = await openFullPhone(t, level, overrides);
    assert.equal(phone.audio.muted, false);
  });
}

test('a track that the buffers will not take over is not muted', async (t) => {
  const phone = await openPhone(t, { isVolumeFixed: true });
  phone.levels.symphony = 0.5;
  phone.player.prepare('symphony', songOf('symphony', 900), { duration: 900 });
  phone.player.execute(startPlan('symphony', phone.time.now() + 200));
  await phone.time.run(500);
  assert.equal(/** @type {any} */ (phone.audio).muted, false);
});
