// The element engine, used through the player in a process without an AudioContext, with a fake <audio> element.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createPlayer } from '../../../static/js/sound/player.js';
import { replaceGlobals } from '../support/globals.mjs';

before(() => (globalThis.HTMLMediaElement = { HAVE_METADATA: 1, HAVE_FUTURE_DATA: 3 }));
after(() => delete globalThis.HTMLMediaElement);

/** A fake <audio> element that loads and seeks without delay. */
class FakeAudio extends EventTarget {
  src = '';
  readyState = 4;
  currentTime = 0;
  paused = true;
  seeking = false;
  ended = false;
  loop = false;
  duration = NaN;
  error = null;
  pause() {
    this.paused = true;
  }
  async play() {
    this.paused = false;
  }
}

function openPlayer() {
  const audio = new FakeAudio();
  /** @type {string[]} */
  const ended = [];
  /** @type {[string, number][]} */
  const durations = [];
  const ignore = () => {};
  const player = createPlayer(/** @type {any} */ (audio), {
    change: ignore,
    ended: (trackId) => ended.push(trackId),
    unplayable: ignore,
    lost: ignore,
    duration: (trackId, durationSec) => durations.push([trackId, durationSec]),
  });
  const loadedText = async () => (await fetch(audio.src)).text();
  return { audio, player, loadedText, ended, durations };
}

const hold = { kind: /** @type {const} */ ('hold'), trackId: 'b', positionSec: 0 };

test('a dropped file stays in the element until its replacement loads', async () => {
  const { player, loadedText } = openPlayer();
  player.prepare('b', new Blob(['old']));
  player.execute(hold);
  assert.equal(await loadedText(), 'old');
  player.retainOnly(new Set());
  assert.equal(player.isReady('b'), false);
  assert.equal(await loadedText(), 'old', 'the element must keep the dropped file');
  player.prepare('b', new Blob(['new']));
  player.execute(hold);
  assert.equal(await loadedText(), 'new');
});

test('a retained track is not loaded again', () => {
  const { audio, player } = openPlayer();
  player.prepare('b', new Blob(['old']));
  player.execute(hold);
  const { src } = audio;
  player.retainOnly(new Set(['b']));
  player.execute({ ...hold, positionSec: 5 });
  assert.equal(audio.src, src);
});

test('a dropped file is freed when another track is loaded', async () => {
  const { audio, player } = openPlayer();
  player.prepare('b', new Blob(['b']));
  player.prepare('c', new Blob(['c']));
  player.execute(hold);
  const { src } = audio;
  player.retainOnly(new Set(['c']));
  player.execute({ ...hold, trackId: 'c' });
  await assert.rejects(fetch(src));
  assert.equal(await (await fetch(audio.src)).text(), 'c');
});

/** A player that plays `b`, which lasts 60 s, from its beginning. */
async function openPlayingPlayer() {
  const opened = openPlayer();
  const { audio, player } = opened;
  audio.duration = 60;
  player.prepare('b', new Blob(['b']));
  player.execute({ kind: 'start', trackId: 'b', positionSec: 0, atMs: 0, isImmediate: true });
  await new Promise(setImmediate);
  assert.equal(player.report().phase, 'playing');
  return opened;
}

for (const firstEvent of ['timeupdate', 'pause', 'ended']) {
  test(`the end of a track is reported once if ${firstEvent} fires first`, async () => {
    const { audio, player, ended } = await openPlayingPlayer();
    audio.currentTime = 30;
    audio.dispatchEvent(new Event('timeupdate'));
    assert.deepEqual(ended, []);
    Object.assign(audio, { currentTime: 60, paused: true, ended: true });
    for (const name of [firstEvent, 'timeupdate', 'pause', 'ended']) audio.dispatchEvent(new Event(name));
    assert.deepEqual(ended, ['b']);
    assert.equal(player.report().phase, 'ended');
  });
}

test('after a pause by the system the player needs a tap', async () => {
  const { audio, player, ended } = await openPlayingPlayer();
  audio.currentTime = 30;
  audio.pause();
  audio.dispatchEvent(new Event('pause'));
  assert.equal(player.isLocked(), true);
  assert.deepEqual(ended, []);
});

test('a track that the system resumes after a call needs no tap', async () => {
  const { audio, player } = await openPlayingPlayer();
  audio.pause();
  audio.dispatchEvent(new Event('pause'));
  assert.equal(player.isLocked(), true);
  audio.paused = false;
  audio.dispatchEvent(new Event('playing'));
  assert.deepEqual([player.isLocked(), player.isSoundAllowed()], [false, true]);
});

for (const plan of /** @type {const} */ ([hold, 'silence'])) {
  test(`what the system resumes after ${plan === hold ? 'a pause of the room' : 'a pause of this phone'} is stopped`, async () => {
    const { audio, player } = await openPlayingPlayer();
    audio.pause();
    audio.dispatchEvent(new Event('pause'));
    player.execute(plan);
    audio.paused = false;
    audio.dispatchEvent(new Event('playing'));
    assert.equal(audio.paused, true);
  });
}

test('a muted start without a gesture does not count as allowed sound', async (t) => {
  replaceGlobals(t, { navigator: {} });
  const { audio, player } = openPlayer();
  player.prepare('b', new Blob(['b']));
  player.setOutputGain(0);
  const start = { kind: /** @type {const} */ ('start'), trackId: 'b', positionSec: 0, atMs: 0, isImmediate: true };
  player.execute(start);
  await new Promise(setImmediate);
  assert.deepEqual([audio.paused, player.isSoundAllowed()], [false, false]);
  player.unlock(start);
  await new Promise(setImmediate);
  assert.equal(player.isSoundAllowed(), true, 'a gesture allows sound, even while muted');
});

test('keep-alive silence loops until the next plan', async () => {
  const { audio, player, ended } = await openPlayingPlayer();
  player.keepAlive();
  const { src } = audio;
  player.keepAlive();
  assert.equal(audio.src, src, 'a second call must not load another file');
  assert.deepEqual([audio.loop, audio.paused], [true, false]);
  assert.deepEqual([player.report().phase, player.report().trackId], ['keepAlive', null]);
  const wav = new DataView(await (await fetch(src)).arrayBuffer());
  assert.ok((wav.byteLength - 44) / wav.getUint32(28, true) > 5, 'the silence must be longer than 5 s, as Android’s lock screen requires');
  player.execute({ kind: 'start', trackId: 'b', positionSec: 0, atMs: 0, isImmediate: true });
  assert.equal(audio.loop, false);
  assert.equal(await (await fetch(audio.src)).text(), 'b');
  assert.deepEqual(ended, []);
});

test('the duration is reported when the metadata has loaded', async () => {
  const { audio, durations } = await openPlayingPlayer();
  audio.dispatchEvent(new Event('loadedmetadata'));
  assert.deepEqual(durations, [['b', 60]]);
});
