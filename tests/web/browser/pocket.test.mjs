// Phones in pockets and laptops with their lids closed: pages that nobody sees.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { journey, openBrowser, openPhone } from '../support/phones.mjs';
import { DEMO_MUSIC, copies, startServer } from '../support/server.mjs';
import { tones } from '../support/tones.mjs';
import { openWire } from '../support/wire.mjs';

/** @typedef {import('../support/phones.mjs').Phone} Phone */

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

/**
 * @param {import('node:test').TestContext} t
 * @param {{fill: (folder: string) => Promise<unknown>, names: string[], host?: string, init?: () => void}} options
 * @param {(phones: Phone[], server: Awaited<ReturnType<typeof startServer>>) => Promise<void>} steps
 */
async function room(t, { fill, names, host, init }, steps) {
  const server = await startServer({ fill });
  t.after(server.end);
  /** @type {Phone[]} */
  const phones = [];
  t.after(() => Promise.all(phones.map((phone) => phone.close())));
  await journey(t.name, () => phones, async () => {
    for (const name of names) phones.push(await enter(server.url(host), name, init));
    await steps(phones, server);
    for (const phone of phones) assert.deepEqual(phone.errors, []);
  });
}

/** @param {string} url @param {string} name @param {() => void} [init] */
async function enter(url, name, init) {
  const phone = await openPhone(browser, url);
  if (init) {
    await phone.page.addInitScript(init);
    await phone.page.reload();
  }
  await phone.join(name);
  return phone;
}

/**
 * In the page: it is hidden, its timers come once a minute at most and its frames not at all. (Playwright keeps
 * each page in the foreground, and Chromium lets the timers of a page that sounds come when they are due; so what
 * browsers may do is done to the page here.) From then on it notes when its sound stops and starts.
 */
function pocket() {
  const late = (/** @type {any} */ real) => (/** @type {any} */ then, ms = 0) => real(then, Math.max(ms, 60_000));
  Object.assign(globalThis, { setTimeout: late(setTimeout), setInterval: late(setInterval), requestAnimationFrame: () => 0 });
  Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
  const audio = document.querySelector('audio');
  globalThis.gaps = [];
  let stoppedMs = NaN;
  // A track that is changed while it runs is emptied; one that was let run out has ended.
  for (const name of ['pause', 'ended', 'emptied']) audio.addEventListener(name, () => (stoppedMs = performance.now()));
  audio.addEventListener('playing', () => globalThis.gaps.push(performance.now() - stoppedMs));
}

/** A song of that length runs, by what can be seen without timers in the page. @param {Phone} phone @param {number} seconds */
const runs = (phone, seconds) =>
  phone.until(`a song of ${seconds} s that runs`, (s) => {
    const audio = document.querySelector('audio');
    return Math.round(audio.duration) === s && !audio.paused && !audio.loop && audio.currentTime > 0.5;
  }, seconds);

test('in a pocket, with timers once a minute and a processor six times slower, one song follows the other', (t) =>
  room(t, { fill: tones({ 'Alpha Dance': 6, 'Beta Waltz': 5, 'Gamma March': 40 }), names: ['Ada'] }, async ([ada]) => {
    await ada.holds(3);
    await ada.press('Play');
    await ada.sounds();
    await ada.read(pocket);
    await ada.cdp.send('Emulation.setCPUThrottlingRate', { rate: 6 });
    await runs(ada, 5);
    await runs(ada, 40);
    const gaps = await ada.read(() => globalThis.gaps);
    // Phones suspend a page some ten seconds after its sound stops.
    assert.ok(gaps.length >= 2 && Math.max(...gaps) < 3_000, `${gaps} ms`);
  }));

test('a song that waits for others is no silence that a pocket would suspend, and starts when they are ready', (t) =>
  room(t, { fill: tones({ 'Alpha Dance': 6, 'Beta Waltz': 40 }), names: ['Ada'] }, async (phones, server) => {
    const [ada] = phones;
    await ada.holds(2);
    const ben = await openPhone(browser, server.url());
    phones.push(ben);
    let go = () => {};
    const ready = new Promise((resolve) => (go = () => resolve(undefined)));
    let asked = 0;
    await ben.page.route('**/file/**', async (route) => {
      asked += 1;
      if (asked > 1) await ready;
      await route.continue().catch(() => {});
    });
    await ben.join('Ben');
    await ben.holds(1);
    await ada.press('Play');
    await ada.sounds();
    await ada.read(pocket);
    await ada.until('silence that sounds', () => {
      const audio = document.querySelector('audio');
      return audio.loop && !audio.paused && !audio.muted && audio.duration > 5 && audio.currentTime > 2;
    });
    assert.equal(await ben.read(() => /Beta Waltz/.test(document.querySelector('#now-title').textContent)), true);
    go();
    await runs(ada, 40);
    await ben.sounds();
    const [a, b] = await Promise.all([ada.position(), ben.position()]);
    assert.ok(Math.abs(a - b) < 0.5, `${a} and ${b} are one place`);
    // A pause is meant to be one.
    await ben.press('Pause');
    await ada.until('the pause', () => document.querySelector('audio').paused);
    await ben.silent();
    assert.equal(await ada.read(() => document.querySelector('audio').paused), true);
  }));

/** In the page: sound is refused from now on, until somebody touches the page. */
function refuse() {
  const { play } = HTMLMediaElement.prototype;
  let touched = false;
  addEventListener('pointerdown', () => (touched = true), { capture: true });
  HTMLMediaElement.prototype.play = function () {
    return touched ? play.call(this) : Promise.reject(new DOMException('', 'NotAllowedError'));
  };
}

test('a phone that was suspended in a pause says "tap to rejoin", and the tap lands where the music is', (t) =>
  room(t, { fill: tones({ 'Alpha Dance': 90, 'Beta Waltz': 90 }), names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    await Promise.all([ada.holds(2), ben.holds(2)]);
    await ada.press('Play');
    await Promise.all([ada.sounds(), ben.sounds()]);
    await ada.press('Pause');
    await Promise.all([ada.silent(), ben.silent()]);
    await ada.read(refuse);
    await ada.cdp.send('Page.setWebLifecycleState', { state: 'frozen' });
    await ben.press('Play');
    // It is not waited for, at the latest when it has vanished.
    await ben.sounds();
    assert.ok(await ada.read(() => document.querySelector('audio').paused));
    await ada.cdp.send('Page.setWebLifecycleState', { state: 'active' });
    await ada.status('tap to rejoin');
    await ada.press('Tap to rejoin');
    await ada.sounds();
    await ada.status('in step');
    const [a, b] = await Promise.all([ada.position(), ben.position()]);
    assert.ok(Math.abs(a - b) < 0.5, `${a} and ${b} are one place`);
  }));

/**
 * In the page: all of its clocks are an hour later from one moment to the next; the sound is where it was. From then
 * on, whatever is made to sound notes by how much it goes on from another place than the one that the song is at.
 */
function sleepAnHour() {
  const [wall, own, stamp] = [Date.now.bind(Date), performance.now.bind(performance), AudioContext.prototype.getOutputTimestamp];
  const audio = document.querySelector('audio');
  const began = own() / 1000 - audio.currentTime;
  globalThis.jumps = [];
  const note = (/** @type {number} */ positionSec, /** @type {number} */ inSec) =>
    globalThis.jumps.push(positionSec - (own() / 1000 + inSec - began));
  const { start } = AudioBufferSourceNode.prototype;
  AudioBufferSourceNode.prototype.start = function (atSec, fromSec) {
    const inSec = atSec - this.context.currentTime;
    // What is laid down for the end of the song is another one.
    if (inSec < 5) note(fromSec, inSec);
    return start.call(this, atSec, fromSec);
  };
  audio.addEventListener('playing', () => note(audio.currentTime, 0));
  Date.now = () => wall() + 3_600_000;
  performance.now = () => own() + 3_600_000;
  AudioContext.prototype.getOutputTimestamp = function () {
    const { contextTime, performanceTime } = stamp.call(this);
    return { contextTime, performanceTime: performanceTime + 3_600_000 };
  };
}

test('a laptop that slept for an hour plays on, and falls back in without a jump where the place is the same', async (t) => {
  const server = await startServer({ fill: tones({ 'Alpha Dance': 90, 'Beta Waltz': 90 }) });
  t.after(server.end);
  const wire = await openWire(server.url());
  t.after(wire.close);
  const ada = await openPhone(browser, wire.url);
  t.after(ada.close);
  await journey(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.holds(2);
    await ada.press('Play');
    await ada.status('in step');
    await ada.sounds();
    wire.cut();
    await ada.read(sleepAnHour);
    await ada.status('reconnecting…');
    await ada.until('the bar where the sound is', () =>
      Math.abs(Number(document.querySelector('#position').value) - document.querySelector('audio').currentTime) < 1.5,
    );
    wire.mend();
    await ada.status('in step');
    await ada.sounds();
    const jumps = await ada.read(() => globalThis.jumps);
    assert.deepEqual(jumps.filter((sec) => Math.abs(sec) > 0.5), [], 'whatever sounded went on from where it was');
  });
});

test('with the server away the next song that is here follows, in the order of the queue', (t) =>
  room(t, { fill: tones({ 'Alpha Dance': 8, 'Beta Waltz': 30, 'Gamma March': 30 }), names: ['Ada'] }, async ([ada], server) => {
    await ada.holds(3);
    // What lay next in this phone's storage is gone.
    const beta = (await ada.read(async () => {
      const rows = await (await fetch('/index')).json();
      return rows.find(({ tags }) => tags.title === 'Beta Waltz').trackId;
    }));
    await ada.page.route(`**/file/${beta}**`, (route) => route.fulfill({ status: 500, body: '' }));
    await ada.read(async (trackId) => (await globalThis.backOfTests).remove(trackId), beta);
    await ada.cdp.send('Page.reload');
    await ada.until('the room', () => !document.querySelector('#room-view').hidden);
    await ada.holds(2);
    await ada.press('Play');
    await ada.sounds();
    await server.kill();
    await ada.status('reconnecting…');
    await ada.seesTitle('Gamma March');
    await ada.sounds();
  }));

test('a page that nobody sees is still named by what plays', (t) =>
  room(t, { fill: tones({ 'Alpha Dance': 6, 'Beta Waltz': 40 }), names: ['Ada'] }, async ([ada]) => {
    await ada.holds(2);
    await ada.press('Play');
    await ada.sounds();
    assert.equal(await ada.page.title(), 'Alpha Dance · Lockstep');
    await ada.read(pocket);
    await runs(ada, 40);
    await ada.until('the title', () => document.title === 'Beta Waltz · Lockstep');
  }));

test('looked at again, a phone does not wait for its next try to reach the server', async (t) => {
  const server = await startServer({ fill: tones({ 'Alpha Dance': 40 }) });
  t.after(server.end);
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await journey(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.holds(1);
    let away = true;
    await ada.page.route('**/events*', (route) => (away ? route.abort() : route.continue()));
    const refused = () => ada.page.waitForEvent('requestfailed', (request) => request.url().includes('/events') && request.failure()?.errorText === 'net::ERR_FAILED');
    const fourth = refused().then(refused).then(refused).then(refused);
    await server.stop();
    await server.start();
    await fourth;
    // From here four seconds lie between two tries.
    away = false;
    const asked = ada.page.waitForRequest('**/events*');
    const began = performance.now();
    await ada.read(() => document.dispatchEvent(new Event('visibilitychange')));
    await asked;
    const tookMs = performance.now() - began;
    assert.ok(tookMs < 500, `${tookMs} ms`);
    await ada.status('paused');
  });
});

/** In the page: notes what it tells the system, and keeps the keys that it answers to. */
function listenIn() {
  const session = navigator.mediaSession;
  const { setActionHandler, setPositionState } = session;
  globalThis.keys = {};
  session.setActionHandler = (action, handler) => {
    globalThis.keys[action] = handler;
    setActionHandler.call(session, action, handler);
  };
  session.setPositionState = (state) => {
    globalThis.place = state ?? null;
    setPositionState.call(session, state);
  };
}

test('the lock screen shows what plays, where it is and its cover, and its keys do what the buttons do', (t) =>
  room(t, { fill: copies(DEMO_MUSIC), names: ['Ada'], init: listenIn }, async ([ada]) => {
    await ada.holds(2);
    const key = (/** @type {string} */ action, more = {}) => ada.read((a, m) => globalThis.keys[a]({ action: a, ...m }), action, more);
    const state = (/** @type {string} */ wanted) => ada.until(`the state ${wanted}`, (w) => navigator.mediaSession.playbackState === w, wanted);
    await ada.press('Play');
    await ada.sounds();
    await state('playing');
    await ada.until('what the page shows', () => {
      const { title, artist, album } = navigator.mediaSession.metadata;
      const text = (/** @type {string} */ id) => document.querySelector(id).textContent;
      return title === text('#now-title') && artist === text('#now-artist') && album === text('#now-album');
    });
    const sizes = ['96x96', '192x192', '512x512'];
    await ada.until('the cover in its sizes', (wanted) => {
      const { artwork } = navigator.mediaSession.metadata;
      return artwork.map(({ sizes: own }) => own).join() === wanted.join();
    }, sizes);
    const widths = await ada.read(async () => {
      const pictures = navigator.mediaSession.metadata.artwork.map(({ src }) => Object.assign(new Image(), { src }));
      await Promise.all(pictures.map((picture) => picture.decode()));
      return pictures.map(({ naturalWidth }) => `${naturalWidth}x${naturalWidth}`);
    });
    assert.deepEqual(widths, sizes);

    await key('pause');
    await ada.silent();
    await state('paused');
    await key('play');
    await ada.sounds();
    await key('seekto', { seekTime: 12 });
    await ada.until('the place', () => document.querySelector('audio').currentTime >= 12 && globalThis.place?.position >= 11.9);
    assert.equal(await ada.read(() => globalThis.place.playbackRate), 1);
    await key('seekforward', { seekOffset: 5 });
    await ada.until('five seconds on', () => document.querySelector('audio').currentTime >= 17);
    await key('seekbackward', { seekOffset: 15 });
    await ada.until('fifteen seconds back', () => document.querySelector('audio').currentTime < 12);
    const first = await ada.title();
    await key('nexttrack');
    await ada.until('the next song', (title) => navigator.mediaSession.metadata.title !== title, first);
    await ada.sounds();
    await ada.press('Settings');
    await ada.press('Leave');
    await ada.until('nothing', () => navigator.mediaSession.metadata === null && navigator.mediaSession.playbackState === 'none' && globalThis.place === null);
  }));

test('neither a reconnection nor a length that is known better makes the cover on the lock screen flash', (t) =>
  room(t, { fill: copies(DEMO_MUSIC), names: ['Ada'] }, async ([ada], server) => {
    await ada.holds(2);
    if (await ada.read(() => !document.querySelector('#now-cover img').hasAttribute('src'))) await ada.press('Next');
    else await ada.press('Play');
    await ada.status('in step');
    await ada.until('the cover', () => navigator.mediaSession.metadata?.artwork.length === 3);
    await ada.read(() => {
      const { get, set } = Object.getOwnPropertyDescriptor(MediaSession.prototype, 'metadata');
      globalThis.told = [];
      Object.defineProperty(navigator.mediaSession, 'metadata', {
        get,
        set(metadata) {
          globalThis.told.push(metadata?.artwork.length ?? null);
          set.call(this, metadata);
        },
      });
    });
    await server.stop();
    await ada.status('reconnecting…');
    await ada.page.route('**/index', async (route) => {
      const answer = await route.fetch({ url: route.request().url().replace('party.lan', '127.0.0.1') });
      const tracks = await answer.json();
      await route.fulfill({ json: tracks.map((track) => ({ ...track, duration: track.duration + 60 })) });
    });
    const before = await ada.read(() => Number(document.querySelector('#position').max));
    await server.start();
    await ada.until('the length', (was) => Number(document.querySelector('#position').max) > was + 50, before);
    await ada.status('in step');
    assert.deepEqual(await ada.read(() => globalThis.told), []);
    assert.equal(await ada.read(() => navigator.mediaSession.metadata.artwork.length), 3);
  }));
