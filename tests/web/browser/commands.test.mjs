// Commands: immediate feedback; queued, stale and failed commands; the automatic change of tracks.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from '../support/phones.mjs';
import { PAIRING_CODE } from '../support/server.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tones } from '../support/tones.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

/**
 * Runs before the page's scripts: extends the timeout of a command (3 s, `RESPONSE_TIMEOUT_MS` in static/js/net/commands.js) to 60 s, so
 * that a command that a test delays does not time out on a slow machine.
 */
function extendCommandTimeout() {
  const extend = (/** @type {number} */ ms) => (ms === 3_000 ? 60_000 : ms);
  const { setTimeout } = globalThis;
  globalThis.setTimeout = /** @type {any} */ ((callback, ms, ...args) => setTimeout(callback, extend(ms), ...args));
  // static/js/timer.js also runs each timer in a worker.
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function (message) {
    postMessage.call(this, { ...message, ms: extend(message.ms) });
  };
}

const SONGS = { 'Alpha Dance': 60, 'Beta Waltz': 60, 'Gamma March': 60, 'Delta Blues': 60 };

test('the next track follows within a second without an error message', (t) =>
  withRoom(t, browser, { fill: tones({ 'Alpha Dance': 6, 'Beta Waltz': 60 }), names: ['Ada'] }, async ([ada], _, joinPhone) => {
    // Both phones send /next at the end of the first track, and one of the two gets a 409.
    const ben = await joinPhone('Ben');
    await Promise.all([ada.waitForStoredTracks(2), ben.waitForStoredTracks(2)]);
    /** @type {number[]} */
    const statuses = [];
    for (const { page } of [ada, ben]) {
      page.on('response', (response) => {
        if (response.url().endsWith('/next')) statuses.push(response.status());
      });
      await page.evaluate(() => {
        globalThis.toastCount = 0;
        new MutationObserver(() => (globalThis.toastCount += 1)).observe(document.querySelector('#toasts'), { childList: true });
      });
    }
    await ada.evaluate(() => {
      const audio = document.querySelector('audio');
      // Either event may come first: a page that changes tracks at the first one does not get the other.
      for (const name of ['ended', 'emptied']) audio.addEventListener(name, () => (audio.endedAtMs ??= performance.now()));
      audio.addEventListener('timeupdate', () => {
        if (audio.endedAtMs && !audio.gapMs && audio.currentTime > 0) {
          audio.gapMs = performance.now() - audio.currentTime * 1000 - audio.endedAtMs;
        }
      });
    });
    await ada.press('Play');
    await ada.waitForPlayback();
    await ada.waitForTitle('Beta Waltz');
    await ada.waitForPlayback();
    const gapMs = await ada.waitFor('the measured gap', () => document.querySelector('audio').gapMs);
    assert.ok(gapMs < 1_000, `the gap between the tracks is ${gapMs} ms`);
    assert.ok(statuses.includes(200) && statuses.every((status) => status === 200 || status === 409), `statuses of /next: ${statuses}`);
    for (const phone of [ada, ben]) assert.equal(await phone.evaluate(() => globalThis.toastCount), 0);
  }));

test('several quick presses of Next all take effect', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada'] }, async ([ada]) => {
    await ada.waitForTitle('Alpha Dance');
    await ada.page.getByRole('button', { name: 'Next' }).click({ clickCount: 3 });
    await ada.waitForTitle('Gamma March');
    await ada.waitForPlayback();
  }));

test('a command is shown at once and reverted by an error message', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada'], initScript: extendCommandTimeout }, async ([ada]) => {
    await ada.waitForStoredTracks(2);
    let sendError = () => {};
    const requested = new Promise((resolve) => {
      ada.page.route('**/play', async (route) => {
        resolve(undefined);
        await new Promise((resolvePlay) => (sendError = () => resolvePlay(undefined)));
        await route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"status":503,"detail":"The disk is full."}' });
      });
    });
    await ada.press('Play');
    await requested;
    await ada.waitForPlayButton('Pause');
    sendError();
    await ada.waitForPlayButton('Play');
    await ada.waitFor('the error toast', () => document.querySelector('[role=alert].toast')?.textContent.includes('The disk is full.'));
    await ada.waitFor('the error toast to disappear', () => !document.querySelector('.toast'));
  }));

test('a command queued behind a slow request is shown at once', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada'], initScript: extendCommandTimeout }, async ([ada]) => {
    await ada.waitForStoredTracks(2);
    let release = () => {};
    const released = new Promise((resolve) => (release = () => resolve(undefined)));
    await ada.page.route('**/play', async (route) => {
      await released;
      await route.continue();
    });
    await ada.press('Play');
    await ada.waitForPlayButton('Pause');
    await ada.press('Pause');
    await ada.waitForPlayButton('Play');
    await ada.waitForStatus('paused');
    release();
    const response = await ada.page.waitForResponse('**/pause');
    assert.equal(response.status(), 200);
    await ada.waitForPlayButton('Play');
    await ada.waitForSilence();
  }));

test('a queued Next is dropped after another phone skipped the same track', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada'], initScript: extendCommandTimeout }, async ([ada], _, joinPhone) => {
    const ben = await joinPhone('Ben');
    await Promise.all([ada.waitForStoredTracks(4), ben.waitForStoredTracks(4)]);
    /** @type {string[]} */
    const sentPaths = [];
    ada.page.on('request', (request) => {
      if (request.method() === 'POST' && !/sync|ack|loudness/.test(request.url())) sentPaths.push(new URL(request.url()).pathname);
    });
    let release = () => {};
    const released = new Promise((resolve) => (release = () => resolve(undefined)));
    await ada.page.route('**/nudge', async (route) => {
      await released;
      await route.continue();
    });
    await ada.openTab('Queue');
    await ada.press('Play Gamma March next');
    await ada.openTab('Now');
    await ada.press('Next');
    await ada.waitForTitle('Gamma March');
    await ben.press('Next');
    await ben.waitForTitle('Beta Waltz');
    release();
    await ada.waitForTitle('Beta Waltz');
    await ben.waitFor('the nudged track to be next', () => document.querySelector('#now-next').textContent === 'Gamma March');
    await ada.waitFor('no command to be pending', () => document.querySelector('#now-next').textContent === 'Gamma March');
    await ada.waitForPlayback();
    assert.equal(await ben.title(), 'Beta Waltz');
    assert.deepEqual(sentPaths, ['/nudge', '/nudge']);
    assert.equal(await ada.evaluate(() => document.querySelector('#toasts').textContent), '');
  }));

test('a stale command is retried once, then reported as out of date', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada'], initScript: extendCommandTimeout }, async ([ada], server) => {
    await ada.waitForStoredTracks(2);
    const sendAsOther = await openScriptedDevice(server.url());
    /** @type {string[]} */
    const responses = [];
    ada.page.on('response', (response) => {
      if (response.request().method() === 'POST') responses.push(`${new URL(response.url()).pathname} ${response.status()}`);
    });
    // Sends another device's command between the press and its request, which makes the command stale.
    const pressAfter = async (/** @type {() => Promise<unknown>} */ sendOtherCommand, /** @type {string} */ path, /** @type {() => Promise<unknown>} */ press) => {
      let isFirst = true;
      await ada.page.route(`**${path}`, async (route) => {
        if (isFirst) {
          isFirst = false;
          await sendOtherCommand();
        }
        await route.continue();
      });
      await press();
    };
    await pressAfter(() => sendAsOther('/nudge', (snapshot) => ({ trackId: snapshot.queue.at(-1) })), '/play', () => ada.press('Play'));
    await ada.waitForPlayback();
    assert.deepEqual(responses.filter((response) => response.startsWith('/play')), ['/play 409', '/play 200']);
    assert.equal(await ada.evaluate(() => document.querySelector('#toasts').textContent), '');

    // Another device wins twice, so the retry is also stale. A command is retried only once.
    await ada.page.unroute('**/play');
    await ada.press('Pause');
    await ada.waitForSilence();
    responses.length = 0;
    await ada.page.route('**/play', async (route) => {
      const attempt = responses.filter((response) => response.startsWith('/play')).length;
      await sendAsOther('/nudge', (snapshot) => ({ trackId: snapshot.queue.at(snapshot.queueIndex - 1 - attempt) }));
      await route.continue();
    });
    await ada.press('Play');
    await ada.waitFor('the error toast', () => document.querySelector('[role=alert].toast')?.textContent.includes('Out of date; refreshed'));
    await ada.waitForPlayButton('Play');
    assert.deepEqual(responses.filter((response) => response.startsWith('/play')), ['/play 409', '/play 409']);
    await ada.waitFor('the error toast to disappear', () => !document.querySelector('.toast'));
    await ada.page.unroute('**/play');
    await ada.press('Play');
    await ada.waitForPlayback();

    await pressAfter(() => sendAsOther('/next', () => ({})), '/seek', async () => {
      await ada.page.getByRole('slider', { name: 'Position' }).focus();
      await ada.page.keyboard.press('ArrowRight');
    });
    await ada.waitFor('the error toast', () => document.querySelector('[role=alert].toast')?.textContent.includes('Out of date; refreshed'));
    await ada.waitForPlayback();
    assert.deepEqual(responses.filter((response) => response.startsWith('/seek')), ['/seek 409']);
    assert.ok((await ada.positionSec()) < 5, 'the stale seek must not be applied to the new track');
  }));

/**
 * Pairs a second device without a page. The returned function sends a command with the current event count.
 * @param {string} serverUrl
 */
async function openScriptedDevice(serverUrl) {
  const url = serverUrl.replace('party.lan', '127.0.0.1');
  const paired = await fetch(`${url}pair`, { method: 'POST', body: JSON.stringify({ code: PAIRING_CODE }), headers: { 'Content-Type': 'application/json' } });
  const { clientId } = await paired.json();
  const headers = { Authorization: `Bearer ${clientId}`, 'Content-Type': 'application/json' };
  return async (/** @type {string} */ path, /** @type {(snapshot: any) => object} */ body) => {
    const snapshot = await (await fetch(`${url}snapshot`, { headers })).json();
    const response = await fetch(url + path.slice(1), {
      method: 'POST',
      headers: { ...headers, 'If-Match-Event': String(snapshot.eventCount) },
      body: JSON.stringify(body(snapshot)),
    });
    assert.equal(response.status, 200);
  };
}
