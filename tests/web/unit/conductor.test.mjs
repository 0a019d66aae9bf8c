// From the room's state to the sound: what is heard beside a phone when something happens in the room. The sound card
// and the time are made up; the conductor, the player and all between them are the page's own.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createConductor } from '../../../static/js/conductor.js';
import { createFigures } from '../../../static/js/figures.js';
import { createStore } from '../../../static/js/store.js';
import { barrier, playing, room } from '../support/rooms.mjs';
import { songOf } from '../support/song.mjs';
import { openSoundingPhone } from '../support/sounding-phone.mjs';

/** Server's clock = page's clock + this. */
const OFFSET_MS = 5_000_000;

const SONG_SEC = 30;

/** From a press to the last of the sound. */
const AT_ONCE_MS = 85;

const NEAR_MS = 0.7;

const SONGS = ['a', 'b', 'c', 'd', 'e'];

/**
 * A phone in a paused room, at `b`, with `c` after it; it holds all songs, and was touched.
 * @param {import('node:test').TestContext} t
 * @param {object} [over] of the page's state
 * @param {Parameters<typeof openSoundingPhone>[1]} [card]
 */
async function enter(t, over = {}, card = {}) {
  /** @type {{path: string, count: number}[]} */
  const asked = [];
  t.mock.method(globalThis, 'fetch', async (/** @type {string} */ path, /** @type {any} */ { headers }) => {
    asked.push({ path, count: Number(headers['If-Match-Event']) });
    return Response.json({ eventCount: 8 });
  });
  globalThis.document = /** @type {any} */ ({ visibilityState: 'visible' });
  const phone = openSoundingPhone(t, card, {
    change: () => conductor.look(),
    ended: (trackId) => conductor.ended(trackId),
  });
  const { time } = phone;
  const track = (/** @type {string} */ trackId) => ({ trackId, version: 'v1', duration: SONG_SEC, size: 1, mime: 'audio/song', tags: { title: trackId } });
  const store = createStore(/** @type {any} */ ({
    view: 'room',
    memberId: 'm1',
    room: room(),
    index: new Map(SONGS.map((song) => [song, track(song)])),
    connection: 'open',
    held: new Set(SONGS),
    unplayable: new Map(),
    ready: new Set(),
    settings: { remote: false },
    clock: { atMs: 0, offsetMs: OFFSET_MS, drift: 0, roundTripMs: 2, slowTripMs: 4 },
    sound: { locked: false, mute: false, sounding: false, errorMs: null, overlay: null },
    presses: [],
    trialDelayMs: null,
    ...over,
  }));
  let woken = 0;
  const conductor = createConductor({
    store,
    player: phone.player,
    figures: createFigures(),
    read: async (trackId) => songOf(trackId, SONG_SEC),
    onWake: () => (woken += 1),
  });
  store.subscribe(conductor.look);
  if (card.allowed !== false) conductor.gesture();
  await time.run(2_000);

  const serverMs = () => time.now() + OFFSET_MS;
  return {
    ...phone,
    store,
    conductor,
    serverMs,
    /** The room, as the next event has it. */
    hear: (/** @type {object} */ next) => store.update({ room: { ...store.get().room, eventCount: store.get().room.eventCount + 1, ...next } }),
    /** `b` begins, so long from now; the moment, on this page's clock. */
    play: (aheadMs = 300, over = {}) => {
      const atMs = time.now() + aheadMs;
      store.update({ room: playing(atMs + OFFSET_MS, { eventCount: store.get().room.eventCount + 1, ...over }) });
      return atMs;
    },
    /** The server promises that `c` follows at the end of `b`. */
    promise: (/** @type {number} */ atMs, over = {}) => {
      const now = store.get().room;
      const segue = { trackId: 'c', anchorAtMs: atMs + SONG_SEC * 1000 + OFFSET_MS, eventCount: now.eventCount, ...over };
      store.update({ room: { ...now, live: { ...now.live, segue } } });
    },
    asked: () => asked.filter(({ path }) => path === '/next').map(({ count }) => count),
    woken: () => woken,
  };
}

const near = (value, expected, within = NEAR_MS) =>
  assert.ok(Math.abs(value - expected) <= within, `${value} is not within ${within} of ${expected}`);

/** By how much it is ahead of a song that began at `atMs`. */
const offMs = (phone, ms, atMs) => phone.placeAt(ms) * 1000 - (ms - atMs);

test('a song begins at the moment that the room has named', async (t) => {
  const phone = await enter(t);
  const atMs = phone.play(300);
  await phone.time.run(2_000);
  near(phone.sounds(atMs - 300).fromMs, atMs);
  assert.deepEqual(phone.songs(atMs + 1), ['b']);
  near(offMs(phone, atMs + 1_500, atMs), 0);
  assert.equal(phone.store.get().sound.sounding, true);
});

test('a phone that joins in mid-song comes in where the room is', async (t) => {
  const phone = await enter(t);
  const atMs = phone.play(-12_000);
  await phone.time.run(4_000);
  near(offMs(phone, phone.time.now(), atMs), 0);
});

test('a pause in the room is silence at once, and the next Play goes on from its place', async (t) => {
  const phone = await enter(t);
  phone.play(300);
  await phone.time.run(5_000);
  const pausedMs = phone.time.now();
  phone.hear({ playState: { mode: 'paused', anchorPositionSec: 4.7 }, live: { anchorAtMs: null, segue: null, listeners: {} } });
  await phone.time.run(3_000);
  assert.ok(phone.sounds(pausedMs - 100).toMs < pausedMs + AT_ONCE_MS);
  assert.equal(phone.store.get().sound.sounding, false);
  const againMs = phone.play(200, { playState: { mode: 'playing', anchorPositionSec: 4.7 } });
  await phone.time.run(1_000);
  near(phone.sounds(againMs - 200).fromMs, againMs);
  near(phone.placeAt(againMs + 500) * 1000, 5_200);
});

test('a seek is heard at its moment, without a hole before it', async (t) => {
  const phone = await enter(t);
  const atMs = phone.play(300);
  await phone.time.run(5_000);
  const soughtMs = phone.play(200, { playState: { mode: 'playing', anchorPositionSec: 20 } });
  await phone.time.run(2_000);
  near(phone.placeAt(soughtMs + 1_000) * 1000, 21_000);
  assert.ok(phone.levels(atMs + 1).least > 0.9);
});

test('Next is heard at its moment, and the song before not into it', async (t) => {
  const phone = await enter(t);
  phone.play(300);
  await phone.time.run(5_000);
  const fromMs = phone.time.now();
  const atMs = phone.play(250, { queueIndex: 2 });
  await phone.time.run(2_000);
  assert.deepEqual(phone.songs(fromMs).filter((song) => song !== ''), ['b', 'c']);
  near(offMs(phone, atMs + 1_000, atMs), 0);
});

test('what was promised follows without a hole, whenever the room says so, and is asked for once', async (t) => {
  const phone = await enter(t);
  const atMs = phone.play(300);
  const endMs = atMs + SONG_SEC * 1000;
  phone.promise(atMs);
  await phone.time.run(endMs - phone.time.now() + 150);
  assert.deepEqual(phone.asked(), [phone.store.get().room.eventCount]);
  // One phone after the other has it, and then the room is there.
  const silent = { anchorAtMs: null, segue: null, listeners: {} };
  phone.hear({ queueIndex: 2, playState: { mode: 'paused', anchorPositionSec: 0 }, barrier: barrier({ trackId: 'c' }), live: silent });
  await phone.time.run(120);
  phone.hear({ playState: { mode: 'playing', anchorPositionSec: 0 }, barrier: null, live: { ...silent, anchorAtMs: endMs + OFFSET_MS } });
  await phone.time.run(3_000);
  assert.deepEqual(phone.songs(atMs + 1), ['b', 'c']);
  assert.ok(phone.levels(atMs + 1).least > 0.9);
  near(offMs(phone, endMs + 2_000, endMs), 0);
  assert.equal(phone.asked().length, 1);
});

test('where another phone is at the end first, this one plays its song out all the same', async (t) => {
  const phone = await enter(t);
  const atMs = phone.play(300);
  const endMs = atMs + SONG_SEC * 1000;
  phone.promise(atMs);
  await phone.time.run(endMs - phone.time.now() - 300);
  const live = { anchorAtMs: null, segue: null, listeners: {} };
  phone.hear({ queueIndex: 2, playState: { mode: 'paused', anchorPositionSec: 0 }, barrier: barrier({ trackId: 'c' }), live });
  await phone.time.run(200);
  phone.hear({ playState: { mode: 'playing', anchorPositionSec: 0 }, barrier: null, live: { ...live, anchorAtMs: endMs + OFFSET_MS } });
  await phone.time.run(2_000);
  assert.deepEqual(phone.songs(atMs + 1), ['b', 'c']);
  assert.ok(phone.levels(atMs + 1).least > 0.9);
});

test('a nudge at the last moment takes the promise back: what was laid down is not heard', async (t) => {
  const phone = await enter(t);
  const atMs = phone.play(300);
  phone.promise(atMs);
  await phone.time.run(atMs + SONG_SEC * 1000 - phone.time.now() - 1_000);
  phone.hear({ queue: ['a', 'b', 'd', 'c', 'e'] });
  await phone.time.run(500);
  phone.promise(atMs, { trackId: 'd' });
  await phone.time.run(4_000);
  assert.deepEqual(phone.songs(atMs + 1), ['b', 'd']);
});

test('while the server is away the music goes on with what is held, in order', async (t) => {
  const phone = await enter(t, { held: new Set(['b', 'd']) });
  const atMs = phone.play(300);
  await phone.time.run(2_000);
  phone.store.update({ connection: 'reconnecting' });
  await phone.time.run(SONG_SEC * 2_000);
  assert.deepEqual(phone.songs(atMs + 1), ['b', 'd', 'b'].slice(0, 3));
  assert.ok(phone.levels(atMs + 1, atMs + SONG_SEC * 1000 + 2_000).least > 0.9);
  assert.deepEqual(phone.asked(), []);
});

for (const ms of [9, 22]) {
  test(`after the machine stalled for ${ms} ms the music is in step again within 4 s, moved and not cut`, async (t) => {
    const phone = await enter(t);
    const atMs = phone.play(300);
    await phone.time.run(6_000);
    phone.sound.stall(ms);
    const stalledMs = phone.time.now();
    await phone.time.run(7_000);
    near(offMs(phone, stalledMs + 200, atMs), -ms, 1);
    near(offMs(phone, stalledMs + 6_000, atMs), 0);
    assert.equal(phone.levels(stalledMs + 200).least, 1);
  });
}

test('after the machine stalled for long the music is cut over to where the room is, softly', async (t) => {
  const phone = await enter(t);
  const atMs = phone.play(300);
  await phone.time.run(6_000);
  phone.sound.stall(150);
  const stalledMs = phone.time.now();
  await phone.time.run(3_000);
  near(offMs(phone, stalledMs + 2_500, atMs), 0);
  assert.ok(phone.levels(stalledMs + 250).least > 0.9);
});

for (const ppm of [80, -80]) {
  test(`a sound card that runs ${ppm} ppm fast is kept within a millisecond for as long as a song`, async (t) => {
    const phone = await enter(t, {}, { ppm });
    const atMs = phone.play(300);
    await phone.time.run(SONG_SEC * 1000 - 1_000);
    for (let ms = atMs + 3_000; ms < phone.time.now(); ms += 100) near(offMs(phone, ms, atMs), 0, 1);
    assert.equal(phone.levels(atMs + 1, phone.time.now()).least, 1);
  });
}

test('a phone whose speaker is late sounds that much earlier, and moves there when it is told', async (t) => {
  const phone = await enter(t);
  const late = (/** @type {number} */ delayMs) => ({ clients: { m1: { name: 'Ada', delayMs } } });
  const atMs = phone.play(600, late(180));
  await phone.time.run(3_000);
  near(phone.sounds(atMs - 600).fromMs, atMs - 180);
  phone.hear(late(200));
  await phone.time.run(6_000);
  near(offMs(phone, phone.time.now(), atMs), 200);
  assert.ok(phone.levels(atMs).least > 0.9);
});

test('a late speaker’s next song begins that much earlier, too', async (t) => {
  const phone = await enter(t);
  const atMs = phone.play(600, { clients: { m1: { name: 'Ada', delayMs: 180 } } });
  phone.promise(atMs);
  const endMs = atMs + SONG_SEC * 1000;
  await phone.time.run(endMs - phone.time.now() + 1_000);
  near(offMs(phone, endMs + 500, endMs), 180);
  assert.deepEqual(phone.songs(atMs), ['b', 'c']);
});

test('a phone that nobody has touched says so, and a tap brings it in where the room is', async (t) => {
  const phone = await enter(t, {}, { allowed: false });
  const atMs = phone.play(300);
  await phone.time.run(4_000);
  assert.equal(phone.store.get().sound.locked, true);
  phone.sound.card.allowed = true;
  phone.conductor.gesture();
  await phone.time.run(4_000);
  assert.equal(phone.store.get().sound.locked, false);
  near(offMs(phone, phone.time.now(), atMs), 0);
});

test('after a sleep of the machine the music goes on where it was until the server is heard, and so does the next song', async (t) => {
  const phone = await enter(t);
  const atMs = phone.play(300);
  phone.promise(atMs);
  await phone.time.run(6_000);
  phone.time.sleep(60_000);
  await phone.time.run(SONG_SEC * 1000);
  assert.equal(phone.woken(), 1);
  assert.ok(phone.levels(atMs + 1).least > 0.9);
  assert.deepEqual(phone.songs(atMs + 1), ['b', 'c']);
  near(offMs(phone, phone.time.now(), atMs + SONG_SEC * 1000), 0);
});

test('a remote control is silent, and says nothing of the end', async (t) => {
  const phone = await enter(t, { settings: { remote: true } });
  const atMs = phone.play(300);
  await phone.time.run(SONG_SEC * 1000 + 3_000);
  assert.deepEqual(phone.songs(atMs), ['']);
  assert.deepEqual(phone.asked(), []);
});

test('a phone that cannot play the song leaves its end to the others, and then tells of it', async (t) => {
  const phone = await enter(t, { unplayable: new Map([['b', 'format']]) });
  const atMs = phone.play(300);
  await phone.time.run(atMs + SONG_SEC * 1000 - phone.time.now() + 300);
  assert.deepEqual(phone.asked(), []);
  await phone.time.run(1_500);
  assert.deepEqual(phone.songs(atMs), ['']);
  assert.equal(phone.asked().length, 1);
});

test('only what plays and what is next is at hand, and what was is let go of', async (t) => {
  const phone = await enter(t);
  phone.play(300);
  await phone.time.run(3_000);
  const atHand = () => SONGS.filter((song) => phone.player.has(song));
  assert.deepEqual(atHand(), ['b', 'c']);
  phone.play(250, { queueIndex: 3 });
  await phone.time.run(3_000);
  assert.deepEqual(atHand(), ['d', 'e']);
});
