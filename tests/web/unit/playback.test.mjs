// The audible output of a phone when the room changes. The sound card and the time are fakes; playback, player and engines
// are the page's real code.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createIndexSync } from '../../../static/js/net/index-sync.js';
import { createPlayback } from '../../../static/js/sound/playback.js';
import { createSyncStats } from '../../../static/js/sound/sync-stats.js';
import { createStore } from '../../../static/js/store.js';
import { barrier, playing, room } from '../support/rooms.mjs';
import { songOf } from '../support/song.mjs';
import { openAudiblePhone } from '../support/audible-phone.mjs';
import { replaceGlobals } from '../support/globals.mjs';

/** The server's clock minus the page's clock. */
const OFFSET_MS = 5_000_000;

const SONG_SEC = 30;

/** Longest time from a pause to the last sound. */
const MAX_STOP_DELAY_MS = 85;

/** Largest error of an audible time or position. */
const TOLERANCE_MS = 0.7;

const SONGS = ['a', 'b', 'c', 'd', 'e'];

/**
 * A phone in a room that is paused at `b`, with `c` next. The phone has all songs stored and has had a user gesture.
 * @param {import('node:test').TestContext} t
 * @param {object} [overrides] replaces parts of the app state
 * @param {Parameters<typeof openAudiblePhone>[1]} [cardOverrides]
 * @param {number} [songSec] true length of the songs, which the index states as `SONG_SEC`
 */
async function enterRoom(t, overrides = {}, cardOverrides = {}, songSec = SONG_SEC) {
  /** @type {{path: string, eventCount: number}[]} */
  const requests = [];
  t.mock.method(globalThis, 'fetch', async (/** @type {string} */ path, /** @type {any} */ { headers }) => {
    requests.push({ path: path.slice(1), eventCount: Number(headers['If-Match-Event']) });
    return Response.json({ eventCount: 8 });
  });
  replaceGlobals(t, { document: { visibilityState: 'visible' } });
  const phone = openAudiblePhone(t, cardOverrides, {
    change: () => playback.update(),
    ended: (trackId) => playback.handleEnded(trackId),
    decoded: (trackId, version, durationSec) => indexSync.recordDecodedDuration(trackId, version, durationSec),
  });
  const { time } = phone;
  const track = (/** @type {string} */ trackId) => ({ trackId, version: 'v1', duration: SONG_SEC, size: 1, mime: 'audio/song', tags: { title: trackId } });
  const store = createStore(/** @type {any} */ ({
    view: 'room',
    memberId: 'm1',
    room: room(),
    index: new Map(SONGS.map((song) => [song, track(song)])),
    connection: 'open',
    cachedTrackIds: new Set(SONGS),
    unplayableReasons: new Map(),
    readyTrackIds: new Set(),
    settings: { isRemoteControl: false },
    clock: { atMs: 0, offsetMs: OFFSET_MS, drift: 0, roundTripMs: 2, slowRoundTripMs: 4 },
    sound: { isLocked: false, isOutputMissing: false, isSounding: false, syncErrorMs: null, predictedStart: null },
    pendingCommands: [],
    trialDelayMs: null,
    ...overrides,
  }));
  const indexSync = createIndexSync({ store, indexCache: Promise.reject(new Error('not used')).catch(() => /** @type {any} */ (null)) });
  let wakes = 0;
  const syncStats = createSyncStats();
  const playback = createPlayback({
    store,
    player: phone.player,
    syncStats,
    read: async (trackId) => songOf(trackId, songSec),
    onWake: () => (wakes += 1),
  });
  store.subscribe(playback.update);
  if (cardOverrides.allowed !== false) playback.unlock();
  await time.run(2_000);

  const serverMs = () => time.now() + OFFSET_MS;
  return {
    ...phone,
    store,
    playback,
    syncStats,
    serverMs,
    /** Applies the next event, which changes these parts of the room. */
    receive: (/** @type {object} */ change) => store.update({ room: { ...store.get().room, eventCount: store.get().room.eventCount + 1, ...change } }),
    /**
     * Starts `b` in `delayMs`, or another track or position as `roomOverrides` sets. Returns the start time on the page's
     * clock.
     */
    play: (delayMs = 300, roomOverrides = {}) => {
      const atMs = time.now() + delayMs;
      store.update({ room: playing(atMs + OFFSET_MS, { eventCount: store.get().room.eventCount + 1, ...roomOverrides }) });
      return atMs;
    },
    /** Applies the server's announcement that `c` starts at the end of `b`, which started at `atMs`. */
    announceSegue: (/** @type {number} */ atMs, segueOverrides = {}) => {
      const currentRoom = store.get().room;
      const segue = { trackId: 'c', anchorAtMs: atMs + SONG_SEC * 1000 + OFFSET_MS, eventCount: currentRoom.eventCount, ...segueOverrides };
      store.update({ room: { ...currentRoom, live: { ...currentRoom.live, segue } } });
    },
    /** Applies the sync error that another phone reports; `null` if that phone is silent. */
    reportOfOther: (/** @type {number | null} */ offMs) => {
      const currentRoom = store.get().room;
      const listeners = { m2: { role: 'listener', download: null, playable: true, sync: { offMs, waitsForTap: false } } };
      store.update({ room: { ...currentRoom, live: { ...currentRoom.live, listeners } } });
    },
    /** The event counts with which Next was requested. */
    nextRequests: () => requests.filter(({ path }) => path === '/next').map(({ eventCount }) => eventCount),
    wakes: () => wakes,
  };
}

const assertNear = (value, expected, within = TOLERANCE_MS) =>
  assert.ok(Math.abs(value - expected) <= within, `${value} is not within ${within} of ${expected}`);

/** How far the phone is ahead, at the time `ms`, of a song that began at `atMs`. */
const aheadMs = (phone, ms, atMs) => phone.positionSecAt(ms) * 1000 - (ms - atMs);

test('a phone whose index arrives late still plays to the sample', async (t) => {
  const phone = await enterRoom(t, { index: new Map() });
  const atMs = phone.play(300);
  await phone.time.run(1_000);
  const track = { trackId: 'b', version: 'v1', duration: SONG_SEC, size: 1, mime: 'audio/song', tags: { title: 'b' } };
  phone.store.update({ index: new Map([['b', track]]) });
  await phone.time.run(4_000);
  assert.equal(phone.player.report().isExact, true);
  assertNear(aheadMs(phone, phone.time.now(), atMs), 0);
});

test('the sync error is known 1.2 s after the start of a song', async (t) => {
  const phone = await enterRoom(t);
  phone.play(300);
  await phone.time.run(1_500);
  assert.equal(phone.store.get().sound.syncErrorMs, 0);
});

test('a song starts at the time that the room has set', async (t) => {
  const phone = await enterRoom(t);
  const atMs = phone.play(300);
  await phone.time.run(2_000);
  assertNear(phone.audibleSpan(atMs - 300).fromMs, atMs);
  assert.deepEqual(phone.songsHeard(atMs + 1), ['b']);
  assertNear(aheadMs(phone, atMs + 1_500, atMs), 0);
  assert.equal(phone.store.get().sound.isSounding, true);
});

test('a phone that joins in mid-song starts at the room’s position', async (t) => {
  const phone = await enterRoom(t);
  const atMs = phone.play(-12_000);
  await phone.time.run(4_000);
  assertNear(aheadMs(phone, phone.time.now(), atMs), 0);
});

test('a pause is immediate, and Play continues from that position', async (t) => {
  const phone = await enterRoom(t);
  phone.play(300);
  await phone.time.run(5_000);
  const pausedMs = phone.time.now();
  phone.receive({ playState: { mode: 'paused', anchorPositionSec: 4.7 }, live: { anchorAtMs: null, segue: null, listeners: {} } });
  await phone.time.run(3_000);
  assert.ok(phone.audibleSpan(pausedMs - 100).toMs < pausedMs + MAX_STOP_DELAY_MS);
  assert.equal(phone.store.get().sound.isSounding, false);
  const resumedMs = phone.play(200, { playState: { mode: 'playing', anchorPositionSec: 4.7 } });
  await phone.time.run(1_000);
  assertNear(phone.audibleSpan(resumedMs - 200).fromMs, resumedMs);
  assertNear(phone.positionSecAt(resumedMs + 500) * 1000, 5_200);
});

test('a seek takes effect on time, without a gap before it', async (t) => {
  const phone = await enterRoom(t);
  const atMs = phone.play(300);
  await phone.time.run(5_000);
  const seekMs = phone.play(200, { playState: { mode: 'playing', anchorPositionSec: 20 } });
  await phone.time.run(2_000);
  assertNear(phone.positionSecAt(seekMs + 1_000) * 1000, 21_000);
  assert.ok(phone.levelRange(atMs + 1).min > 0.9);
});

test('after Next the new song starts on time without overlap', async (t) => {
  const phone = await enterRoom(t);
  phone.play(300);
  await phone.time.run(5_000);
  const fromMs = phone.time.now();
  const atMs = phone.play(250, { queueIndex: 2 });
  await phone.time.run(2_000);
  assert.deepEqual(phone.songsHeard(fromMs).filter((song) => song !== ''), ['b', 'c']);
  assertNear(aheadMs(phone, atMs + 1_000, atMs), 0);
});

test('an announced song follows without a gap, and Next is requested once', async (t) => {
  const phone = await enterRoom(t);
  const atMs = phone.play(300);
  const endMs = atMs + SONG_SEC * 1000;
  phone.announceSegue(atMs);
  await phone.time.run(endMs - phone.time.now() + 150);
  assert.deepEqual(phone.nextRequests(), [phone.store.get().room.eventCount]);
  // The other phones reach the end of the song, and then the barrier ends.
  const paused = { anchorAtMs: null, segue: null, listeners: {} };
  phone.receive({ queueIndex: 2, playState: { mode: 'paused', anchorPositionSec: 0 }, barrier: barrier({ trackId: 'c' }), live: paused });
  await phone.time.run(120);
  phone.receive({ playState: { mode: 'playing', anchorPositionSec: 0 }, barrier: null, live: { ...paused, anchorAtMs: endMs + OFFSET_MS } });
  await phone.time.run(3_000);
  assert.deepEqual(phone.songsHeard(atMs + 1), ['b', 'c']);
  assert.ok(phone.levelRange(atMs + 1).min > 0.9);
  assertNear(aheadMs(phone, endMs + 2_000, endMs), 0);
  assert.equal(phone.nextRequests().length, 1);
});

test('a song plays to its end if another phone requests Next', async (t) => {
  const phone = await enterRoom(t);
  const atMs = phone.play(300);
  const endMs = atMs + SONG_SEC * 1000;
  phone.announceSegue(atMs);
  await phone.time.run(endMs - phone.time.now() - 300);
  const live = { anchorAtMs: null, segue: null, listeners: {} };
  phone.receive({ queueIndex: 2, playState: { mode: 'paused', anchorPositionSec: 0 }, barrier: barrier({ trackId: 'c' }), live });
  await phone.time.run(200);
  phone.receive({ playState: { mode: 'playing', anchorPositionSec: 0 }, barrier: null, live: { ...live, anchorAtMs: endMs + OFFSET_MS } });
  await phone.time.run(2_000);
  assert.deepEqual(phone.songsHeard(atMs + 1), ['b', 'c']);
  assert.ok(phone.levelRange(atMs + 1).min > 0.9);
});

/** A song of 30 s by the index, on a phone where the song really lasts `songSec`. */
const enterRoomWithWrongLength = (/** @type {any} */ t, /** @type {number} */ songSec, overrides = {}) => enterRoom(t, overrides, {}, songSec);

test('a song that is longer than the index states is played to its end', async (t) => {
  const phone = await enterRoomWithWrongLength(t, 34);
  const atMs = phone.play(300);
  const endMs = atMs + 34_000;
  phone.announceSegue(atMs);
  await phone.time.run(endMs - phone.time.now() - 200);
  assert.deepEqual(phone.nextRequests(), []);
  await phone.time.run(400);
  assert.deepEqual(phone.nextRequests(), [phone.store.get().room.eventCount]);
  assert.deepEqual(phone.songsHeard(atMs + 1, endMs - 1), ['b']);
  assert.ok(phone.levelRange(atMs + 1, endMs - 1).min > 0.9);
});

test('a song that is shorter than the index states is followed at once', async (t) => {
  const phone = await enterRoomWithWrongLength(t, 26);
  const atMs = phone.play(300);
  const endMs = atMs + 26_000;
  phone.announceSegue(atMs);
  await phone.time.run(endMs - phone.time.now() - 100);
  assert.deepEqual(phone.nextRequests(), []);
  await phone.time.run(200);
  assert.deepEqual(phone.nextRequests(), [phone.store.get().room.eventCount]);
  assert.equal(phone.store.get().sound.predictedStart, null);
});

test('a phone that ends early waits for the segue while another phone plays', async (t) => {
  // The index states the length that this phone has decoded; the other phone has reported 34 s.
  const phone = await enterRoom(t);
  const atMs = phone.play(300);
  phone.announceSegue(atMs, { anchorAtMs: atMs + 34_000 + OFFSET_MS });
  phone.reportOfOther(0.4);
  await phone.time.run(atMs + 33_900 - phone.time.now());
  assert.deepEqual(phone.nextRequests(), []);
  await phone.time.run(200);
  assert.equal(phone.nextRequests().length, 1);
});

test('a phone that ends early waits for the segue of a phone that has not reported yet', async (t) => {
  const phone = await enterRoom(t);
  const atMs = phone.play(300);
  phone.announceSegue(atMs, { anchorAtMs: atMs + 34_000 + OFFSET_MS });
  phone.reportOfOther(null);
  await phone.time.run(atMs + 33_900 - phone.time.now());
  assert.deepEqual(phone.nextRequests(), []);
  await phone.time.run(200);
  assert.equal(phone.nextRequests().length, 1);
});

test('a phone that ends early waits for the indexed length while another phone plays', async (t) => {
  const phone = await enterRoomWithWrongLength(t, 28);
  const atMs = phone.play(300);
  phone.reportOfOther(0.4);
  await phone.time.run(atMs + 29_900 - phone.time.now());
  assert.deepEqual(phone.nextRequests(), []);
  await phone.time.run(200);
  assert.equal(phone.nextRequests().length, 1);
});

test('a phone that ends early requests Next once the other phones are silent', async (t) => {
  const phone = await enterRoomWithWrongLength(t, 26);
  const atMs = phone.play(300);
  phone.reportOfOther(0.4);
  await phone.time.run(atMs + 27_000 - phone.time.now());
  assert.deepEqual(phone.nextRequests(), []);
  phone.reportOfOther(null);
  await phone.time.run(50);
  assert.equal(phone.nextRequests().length, 1);
});

test('a phone that waits for the others requests no Next after the room has advanced', async (t) => {
  const phone = await enterRoomWithWrongLength(t, 28);
  const atMs = phone.play(300);
  phone.reportOfOther(0.4);
  await phone.time.run(atMs + 29_000 - phone.time.now());
  phone.play(300, { queueIndex: 2 });
  await phone.time.run(3_000);
  assert.deepEqual(phone.nextRequests(), []);
});

test('after a seek to the very end phones do not wait for each other', async (t) => {
  const phone = await enterRoom(t);
  phone.play(300);
  await phone.time.run(3_000);
  phone.reportOfOther(0.4);
  const { listeners } = phone.store.get().room.live;
  const seekMs = phone.time.now() + 200;
  phone.play(200, { playState: { mode: 'playing', anchorPositionSec: SONG_SEC }, live: { anchorAtMs: seekMs + OFFSET_MS, segue: null, listeners } });
  await phone.time.run(1_500);
  assert.equal(phone.nextRequests().length, 1);
});

test('a phone reports no sync error once its song is over or its sound is locked', async (t) => {
  for (const silence of /** @type {const} */ (['end', 'lock'])) {
    await t.test(silence, async (t) => {
      const phone = await enterRoomWithWrongLength(t, 26);
      phone.play(300);
      phone.reportOfOther(0.4);
      await phone.time.run(10_000);
      assert.equal(typeof phone.syncStats.syncErrorMs(), 'number');
      if (silence === 'lock') phone.sound.interrupt();
      else await phone.time.run(16_500);
      await phone.time.run(500);
      assert.deepEqual([phone.syncStats.syncErrorMs(), phone.store.get().sound.syncErrorMs], [null, null]);
    });
  }
});

test('a segue at the decoded end of a song follows without a gap', async (t) => {
  const phone = await enterRoomWithWrongLength(t, 34);
  const atMs = phone.play(300);
  const endMs = atMs + 34_000;
  phone.announceSegue(atMs, { anchorAtMs: endMs + OFFSET_MS });
  await phone.time.run(endMs - phone.time.now() + 1_000);
  assert.deepEqual(phone.songsHeard(atMs + 1), ['b', 'c']);
  assert.ok(phone.levelRange(atMs + 1).min > 0.9);
});

test('with the server unreachable a wrong length neither cuts nor delays songs', async (t) => {
  for (const songSec of [34, 26]) {
    await t.test(`${songSec} s`, async (t) => {
      const phone = await enterRoomWithWrongLength(t, songSec, { cachedTrackIds: new Set(['b', 'd']) });
      const atMs = phone.play(300);
      phone.announceSegue(atMs, { trackId: 'd' });
      await phone.time.run(2_000);
      phone.store.update({ connection: 'reconnecting' });
      await phone.time.run(atMs + songSec * 1_000 + 2_000 - phone.time.now());
      assert.deepEqual(phone.songsHeard(atMs + 1), ['b', 'd']);
      assert.ok(phone.levelRange(atMs + 1).min > 0.9);
      assertNear(aheadMs(phone, phone.time.now(), atMs + songSec * 1_000), 0);
    });
  }
});

test('a nudge one second before the end replaces the queued song', async (t) => {
  const phone = await enterRoom(t);
  const atMs = phone.play(300);
  phone.announceSegue(atMs);
  await phone.time.run(atMs + SONG_SEC * 1000 - phone.time.now() - 1_000);
  phone.receive({ queue: ['a', 'b', 'd', 'c', 'e'] });
  await phone.time.run(500);
  phone.announceSegue(atMs, { trackId: 'd' });
  await phone.time.run(4_000);
  assert.deepEqual(phone.songsHeard(atMs + 1), ['b', 'd']);
});

test('with the server unreachable the stored songs play in queue order', async (t) => {
  const phone = await enterRoom(t, { cachedTrackIds: new Set(['b', 'd']) });
  const atMs = phone.play(300);
  await phone.time.run(2_000);
  phone.store.update({ connection: 'reconnecting' });
  await phone.time.run(SONG_SEC * 2_000);
  assert.deepEqual(phone.songsHeard(atMs + 1), ['b', 'd', 'b']);
  assert.ok(phone.levelRange(atMs + 1, atMs + SONG_SEC * 1000 + 2_000).min > 0.9);
  assert.deepEqual(phone.nextRequests(), []);
});

for (const ms of [9, 22]) {
  test(`a slew restores sync within 6 s after a ${ms}-ms stall`, async (t) => {
    const phone = await enterRoom(t);
    const atMs = phone.play(300);
    await phone.time.run(6_000);
    phone.sound.stall(ms);
    const stalledMs = phone.time.now();
    await phone.time.run(7_000);
    assertNear(aheadMs(phone, stalledMs + 200, atMs), -ms, 1);
    assertNear(aheadMs(phone, stalledMs + 6_000, atMs), 0);
    assert.equal(phone.levelRange(stalledMs + 200).min, 1);
  });
}

test('a cut without a click restores sync after a 150-ms stall', async (t) => {
  const phone = await enterRoom(t);
  const atMs = phone.play(300);
  await phone.time.run(6_000);
  phone.sound.stall(150);
  const stalledMs = phone.time.now();
  await phone.time.run(3_000);
  assertNear(aheadMs(phone, stalledMs + 2_500, atMs), 0);
  assert.ok(phone.levelRange(stalledMs + 250).min > 0.9);
});

for (const ppm of [80, -80]) {
  test(`a sound card ${ppm} ppm off stays within 1 ms`, async (t) => {
    const phone = await enterRoom(t, {}, { ppm });
    const atMs = phone.play(300);
    await phone.time.run(SONG_SEC * 1000 - 1_000);
    for (let ms = atMs + 3_000; ms < phone.time.now(); ms += 100) assertNear(aheadMs(phone, ms, atMs), 0, 1);
    assert.equal(phone.levelRange(atMs + 1, phone.time.now()).min, 1);
  });
}

test('a phone plays earlier by its current speaker delay', async (t) => {
  const phone = await enterRoom(t);
  const withDelay = (/** @type {number} */ delayMs) => ({ clients: { m1: { name: 'Ada', delayMs } } });
  const atMs = phone.play(600, withDelay(180));
  await phone.time.run(3_000);
  assertNear(phone.audibleSpan(atMs - 600).fromMs, atMs - 180);
  phone.receive(withDelay(200));
  await phone.time.run(6_000);
  assertNear(aheadMs(phone, phone.time.now(), atMs), 200);
  assert.ok(phone.levelRange(atMs).min > 0.9);
});

test('with a speaker delay the next song also starts earlier', async (t) => {
  const phone = await enterRoom(t);
  const atMs = phone.play(600, { clients: { m1: { name: 'Ada', delayMs: 180 } } });
  phone.announceSegue(atMs);
  const endMs = atMs + SONG_SEC * 1000;
  await phone.time.run(endMs - phone.time.now() + 1_000);
  assertNear(aheadMs(phone, endMs + 500, endMs), 180);
  assert.deepEqual(phone.songsHeard(atMs), ['b', 'c']);
});

test('a phone is locked until a tap starts it in sync', async (t) => {
  const phone = await enterRoom(t, {}, { allowed: false });
  const atMs = phone.play(300);
  await phone.time.run(4_000);
  assert.equal(phone.store.get().sound.isLocked, true);
  assert.equal(phone.store.get().sound.isInterrupted, false);
  phone.sound.card.allowed = true;
  phone.playback.unlock();
  await phone.time.run(4_000);
  assert.equal(phone.store.get().sound.isLocked, false);
  assertNear(aheadMs(phone, phone.time.now(), atMs), 0);
});

test('what the system resumes after a call plays on in step without a tap', async (t) => {
  const resumeBySystem = {
    element: (/** @type {any} */ phone) => phone.audio.play(),
    context: (/** @type {any} */ phone) => phone.sound.endInterruption(),
  };
  const interrupt = { element: (/** @type {any} */ phone) => phone.audio.pause(), context: (/** @type {any} */ phone) => phone.sound.interrupt() };
  for (const part of /** @type {const} */ (['element', 'context'])) {
    await t.test(part, async (t) => {
      const phone = await enterRoom(t);
      const atMs = phone.play(300);
      await phone.time.run(5_000);
      interrupt[part](phone);
      await phone.time.run(4_000);
      const { isLocked, isInterrupted } = phone.store.get().sound;
      assert.deepEqual([isLocked, isInterrupted], [true, true]);
      assert.deepEqual(phone.songsHeard(phone.time.now() - 3_000), ['']);
      resumeBySystem[part](phone);
      await phone.time.run(4_000);
      assert.equal(phone.store.get().sound.isInterrupted, false);
      assert.equal(phone.store.get().sound.isLocked, false);
      assertNear(aheadMs(phone, phone.time.now(), atMs), 0);
    });
  }
});

test('a phone that alone is paused is silent, and rejoins in step', async (t) => {
  const phone = await enterRoom(t);
  const atMs = phone.play(300);
  await phone.time.run(5_000);
  const pausedMs = phone.time.now();
  phone.store.update({ isPausedHere: true });
  await phone.time.run(5_000);
  assert.ok(phone.audibleSpan(pausedMs - 100).toMs < pausedMs + MAX_STOP_DELAY_MS);
  assert.equal(phone.audio.paused, true);
  const rejoinedMs = phone.time.now();
  phone.store.update({ isPausedHere: false });
  await phone.time.run(5_000);
  assert.ok(phone.audibleSpan(rejoinedMs).fromMs < rejoinedMs + 1_500);
  assertNear(aheadMs(phone, phone.time.now(), atMs), 0);
  assert.deepEqual(phone.nextRequests(), []);
});

test('a phone that alone is paused stays silent through Next and the room’s pause', async (t) => {
  const phone = await enterRoom(t);
  phone.play(300);
  await phone.time.run(3_000);
  phone.store.update({ isPausedHere: true });
  await phone.time.run(500);
  const fromMs = phone.time.now();
  phone.play(250, { queueIndex: 2 });
  await phone.time.run(2_000);
  phone.receive({ playState: { mode: 'paused', anchorPositionSec: 1.7 }, live: { anchorAtMs: null, segue: null, listeners: {} } });
  await phone.time.run(1_000);
  const atMs = phone.play(250, { queueIndex: 2 });
  await phone.time.run(2_000);
  assert.deepEqual(phone.songsHeard(fromMs), ['']);
  // It has loaded the songs all the same, so that no barrier waits for it.
  assert.deepEqual([...phone.store.get().readyTrackIds], ['c', 'd']);
  phone.store.update({ isPausedHere: false });
  await phone.time.run(3_000);
  assertNear(aheadMs(phone, phone.time.now(), atMs), 0);
});

test('a tab is silent and drops its songs while another tab sounds', async (t) => {
  const phone = await enterRoom(t);
  const atMs = phone.play(300);
  await phone.time.run(5_000);
  const silencedMs = phone.time.now();
  phone.store.update({ isOtherTabSounding: true });
  await phone.time.run(2_000);
  assert.ok(phone.audibleSpan(silencedMs - 100).toMs < silencedMs + MAX_STOP_DELAY_MS);
  assert.deepEqual([phone.store.get().readyTrackIds.size, phone.player.isReady('b')], [0, false]);
  phone.store.update({ isOtherTabSounding: false });
  await phone.time.run(4_000);
  assertNear(aheadMs(phone, phone.time.now(), atMs), 0);
});

test('a hidden phone that alone is paused plays no silence', async (t) => {
  const phone = await enterRoom(t);
  phone.play(300);
  await phone.time.run(3_000);
  globalThis.document.visibilityState = 'hidden';
  phone.store.update({ isPausedHere: true });
  await phone.time.run(5_000);
  assert.equal(phone.audio.paused, true);
});

test('with the server unreachable a paused phone rejoins where the others are', async (t) => {
  const phone = await enterRoom(t, { cachedTrackIds: new Set(['b', 'd']) });
  const atMs = phone.play(300);
  await phone.time.run(2_000);
  phone.store.update({ connection: 'reconnecting', isPausedHere: true });
  await phone.time.run(SONG_SEC * 1_000 + 5_000);
  assert.equal(phone.store.get().sound.predictedStart?.trackId, 'd');
  const rejoinedMs = phone.time.now();
  phone.store.update({ isPausedHere: false });
  await phone.time.run(3_000);
  assert.deepEqual(phone.songsHeard(rejoinedMs).filter((song) => song !== ''), ['d']);
  assertNear(aheadMs(phone, phone.time.now(), atMs + SONG_SEC * 1_000), 0);
});

test('a pending Pause silences this phone before the server responds', async (t) => {
  const phone = await enterRoom(t);
  const atMs = phone.play(300);
  await phone.time.run(5_000);
  const pausedMs = phone.time.now();
  phone.store.update({ pendingCommands: [{ name: 'pause', positionSec: 4.7, trackId: 'b' }] });
  await phone.time.run(1_000);
  assert.ok(phone.audibleSpan(pausedMs - 100).toMs < pausedMs + MAX_STOP_DELAY_MS);
  // The server has refused it.
  phone.store.update({ pendingCommands: [] });
  await phone.time.run(3_000);
  assertNear(aheadMs(phone, phone.time.now(), atMs), 0);
});

test('after the machine has slept the music continues without a jump', async (t) => {
  const phone = await enterRoom(t);
  const atMs = phone.play(300);
  phone.announceSegue(atMs);
  await phone.time.run(6_000);
  phone.time.sleep(60_000);
  await phone.time.run(SONG_SEC * 1000);
  assert.equal(phone.wakes(), 1);
  assert.ok(phone.levelRange(atMs + 1).min > 0.9);
  assert.deepEqual(phone.songsHeard(atMs + 1), ['b', 'c']);
  assertNear(aheadMs(phone, phone.time.now(), atMs + SONG_SEC * 1000), 0);
});

test('a remote control is silent and does not request Next', async (t) => {
  const phone = await enterRoom(t, { settings: { isRemoteControl: true } });
  const atMs = phone.play(300);
  await phone.time.run(SONG_SEC * 1000 + 3_000);
  assert.deepEqual(phone.songsHeard(atMs), ['']);
  assert.deepEqual(phone.nextRequests(), []);
});

test('a phone that cannot play the song delays its Next request', async (t) => {
  const phone = await enterRoom(t, { unplayableReasons: new Map([['b', 'format']]) });
  const atMs = phone.play(300);
  await phone.time.run(atMs + SONG_SEC * 1000 - phone.time.now() + 300);
  assert.deepEqual(phone.nextRequests(), []);
  await phone.time.run(1_500);
  assert.deepEqual(phone.songsHeard(atMs), ['']);
  assert.equal(phone.nextRequests().length, 1);
});

test('a phone that cannot play the song requests no Next while another phone plays', async (t) => {
  const phone = await enterRoom(t, { unplayableReasons: new Map([['b', 'format']]) });
  const atMs = phone.play(300);
  phone.reportOfOther(0.4);
  await phone.time.run(atMs + SONG_SEC * 1000 - phone.time.now() + 5_000);
  assert.deepEqual(phone.nextRequests(), []);
  phone.reportOfOther(null);
  await phone.time.run(500);
  assert.equal(phone.nextRequests().length, 1);
});

test('only the current and the next song are ready in the player', async (t) => {
  const phone = await enterRoom(t);
  phone.play(300);
  await phone.time.run(3_000);
  const readySongs = () => SONGS.filter((song) => phone.player.isReady(song));
  assert.deepEqual(readySongs(), ['b', 'c']);
  phone.play(250, { queueIndex: 3 });
  await phone.time.run(3_000);
  assert.deepEqual(readySongs(), ['d', 'e']);
});

test('a next song too large beside the current one is decoded as it plays', async (t) => {
  const longSec = 4 * 60;
  const index = new Map(SONGS.map((song) => [song, { trackId: song, version: 'v1', duration: longSec, size: 1, mime: 'audio/song', tags: { title: song } }]));
  const phone = await enterRoom(t, { index }, { deviceMemory: null, decodeMs: 800 }, longSec);
  phone.play();
  await phone.time.run(3_000);
  assert.deepEqual([...phone.store.get().readyTrackIds], ['b', 'c'], 'the next song must be ready for the element');
  assert.equal(phone.player.preparedTrack('c'), undefined);
  const atMs = phone.play(500, { queueIndex: 2 });
  await phone.time.run(600);
  assert.equal(phone.player.report().isExact, false);
  await phone.time.run(3_000);
  assert.equal(phone.player.report().isExact, true);
  assert.notEqual(phone.player.preparedTrack('c'), undefined);
  assertNear(aheadMs(phone, phone.time.now() - 50, atMs), 0);
  const heardFromMs = phone.audibleSpan(atMs).fromMs;
  assert.deepEqual(phone.songsHeard(heardFromMs + 1, phone.time.now() - 50), ['c'], 'the change of engines must have no gap');
  let doubledMs = 0;
  for (let ms = atMs; ms < phone.time.now() - 50; ms += 1) doubledMs += Number(phone.heardAt(ms).length > 1);
  assert.ok(doubledMs < 60, `both engines were heard for ${doubledMs} ms`);
  await phone.time.run(2_000);
  phone.receive({ playState: { mode: 'paused', anchorPositionSec: 5 } });
  await phone.time.run(500);
  assert.deepEqual(phone.songsHeard(phone.time.now() - 300), ['']);
});

test('a phone that ends in the first seconds waits for phones without reports', async (t) => {
  // A damaged file of 30 s, of which this phone has decoded 4.7 s. Phones report that they sound only after five seconds.
  const phone = await enterRoomWithWrongLength(t, 4.7);
  const listeners = { m2: { role: 'listener', download: null, playable: true, sync: { offMs: null, waitsForTap: false } } };
  const atMs = phone.play(300);
  phone.receive({ live: { ...phone.store.get().room.live, listeners } });
  await phone.time.run(atMs + 6_000 - phone.time.now());
  assert.deepEqual(phone.nextRequests(), []);
  assert.equal(phone.store.get().sound.hasNoMoreSound, true);
  phone.reportOfOther(0.4);
  await phone.time.run(atMs + 29_900 - phone.time.now());
  assert.deepEqual(phone.nextRequests(), []);
  await phone.time.run(200);
  assert.equal(phone.nextRequests().length, 1);
});

test('a phone that ends in the first seconds does not wait for phones that need a tap', async (t) => {
  const phone = await enterRoomWithWrongLength(t, 4.7);
  const listeners = { m2: { role: 'listener', download: null, playable: true, sync: { offMs: null, waitsForTap: true } } };
  const atMs = phone.play(300);
  phone.receive({ live: { ...phone.store.get().room.live, listeners } });
  await phone.time.run(atMs + 4_900 - phone.time.now());
  assert.equal(phone.nextRequests().length, 1);
});

for (const [name, latencyMs] of /** @type {[string, number][]} */ ([['later', 240], ['earlier', 10]])) {
  test(`a phone is in step three seconds after its output has become ${name}`, async (t) => {
    const phone = await enterRoom(t, {}, { latencyMs: 90 });
    const atMs = phone.play();
    await phone.time.run(6_000);
    assertNear(aheadMs(phone, phone.time.now() - 300, atMs), 0);
    phone.sound.card.latencyMs = latencyMs;
    await phone.time.run(3_000 + latencyMs);
    assertNear(aheadMs(phone, phone.time.now() - 20, atMs), 0, 2);
  });
}

test('a phone plays on at the sample rate of its new output, in step', async (t) => {
  const phone = await enterRoom(t);
  const atMs = phone.play();
  await phone.time.run(6_000);
  phone.sound.card.sampleRate = 44_100;
  phone.player.resetOutputClock();
  const changedAtMs = phone.time.now();
  await phone.time.run(3_000);
  assert.deepEqual(phone.sound.runningRates(), [44_100]);
  assertNear(aheadMs(phone, phone.time.now() - 20, atMs), 0, 2);
  assert.ok(phone.songsHeard(changedAtMs, changedAtMs + 1_000).length <= 3, 'at most one gap');
});

test('the old output’s sound goes on while the browser requires a gesture for a new context', async (t) => {
  const phone = await enterRoom(t);
  const atMs = phone.play();
  await phone.time.run(6_000);
  phone.sound.card.sampleRate = 44_100;
  phone.sound.card.allowed = false;
  phone.player.resetOutputClock();
  const changedAtMs = phone.time.now();
  await phone.time.run(3_000);
  assert.deepEqual(phone.sound.runningRates(), [48_000]);
  assert.deepEqual(phone.songsHeard(changedAtMs), [phone.songsHeard(changedAtMs)[0]]);
  assertNear(aheadMs(phone, phone.time.now() - 20, atMs), 0, 2);
  phone.sound.card.allowed = true;
  phone.player.unlock();
  await phone.time.run(3_000);
  assert.deepEqual(phone.sound.runningRates(), [44_100]);
  assertNear(aheadMs(phone, phone.time.now() - 20, atMs), 0, 2);
});

test('a phone whose element ends early waits for phones without reports', async (t) => {
  const phone = await enterRoom(t, {}, { deviceMemory: 1 }, 4.7);
  const listeners = { m2: { role: 'listener', download: null, playable: true, sync: { offMs: null, waitsForTap: false } } };
  const atMs = phone.play(300);
  phone.announceSegue(atMs);
  phone.store.update({ room: { ...phone.store.get().room, live: { ...phone.store.get().room.live, listeners } } });
  await phone.time.run(atMs + 12_000 - phone.time.now());
  assert.deepEqual([phone.nextRequests(), phone.store.get().sound.hasNoMoreSound, phone.store.get().sound.predictedStart], [[], true, null]);
  await phone.time.run(atMs + 29_900 - phone.time.now());
  assert.deepEqual(phone.nextRequests(), []);
  await phone.time.run(1_500);
  assert.equal(phone.nextRequests().length, 1);
});
