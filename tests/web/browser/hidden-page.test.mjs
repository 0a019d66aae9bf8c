// Hidden pages: phones with the screen off, suspended phones, and laptops after a sleep.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openCuttableProxy } from '../support/cuttable-proxy.mjs';
import { hidePage } from '../support/page-checks.mjs';
import { openBrowser, openPhone, screenshotOnFailure, waitForSameTrackStart } from '../support/phones.mjs';
import { startServer } from '../support/server.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tones } from '../support/tones.mjs';

/** @typedef {import('../support/phones.mjs').Phone} Phone */

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

/** Runs in the page: records the length of each track that starts to sound, and the silence before it. */
function recordStarts() {
  const audio = document.querySelector('audio');
  globalThis.starts = [];
  let stoppedMs = NaN;
  // `emptied` means that a running track was replaced, `ended` that it played to its end.
  for (const name of ['pause', 'ended', 'emptied']) audio.addEventListener(name, () => (stoppedMs = performance.now()));
  audio.addEventListener('playing', () => {
    const durationSec = Math.round(audio.duration);
    if (audio.loop || durationSec === globalThis.starts.at(-1)?.durationSec) return;
    globalThis.starts.push({ durationSec, gapMs: performance.now() - stoppedMs });
  });
}

/** Runs in the page: seeks to a position, whatever else changes the room meanwhile. @param {number} positionSec */
async function seekTo(positionSec) {
  for (let status = 409; status === 409; ) {
    const { eventCount } = await (await fetch('/snapshot')).json();
    ({ status } = await fetch('/seek', { method: 'POST', headers: { 'If-Match-Event': eventCount }, body: JSON.stringify({ positionSec }) }));
  }
}

/** Waits until a track of this duration plays. Uses no timer of the page, because its timers are throttled. @param {Phone} phone @param {number} durationSec */
const waitForTrackOfLength = (phone, durationSec) =>
  phone.waitFor(`playback of the ${durationSec} s track`, (expectedSec) => {
    const audio = document.querySelector('audio');
    return Math.round(audio.duration) === expectedSec && !audio.paused && !audio.loop && audio.currentTime > 0.5;
  }, durationSec);

test('a hidden page with a slow CPU plays the next track', (t) =>
  withRoom(t, browser, { fill: tones({ 'Alpha Dance': 60, 'Beta Waltz': 5, 'Gamma March': 40 }), names: ['Ada'] }, async ([ada]) => {
    await ada.waitForStoredTracks(3);
    await ada.evaluate(recordStarts);
    await ada.press('Play');
    await ada.waitForPlayback();
    await ada.evaluate(hidePage);
    await ada.cdp.send('Emulation.setCPUThrottlingRate', { rate: 6 });
    // Only now, so that both changes of the track happen while the page is hidden, however long the steps before have taken.
    await ada.evaluate(seekTo, 58);
    await ada.waitFor('the third track', () => globalThis.starts.length === 3);
    const starts = await ada.evaluate(() => globalThis.starts);
    assert.deepEqual(starts.map(({ durationSec }) => durationSec), [60, 5, 40]);
    // Phones suspend a hidden page about ten seconds after its sound stops. Timers of the hidden page take a minute.
    const gapsMs = starts.slice(1).map(({ gapMs }) => gapMs);
    assert.ok(Math.max(...gapsMs) < 10_000, `gaps between playbacks: ${gapsMs} ms`);
  }));

test('a hidden page stays audible at a barrier and starts the track', (t) =>
  withRoom(t, browser, { fill: tones({ 'Alpha Dance': 6, 'Beta Waltz': 40 }), names: ['Ada'] }, async (phones, server) => {
    const [ada] = phones;
    await ada.waitForStoredTracks(2);
    const ben = await openPhone(browser, server.url());
    phones.push(ben);
    let release = () => {};
    const released = new Promise((resolve) => (release = () => resolve(undefined)));
    let requestCount = 0;
    await ben.page.route('**/file/**', async (route) => {
      requestCount += 1;
      // Only the first track can be downloaded.
      if (requestCount > 1) await released;
      await route.continue().catch(() => {});
    });
    await ben.join('Ben');
    await ben.waitForStoredTracks(1);
    await ada.press('Play');
    await ada.waitForPlayback();
    await ada.evaluate(hidePage);
    await ada.waitFor('the looped silent track', () => {
      const audio = document.querySelector('audio');
      return audio.loop && !audio.paused && !audio.muted && audio.duration > 5 && audio.currentTime > 2;
    });
    assert.equal(await ben.evaluate(() => /Beta Waltz/.test(document.querySelector('#now-title').textContent)), true);
    release();
    await waitForTrackOfLength(ada, 40);
    await ben.waitForPlayback();
    await waitForSameTrackStart([ada, ben]);
    // A pause also stops the silent track.
    await ben.press('Pause');
    await ada.waitFor('the element to pause', () => document.querySelector('audio').paused);
    await ben.waitForSilence();
    assert.equal(await ada.evaluate(() => document.querySelector('audio').paused), true);
  }));

/** Runs in the page: refuses playback until the next touch, as a suspended page does. */
function requireTouch() {
  const { play } = HTMLMediaElement.prototype;
  let hasTouch = false;
  addEventListener('pointerdown', () => (hasTouch = true), { capture: true });
  HTMLMediaElement.prototype.play = function () {
    return hasTouch ? play.call(this) : Promise.reject(new DOMException('', 'NotAllowedError'));
  };
}

test('a phone suspended during a pause rejoins in step after a tap', (t) =>
  withRoom(t, browser, { fill: tones({ 'Alpha Dance': 90, 'Beta Waltz': 90 }), names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    await Promise.all([ada.waitForStoredTracks(2), ben.waitForStoredTracks(2)]);
    await ada.press('Play');
    await Promise.all([ada.waitForPlayback(), ben.waitForPlayback()]);
    await ada.press('Pause');
    await Promise.all([ada.waitForSilence(), ben.waitForSilence()]);
    await ada.evaluate(requireTouch);
    await ada.cdp.send('Page.setWebLifecycleState', { state: 'frozen' });
    await ben.press('Play');
    // The barrier drops the phone at the latest when the server considers its connection lost.
    await ben.waitForPlayback();
    assert.ok(await ada.evaluate(() => document.querySelector('audio').paused));
    await ada.cdp.send('Page.setWebLifecycleState', { state: 'active' });
    await ada.waitForStatus('tap to rejoin');
    await ada.press('Tap to rejoin');
    await ada.waitForPlayback();
    await ada.waitForStatus('in step');
    await waitForSameTrackStart([ada, ben]);
  }));

/**
 * Runs in the page: advances all clocks by an hour while the sound keeps its position, as after a sleep. From then on, records the
 * difference between the position of each started sound and the position at which the track would continue.
 */
function sleepAnHour() {
  const [dateNow, performanceNow, getOutputTimestamp] = [Date.now.bind(Date), performance.now.bind(performance), AudioContext.prototype.getOutputTimestamp];
  const audio = document.querySelector('audio');
  const trackStartSec = performanceNow() / 1000 - audio.currentTime;
  globalThis.jumpsSec = [];
  const record = (/** @type {number} */ positionSec, /** @type {number} */ delaySec) =>
    globalThis.jumpsSec.push(positionSec - (performanceNow() / 1000 + delaySec - trackStartSec));
  const { start } = AudioBufferSourceNode.prototype;
  AudioBufferSourceNode.prototype.start = function (atSec, fromSec) {
    const delaySec = atSec - this.context.currentTime;
    // A sound scheduled later than 5 s ahead is the next track.
    if (delaySec < 5) record(fromSec, delaySec);
    return start.call(this, atSec, fromSec);
  };
  audio.addEventListener('playing', () => record(audio.currentTime, 0));
  Date.now = () => dateNow() + 3_600_000;
  performance.now = () => performanceNow() + 3_600_000;
  AudioContext.prototype.getOutputTimestamp = function () {
    const { contextTime, performanceTime } = getOutputTimestamp.call(this);
    return { contextTime, performanceTime: performanceTime + 3_600_000 };
  };
}

test('a laptop that slept for an hour continues without a jump', async (t) => {
  const server = await startServer({ fill: tones({ 'Alpha Dance': 90, 'Beta Waltz': 90 }) });
  t.after(server.remove);
  const proxy = await openCuttableProxy(server.url());
  t.after(proxy.close);
  const ada = await openPhone(browser, proxy.url);
  t.after(ada.close);
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.waitForStoredTracks(2);
    await ada.press('Play');
    await ada.waitForStatus('in step');
    await ada.waitForPlayback();
    proxy.cut();
    await ada.evaluate(sleepAnHour);
    await ada.waitForStatus('reconnecting…');
    await ada.waitFor('the seek bar to follow playback', () =>
      Math.abs(Number(document.querySelector('#position').value) - document.querySelector('audio').currentTime) < 1.5,
    );
    proxy.restore();
    await ada.waitForStatus('in step');
    await ada.waitForPlayback();
    const jumpsSec = await ada.evaluate(() => globalThis.jumpsSec);
    assert.deepEqual(jumpsSec.filter((sec) => Math.abs(sec) > 0.5), [], 'a sound jumped from the old position');
  });
});

test('without a server, playback skips tracks that are not stored', (t) =>
  withRoom(t, browser, { fill: tones({ 'Alpha Dance': 8, 'Beta Waltz': 30, 'Gamma March': 30 }), names: ['Ada'] }, async ([ada], server) => {
    await ada.waitForStoredTracks(3);
    // Removes the next track from this phone's storage.
    const betaTrackId = (await ada.evaluate(async () => {
      const rows = await (await fetch('/index')).json();
      return rows.find(({ tags }) => tags.title === 'Beta Waltz').trackId;
    }));
    await ada.page.route(`**/file/${betaTrackId}**`, (route) => route.fulfill({ status: 500, body: '' }));
    await ada.evaluate(async (trackId) => (await globalThis.trackStorage).remove(trackId), betaTrackId);
    await ada.cdp.send('Page.reload');
    await ada.waitFor('the room view', () => !document.querySelector('#room-view').hidden);
    await ada.waitForStoredTracks(2);
    await ada.press('Play');
    await ada.waitForPlayback();
    await server.kill();
    await ada.waitForStatus('reconnecting…');
    await ada.waitForTitle('Gamma March');
    await ada.waitForPlayback();
  }));

test('the title of a hidden page follows the current track', (t) =>
  withRoom(t, browser, { fill: tones({ 'Alpha Dance': 6, 'Beta Waltz': 40 }), names: ['Ada'] }, async ([ada]) => {
    await ada.waitForStoredTracks(2);
    await ada.press('Play');
    await ada.waitForPlayback();
    assert.equal(await ada.page.title(), 'Alpha Dance · Lockstep');
    await ada.evaluate(hidePage);
    await waitForTrackOfLength(ada, 40);
    await ada.waitFor('the document title', () => document.title === 'Beta Waltz · Lockstep');
  }));

test('a page that becomes visible reconnects at once', async (t) => {
  const server = await startServer({ fill: tones({ 'Alpha Dance': 40 }) });
  t.after(server.remove);
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.waitForStoredTracks(1);
    let isBlocked = true;
    await ada.page.route('**/events*', (route) => (isBlocked ? route.abort() : route.continue()));
    const waitForFailedAttempt = () => ada.page.waitForEvent('requestfailed', (request) => request.url().includes('/events') && request.failure()?.errorText === 'net::ERR_FAILED');
    const fourthFailure = waitForFailedAttempt().then(waitForFailedAttempt).then(waitForFailedAttempt).then(waitForFailedAttempt);
    await server.stop();
    await server.start();
    await fourthFailure;
    // After four failures the retry interval is 4 s.
    isBlocked = false;
    const reconnected = ada.page.waitForRequest('**/events*');
    const startMs = performance.now();
    await ada.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await reconnected;
    const reconnectMs = performance.now() - startMs;
    assert.ok(reconnectMs < 500, `reconnected after ${reconnectMs} ms`);
    await ada.waitForStatus('paused');
  });
});
