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
  const nothing = () => {};
  const player = createPlayer(/** @type {any} */ (audio), { change: nothing, ended: nothing, unplayable: nothing });
  const bytes = async () => (await fetch(audio.src)).text();
  return { audio, player, bytes };
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
