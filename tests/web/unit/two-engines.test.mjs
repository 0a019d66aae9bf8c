// Which of the player's two engines plays what, and what goes on between them: files that a browser cannot decode, or
// that are too large for it, and the silence that the element plays beside the music for the lock screen.

import assert from 'node:assert/strict';
import test from 'node:test';
import { songOf } from '../support/song.mjs';
import { openSoundingPhone } from '../support/sounding-phone.mjs';

const MINUTE = 60;

/** @param {string} trackId @param {number} atMs @param {number} [positionSec] */
const start = (trackId, atMs, positionSec = 0) => ({ kind: /** @type {const} */ ('start'), trackId, positionSec, atMs, atOnce: false });

/**
 * @param {ReturnType<typeof openSoundingPhone>} phone
 * @param {string} song
 * @param {number} duration
 * @param {Parameters<typeof songOf>[2]} [is]
 */
const prepare = (phone, song, duration, is) => phone.player.prepare(song, songOf(song, duration, is), { duration });

/** Starts a song, and gives it the time to be heard; says by which engine. */
async function play(phone, song) {
  const atMs = phone.time.now() + 500;
  phone.player.follow(start(song, atMs));
  await phone.time.run(2_000);
  assert.deepEqual(phone.songs(atMs + 200), [song]);
  const byElement = phone.audio.heardAt(phone.time.now()).length > 0;
  assert.equal(phone.player.report().exact, !byElement);
  return byElement ? 'element' : 'buffers';
}

async function open(t, over) {
  const phone = openSoundingPhone(t, over);
  phone.player.unlock();
  await phone.time.run(1_000);
  return phone;
}

test('a song of known length is played to the sample, one of unknown length or over twelve minutes by the element', async (t) => {
  const phone = await open(t);
  prepare(phone, 'song', 4 * MINUTE);
  prepare(phone, 'symphony', 13 * MINUTE);
  prepare(phone, 'stream', 0);
  await phone.time.run(200);
  assert.equal(await play(phone, 'song'), 'buffers');
  assert.equal(await play(phone, 'symphony'), 'element');
  assert.equal(await play(phone, 'song'), 'buffers');
});

test('a file that the browser does not decode is played by the element, and the room hears nothing of it', async (t) => {
  const phone = await open(t);
  prepare(phone, 'odd', 60, { decodable: false });
  await phone.time.run(200);
  assert.equal(phone.player.has('odd'), true);
  assert.equal(await play(phone, 'odd'), 'element');
  assert.deepEqual(phone.told.unplayable, []);
});

test('a file that neither engine plays is said to be unplayable, once it is its turn', async (t) => {
  const phone = await open(t);
  prepare(phone, 'noise', 60, { decodable: false, playable: false });
  await phone.time.run(200);
  assert.deepEqual(phone.told.unplayable, []);
  phone.player.follow({ kind: 'hold', trackId: 'noise', positionSec: 0 });
  await phone.time.run(2_000);
  assert.deepEqual(phone.told.unplayable, ['noise']);
  assert.deepEqual(phone.told.lost, []);
});

for (const [song, duration] of /** @type {[string, number][]} */ ([['song', 60], ['symphony', 13 * MINUTE]])) {
  test(`where there is nothing to sound from, no file is blamed, and a tap tries again: a ${song}`, async (t) => {
    const phone = openSoundingPhone(t, { present: false });
    prepare(phone, song, duration);
    await phone.time.run(200);
    phone.player.follow(start(song, phone.time.now() + 300));
    await phone.time.run(3_000);
    assert.deepEqual([phone.player.mute(), phone.player.locked(), phone.told.unplayable], [true, true, []]);
    phone.sound.card.present = true;
    phone.player.unlock();
    await phone.time.run(1_000);
    assert.deepEqual([phone.player.mute(), phone.player.locked()], [false, false]);
    await play(phone, song);
  });
}

for (const present of [true, false]) {
  test(`a tap while the output is looked for counts more than what is found, ${present ? 'with' : 'still without'} an output`, async (t) => {
    const phone = openSoundingPhone(t, { present: false });
    prepare(phone, 'symphony', 13 * MINUTE);
    await phone.time.run(200);
    phone.player.follow(start('symphony', phone.time.now() + 300));
    for (let ms = 0; ms < 3_000 && !phone.audio.error; ms += 1) await phone.time.run(1);
    // By then the silence that is tried has begun, but not yet failed.
    await phone.time.run(22);
    assert.equal(phone.player.mute(), false);
    phone.sound.card.present = present;
    phone.player.unlock();
    await phone.time.run(1_000);
    assert.deepEqual([phone.player.mute(), phone.told.unplayable], [!present, []]);
  });
}

test('without anything to sound from, the tap that joins the room shows it', async (t) => {
  const phone = await open(t, { present: false });
  assert.deepEqual([phone.player.mute(), phone.player.locked()], [true, true]);
});

test('a decoder that never answers is given up after twenty seconds', async (t) => {
  const phone = await open(t, { decodeMs: Infinity });
  prepare(phone, 'odd', 60);
  await phone.time.run(19_000);
  assert.equal(phone.player.has('odd'), false);
  await phone.time.run(2_000);
  assert.equal(await play(phone, 'odd'), 'element');
});

test('on a phone, a next song that does not fit beside the current one is the element’s, and fits again once that is gone', async (t) => {
  const phone = await open(t, { touch: true });
  prepare(phone, 'long', 9 * MINUTE);
  prepare(phone, 'longer', 10 * MINUTE);
  await phone.time.run(200);
  assert.equal(await play(phone, 'long'), 'buffers');
  assert.equal(await play(phone, 'longer'), 'element');
  phone.player.keep(new Set(['longer']));
  prepare(phone, 'third', 9 * MINUTE);
  await phone.time.run(200);
  assert.equal(await play(phone, 'third'), 'buffers');
});

test('what is let go of while it is being decoded is not at hand afterwards', async (t) => {
  const phone = await open(t, { decodeMs: 500 });
  prepare(phone, 'a', 60);
  await phone.time.run(100);
  phone.player.keep(new Set());
  await phone.time.run(1_000);
  assert.equal(phone.player.has('a'), false);
  assert.deepEqual(phone.told.durations, []);
});

test('a song whose file changes while it is being decoded is played from the new one', async (t) => {
  const phone = await open(t, { decodeMs: 500 });
  phone.player.prepare('a', songOf('the old one', 60), { duration: 60 });
  await phone.time.run(100);
  phone.player.keep(new Set());
  phone.player.prepare('a', songOf('the new one', 60), { duration: 60 });
  await phone.time.run(1_500);
  const atMs = phone.time.now() + 300;
  phone.player.follow(start('a', atMs));
  await phone.time.run(1_000);
  assert.deepEqual(phone.songs(atMs + 1), ['the new one']);
});

test('a broken file that is replaced while it is being decoded says nothing about the new one', async (t) => {
  const phone = await open(t, { decodeMs: 500 });
  prepare(phone, 'a', 60, { decodable: false });
  await phone.time.run(100);
  phone.player.keep(new Set());
  prepare(phone, 'a', 60);
  await phone.time.run(1_500);
  assert.equal(await play(phone, 'a'), 'buffers');
});

test('the element’s silence follows the music 300 ms later, as long as the song and at its place', async (t) => {
  const phone = await open(t);
  prepare(phone, 'a', 60);
  await phone.time.run(200);
  const atMs = phone.time.now() + 500;
  phone.player.follow(start('a', atMs, 20));
  await phone.time.run(500 + 290);
  assert.deepEqual(phone.audio.passages.filter(({ fromMs }) => fromMs > atMs - 500), [], 'nothing disturbs a beginning');
  await phone.time.run(1_000);
  assert.equal(phone.audio.paused, false);
  assert.equal(Math.round(phone.audio.duration), 60);
  const placeSec = 20 + (phone.time.now() - atMs) / 1000;
  assert.ok(Math.abs(phone.audio.currentTime - placeSec) < 0.2, `${phone.audio.currentTime} for ${placeSec}`);
});

test('a pause is shown on the lock screen, too', async (t) => {
  const phone = await open(t);
  prepare(phone, 'a', 60);
  await phone.time.run(200);
  await play(phone, 'a');
  phone.player.follow({ kind: 'hold', trackId: 'a', positionSec: 12 });
  await phone.time.run(1_000);
  assert.equal(phone.audio.paused, true);
  assert.equal(phone.audio.currentTime, 12);
  assert.equal(phone.player.locked(), false);
});

test('with the next song the silence is that of the next', async (t) => {
  const phone = await open(t);
  prepare(phone, 'a', 10);
  prepare(phone, 'b', 30);
  await phone.time.run(200);
  const atMs = phone.time.now() + 300;
  phone.player.follow(start('a', atMs));
  await phone.time.run(500);
  phone.player.lineUp({ trackId: 'b', atMs: atMs + 10_000 });
  await phone.time.run(11_500);
  assert.deepEqual(phone.songs(atMs + 1), ['a', 'b']);
  assert.equal(phone.audio.duration, 30);
  assert.equal(phone.audio.paused, false);
});

test('where the system takes the sound away, the silence does not go on, nor begin', async (t) => {
  for (const afterMs of [700, 2_000]) {
    const phone = await open(t);
    prepare(phone, 'a', 60);
    await phone.time.run(200);
    phone.player.follow(start('a', phone.time.now() + 500));
    await phone.time.run(afterMs);
    phone.sound.takeAway();
    const takenMs = phone.time.now();
    await phone.time.run(2_000);
    assert.equal(phone.player.locked(), true);
    assert.equal(phone.audio.paused, true);
    assert.ok(phone.audio.passages.every(({ toMs, fromMs }) => fromMs < takenMs && toMs <= takenMs + 100), `after ${afterMs} ms`);
    t.mock.restoreAll();
  }
});

test('a headset that pauses the silence means the music', async (t) => {
  const phone = await open(t);
  prepare(phone, 'a', 60);
  await phone.time.run(200);
  await play(phone, 'a');
  const pausedMs = phone.time.now();
  phone.audio.pause();
  await phone.time.run(2_000);
  assert.ok(phone.sounds(pausedMs).toMs < pausedMs + 100);
  assert.equal(phone.player.locked(), true);
});

test('the element hears of no end of a song that it does not play', async (t) => {
  const phone = await open(t);
  prepare(phone, 'a', 5);
  await phone.time.run(200);
  const atMs = phone.time.now() + 300;
  phone.player.follow(start('a', atMs));
  await phone.time.run(8_000);
  assert.deepEqual(phone.told.ended, ['a']);
});

test('from an element that sounds to buffers, and back, one song is heard at a time', async (t) => {
  const phone = await open(t);
  prepare(phone, 'a', 60);
  prepare(phone, 'opera', 13 * MINUTE);
  await phone.time.run(200);
  const fromMs = phone.time.now();
  for (const song of ['opera', 'a', 'opera']) await play(phone, song);
  for (let ms = fromMs; ms < phone.time.now(); ms += 5) {
    const songs = new Set(phone.heardAt(ms).map(({ song }) => song));
    assert.ok(songs.size < 2, `${[...songs]} at ${ms - fromMs}`);
  }
});
