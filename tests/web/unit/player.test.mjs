import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createPlayer } from '../../../static/js/player.js';

before(() => (globalThis.HTMLMediaElement = { HAVE_METADATA: 1, HAVE_FUTURE_DATA: 3 }));
after(() => delete globalThis.HTMLMediaElement);

/** What of an <audio> element the player needs; whatever it is given is there at once. */
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

function scene() {
  const audio = new FakeAudio();
  /** @type {string[]} */
  const ended = [];
  /** @type {[string, number][]} */
  const durations = [];
  const nothing = () => {};
  const player = createPlayer(/** @type {any} */ (audio), {
    change: nothing,
    ended: (trackId) => ended.push(trackId),
    unplayable: nothing,
    duration: (...found) => durations.push(found),
  });
  const bytes = async () => (await fetch(audio.src)).text();
  return { audio, player, bytes, ended, durations };
}

const hold = { kind: /** @type {const} */ ('hold'), trackId: 'b', positionSec: 0 };

test('bytes that are let go of while they are loaded are not played again', async () => {
  const { player, bytes } = scene();
  player.prepare('b', new Blob(['old']));
  player.follow(hold);
  assert.equal(await bytes(), 'old');
  player.keep(new Set());
  assert.equal(player.has('b'), false);
  assert.equal(await bytes(), 'old', 'what is loaded may sound on');
  player.prepare('b', new Blob(['new']));
  player.follow(hold);
  assert.equal(await bytes(), 'new');
});

test('what is kept is loaded once', () => {
  const { audio, player } = scene();
  player.prepare('b', new Blob(['old']));
  player.follow(hold);
  const { src } = audio;
  player.keep(new Set(['b']));
  player.follow({ ...hold, positionSec: 5 });
  assert.equal(audio.src, src);
});

test('bytes that nobody needs any more are freed', async () => {
  const { audio, player } = scene();
  player.prepare('b', new Blob(['b']));
  player.prepare('c', new Blob(['c']));
  player.follow(hold);
  const { src } = audio;
  player.keep(new Set(['c']));
  player.follow({ ...hold, trackId: 'c' });
  await assert.rejects(fetch(src));
  assert.equal(await (await fetch(audio.src)).text(), 'c');
});

/** Plays `b`, of 60 s, from its start. */
async function sounding() {
  const all = scene();
  const { audio, player } = all;
  audio.duration = 60;
  player.prepare('b', new Blob(['b']));
  player.follow({ kind: 'start', trackId: 'b', positionSec: 0, atMs: 0, atOnce: true });
  await new Promise(setImmediate);
  assert.equal(player.report().phase, 'playing');
  return all;
}

for (const first of ['timeupdate', 'pause', 'ended']) {
  test(`the end of a track is told once, by ${first} if that comes first`, async () => {
    const { audio, player, ended } = await sounding();
    audio.currentTime = 30;
    audio.dispatchEvent(new Event('timeupdate'));
    assert.deepEqual(ended, []);
    Object.assign(audio, { currentTime: 60, paused: true, ended: true });
    for (const name of [first, 'timeupdate', 'pause', 'ended']) audio.dispatchEvent(new Event(name));
    assert.deepEqual(ended, ['b']);
    assert.equal(player.report().phase, 'ended');
  });
}

test('a pause that nobody here asked for needs a tap', async () => {
  const { audio, player, ended } = await sounding();
  audio.currentTime = 30;
  audio.pause();
  audio.dispatchEvent(new Event('pause'));
  assert.equal(player.locked(), true);
  assert.deepEqual(ended, []);
});

test('silence sounds on and on until there is something to play, and is no track', async () => {
  const { audio, player, ended } = await sounding();
  player.idle();
  const { src } = audio;
  player.idle();
  assert.equal(audio.src, src, 'it is begun once');
  assert.deepEqual([audio.loop, audio.paused], [true, false]);
  assert.deepEqual([player.report().phase, player.report().trackId], ['idle', null]);
  const wav = new DataView(await (await fetch(src)).arrayBuffer());
  assert.ok((wav.byteLength - 44) / wav.getUint32(28, true) > 5, 'long enough for Android’s lock screen');
  player.follow({ kind: 'start', trackId: 'b', positionSec: 0, atMs: 0, atOnce: true });
  assert.equal(audio.loop, false);
  assert.equal(await (await fetch(audio.src)).text(), 'b');
  assert.deepEqual(ended, []);
});

test('how long a track is, is told when it is loaded', async () => {
  const { audio, durations } = await sounding();
  audio.dispatchEvent(new Event('loadedmetadata'));
  assert.deepEqual(durations, [['b', 60]]);
});
