// The player's choice of engine, including undecodable and large files, and the silence that the element plays along with
// the music for the lock screen.

import assert from 'node:assert/strict';
import test from 'node:test';
import { songOf } from '../support/song.mjs';
import { openAudiblePhone } from '../support/audible-phone.mjs';

const MINUTE_SEC = 60;

/** @param {string} trackId @param {number} atMs @param {number} [positionSec] */
const startPlan = (trackId, atMs, positionSec = 0) => ({ kind: /** @type {const} */ ('start'), trackId, positionSec, atMs, isImmediate: false });

/**
 * @param {ReturnType<typeof openAudiblePhone>} phone
 * @param {string} song
 * @param {number} durationSec
 * @param {Parameters<typeof songOf>[2]} [support]
 */
const prepare = (phone, song, durationSec, support) => phone.player.prepare(song, songOf(song, durationSec, support), { duration: durationSec });

/** Plays a song for 1.5 s; returns the engine that plays it. */
async function play(phone, song) {
  const atMs = phone.time.now() + 500;
  phone.player.execute(startPlan(song, atMs));
  await phone.time.run(2_000);
  assert.deepEqual(phone.songsHeard(atMs + 200), [song]);
  const isElementAudible = phone.audio.heardAt(phone.time.now()).length > 0;
  assert.equal(phone.player.report().isExact, !isElementAudible);
  return isElementAudible ? 'element' : 'buffers';
}

/** A phone that has had a user gesture. */
async function openPhone(t, overrides) {
  const phone = openAudiblePhone(t, overrides);
  phone.player.unlock();
  await phone.time.run(1_000);
  return phone;
}

test('the element plays songs of unknown length or over twelve minutes', async (t) => {
  const phone = await openPhone(t);
  prepare(phone, 'song', 4 * MINUTE_SEC);
  prepare(phone, 'symphony', 13 * MINUTE_SEC);
  prepare(phone, 'stream', 0);
  await phone.time.run(200);
  assert.equal(await play(phone, 'song'), 'buffers');
  assert.equal(await play(phone, 'symphony'), 'element');
  assert.equal(await play(phone, 'song'), 'buffers');
});

test('the element plays a file that the browser cannot decode', async (t) => {
  const phone = await openPhone(t);
  prepare(phone, 'odd', 60, { decodable: false });
  await phone.time.run(200);
  assert.equal(phone.player.isReady('odd'), true);
  assert.equal(await play(phone, 'odd'), 'element');
  assert.deepEqual(phone.events.unplayable, []);
});

test('an unplayable file is reported only when it should play', async (t) => {
  const phone = await openPhone(t);
  prepare(phone, 'noise', 60, { decodable: false, playable: false });
  await phone.time.run(200);
  assert.deepEqual(phone.events.unplayable, []);
  phone.player.execute({ kind: 'hold', trackId: 'noise', positionSec: 0 });
  await phone.time.run(2_000);
  assert.deepEqual(phone.events.unplayable, ['noise']);
  assert.deepEqual(phone.events.lostTracks, []);
});

for (const [song, duration] of /** @type {[string, number][]} */ ([['song', 60], ['symphony', 13 * MINUTE_SEC]])) {
  test(`without an output a ${song} is not reported unplayable; a tap retries`, async (t) => {
    const phone = openAudiblePhone(t, { present: false });
    prepare(phone, song, duration);
    await phone.time.run(200);
    phone.player.execute(startPlan(song, phone.time.now() + 300));
    await phone.time.run(3_000);
    assert.deepEqual([phone.player.isOutputMissing(), phone.player.isLocked(), phone.events.unplayable], [true, true, []]);
    phone.sound.card.present = true;
    phone.player.unlock();
    await phone.time.run(1_000);
    assert.deepEqual([phone.player.isOutputMissing(), phone.player.isLocked()], [false, false]);
    await play(phone, song);
  });
}

for (const present of [true, false]) {
  test(`a tap during the output probe overrides its result, ${present ? 'with' : 'without'} an output`, async (t) => {
    const phone = openAudiblePhone(t, { present: false });
    prepare(phone, 'symphony', 13 * MINUTE_SEC);
    await phone.time.run(200);
    phone.player.execute(startPlan('symphony', phone.time.now() + 300));
    for (let ms = 0; ms < 3_000 && !phone.audio.error; ms += 1) await phone.time.run(1);
    // After 22 ms the silence that probes the output has started, but has not failed yet.
    await phone.time.run(22);
    assert.equal(phone.player.isOutputMissing(), false);
    phone.sound.card.present = present;
    phone.player.unlock();
    await phone.time.run(1_000);
    assert.deepEqual([phone.player.isOutputMissing(), phone.events.unplayable], [!present, []]);
  });
}

test('the first tap reports a missing audio output', async (t) => {
  const phone = await openPhone(t, { present: false });
  assert.deepEqual([phone.player.isOutputMissing(), phone.player.isLocked()], [true, true]);
});

test('decoding times out after twenty seconds', async (t) => {
  const phone = await openPhone(t, { decodeMs: Infinity });
  prepare(phone, 'odd', 60);
  await phone.time.run(19_000);
  assert.equal(phone.player.isReady('odd'), false);
  await phone.time.run(2_000);
  assert.equal(await play(phone, 'odd'), 'element');
});

test('on a phone the element plays songs beyond the memory limit', async (t) => {
  const phone = await openPhone(t, { touch: true });
  prepare(phone, 'long', 9 * MINUTE_SEC);
  prepare(phone, 'longer', 10 * MINUTE_SEC);
  await phone.time.run(200);
  assert.equal(await play(phone, 'long'), 'buffers');
  assert.equal(await play(phone, 'longer'), 'element');
  phone.player.retainOnly(new Set());
  prepare(phone, 'third', 9 * MINUTE_SEC);
  await phone.time.run(200);
  assert.equal(await play(phone, 'third'), 'buffers');
});

test('where memory is unknown 120 MB are decoded, all channels counted', async (t) => {
  const phone = await openPhone(t, { deviceMemory: null });
  const decodedBytes = () => phone.events.decoded.reduce((sum, [, , seconds]) => sum + seconds * 48_000 * 2 * 4, 0);
  prepare(phone, 'six minutes', 6 * MINUTE_SEC);
  phone.player.prepare('surround', songOf('surround', 2 * MINUTE_SEC, { channels: 6 }), { duration: 2 * MINUTE_SEC, channels: 6 });
  prepare(phone, 'song', 4 * MINUTE_SEC);
  prepare(phone, 'next', 4 * MINUTE_SEC);
  await phone.time.run(500);
  assert.deepEqual(phone.events.decoded.map(([song]) => song), ['song']);
  assert.ok(decodedBytes() < 120e6);
  assert.equal(await play(phone, 'song'), 'buffers');
  for (const song of ['six minutes', 'surround', 'next']) {
    assert.equal(phone.player.isReady(song), true);
    assert.equal(await play(phone, song), 'element');
  }
});

test('a file with more channels than it says is not kept decoded', async (t) => {
  const phone = await openPhone(t, { deviceMemory: null });
  prepare(phone, 'odd', 3 * MINUTE_SEC, { channels: 8 });
  await phone.time.run(200);
  assert.equal(await play(phone, 'odd'), 'element');
  prepare(phone, 'song', 4 * MINUTE_SEC);
  await phone.time.run(200);
  assert.equal(await play(phone, 'song'), 'buffers');
});

test('a song dropped during its decoding does not become ready', async (t) => {
  const phone = await openPhone(t, { decodeMs: 500 });
  prepare(phone, 'a', 60);
  await phone.time.run(100);
  phone.player.retainOnly(new Set());
  await phone.time.run(1_000);
  assert.equal(phone.player.isReady('a'), false);
  assert.deepEqual(phone.events.decoded, []);
});

test('the decoded length is reported with the version that was prepared', async (t) => {
  const phone = await openPhone(t);
  phone.player.prepare('a', songOf('a', 64), { version: 'v3', duration: 63.9, uncorrectedDuration: 60 });
  await phone.time.run(100);
  assert.deepEqual(phone.events.decoded, [['a', 'v3', 64]]);
  assert.deepEqual(phone.player.preparedTrack('a'), { version: 'v3', indexedSec: 60 });
  phone.player.retainOnly(new Set());
  assert.equal(phone.player.preparedTrack('a'), undefined);
});

test('a song replaced during its decoding plays from the new file', async (t) => {
  const phone = await openPhone(t, { decodeMs: 500 });
  phone.player.prepare('a', songOf('the old one', 60), { duration: 60 });
  await phone.time.run(100);
  phone.player.retainOnly(new Set());
  phone.player.prepare('a', songOf('the new one', 60), { duration: 60 });
  await phone.time.run(1_500);
  const atMs = phone.time.now() + 300;
  phone.player.execute(startPlan('a', atMs));
  await phone.time.run(1_000);
  assert.deepEqual(phone.songsHeard(atMs + 1), ['the new one']);
});

test('a broken file replaced during decoding does not affect its replacement', async (t) => {
  const phone = await openPhone(t, { decodeMs: 500 });
  prepare(phone, 'a', 60, { decodable: false });
  await phone.time.run(100);
  phone.player.retainOnly(new Set());
  prepare(phone, 'a', 60);
  await phone.time.run(1_500);
  assert.equal(await play(phone, 'a'), 'buffers');
});

test('silence plays at the song’s position 300 ms after its start', async (t) => {
  const phone = await openPhone(t);
  prepare(phone, 'a', 60);
  await phone.time.run(200);
  const atMs = phone.time.now() + 500;
  phone.player.execute(startPlan('a', atMs, 20));
  await phone.time.run(500 + 290);
  assert.deepEqual(phone.audio.passages.filter(({ fromMs }) => fromMs > atMs - 500), [], 'the silence must not start within 300 ms of the music');
  await phone.time.run(1_000);
  assert.equal(phone.audio.paused, false);
  assert.equal(Math.round(phone.audio.duration), 60);
  const positionSec = 20 + (phone.time.now() - atMs) / 1000;
  assert.ok(Math.abs(phone.audio.currentTime - positionSec) < 0.2, `${phone.audio.currentTime} instead of ${positionSec}`);
});

test('a pause also pauses the element’s silence', async (t) => {
  const phone = await openPhone(t);
  prepare(phone, 'a', 60);
  await phone.time.run(200);
  await play(phone, 'a');
  phone.player.execute({ kind: 'hold', trackId: 'a', positionSec: 12 });
  await phone.time.run(1_000);
  assert.equal(phone.audio.paused, true);
  assert.equal(phone.audio.currentTime, 12);
  assert.equal(phone.player.isLocked(), false);
});

test('the element’s silence changes to the length of the next song', async (t) => {
  const phone = await openPhone(t);
  prepare(phone, 'a', 10);
  prepare(phone, 'b', 30);
  await phone.time.run(200);
  const atMs = phone.time.now() + 300;
  phone.player.execute(startPlan('a', atMs));
  await phone.time.run(500);
  phone.player.scheduleNext({ trackId: 'b', atMs: atMs + 10_000 });
  await phone.time.run(11_500);
  assert.deepEqual(phone.songsHeard(atMs + 1), ['a', 'b']);
  assert.equal(phone.audio.duration, 30);
  assert.equal(phone.audio.paused, false);
});

test('an interruption stops the element’s silence or prevents its start', async (t) => {
  for (const afterMs of [700, 2_000]) {
    const phone = await openPhone(t);
    prepare(phone, 'a', 60);
    await phone.time.run(200);
    phone.player.execute(startPlan('a', phone.time.now() + 500));
    await phone.time.run(afterMs);
    phone.sound.interrupt();
    const interruptedMs = phone.time.now();
    await phone.time.run(2_000);
    assert.equal(phone.player.isLocked(), true);
    assert.equal(phone.audio.paused, true);
    assert.ok(phone.audio.passages.every(({ toMs, fromMs }) => fromMs < interruptedMs && toMs <= interruptedMs + 100), `after ${afterMs} ms`);
    t.mock.restoreAll();
  }
});

test('a headset key that pauses the element’s silence pauses the music', async (t) => {
  const phone = await openPhone(t);
  prepare(phone, 'a', 60);
  await phone.time.run(200);
  await play(phone, 'a');
  const pausedMs = phone.time.now();
  phone.audio.pause();
  await phone.time.run(2_000);
  assert.ok(phone.audibleSpan(pausedMs).toMs < pausedMs + 100);
  assert.equal(phone.player.isLocked(), true);
});

test('the end of a song is reported once, not for the silence', async (t) => {
  const phone = await openPhone(t);
  prepare(phone, 'a', 5);
  await phone.time.run(200);
  const atMs = phone.time.now() + 300;
  phone.player.execute(startPlan('a', atMs));
  await phone.time.run(8_000);
  assert.deepEqual(phone.events.ended, ['a']);
});

test('only one song is heard when the engine changes', async (t) => {
  const phone = await openPhone(t);
  prepare(phone, 'a', 60);
  prepare(phone, 'opera', 13 * MINUTE_SEC);
  await phone.time.run(200);
  const fromMs = phone.time.now();
  for (const song of ['opera', 'a', 'opera']) await play(phone, song);
  for (let ms = fromMs; ms < phone.time.now(); ms += 5) {
    const songs = new Set(phone.heardAt(ms).map(({ song }) => song));
    assert.ok(songs.size < 2, `${[...songs]} at ${ms - fromMs}`);
  }
});
