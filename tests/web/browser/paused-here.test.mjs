// The pause of one phone alone: by the system, or by Pause while the server is away.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openCuttableProxy } from '../support/cuttable-proxy.mjs';
import { openBrowser, openPhone, screenshotOnFailure, waitForSameTrackStart } from '../support/phones.mjs';
import { startServer } from '../support/server.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tones } from '../support/tones.mjs';

/** @typedef {import('../support/phones.mjs').Phone} Phone */

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

/** The status tells the accuracy. The element's silence, whose position is compared, starts later than the music on a busy machine. */
const TOLERANCE = { toleranceSec: 1 };

const SONGS = { 'Alpha Dance': 90, 'Beta Waltz': 90, 'Gamma March': 90 };

/** Runs before the page's scripts: keeps the handlers that the system calls. */
function recordActionHandlers() {
  const session = navigator.mediaSession;
  const { setActionHandler } = session;
  globalThis.actionHandlers = {};
  session.setActionHandler = (action, handler) => {
    globalThis.actionHandlers[action] = handler;
    setActionHandler.call(session, action, handler);
  };
}

/**
 * Does what Chromium and WebKit do when headphones are unplugged, a call comes in or somebody presses a key of the lock screen: they
 * call the handler. @param {Phone} phone @param {'play' | 'pause' | 'nexttrack'} action
 */
const pressSystemKey = (phone, action) => phone.evaluate((name) => globalThis.actionHandlers[name]({ action: name }), action);

/** Records the paths of the commands that the page sends. @param {Phone} phone */
function recordCommands({ page }) {
  /** @type {string[]} */
  const paths = [];
  page.on('request', (request) => {
    if (request.method() === 'POST' && !/sync|ack/.test(request.url())) paths.push(new URL(request.url()).pathname);
  });
  return paths;
}

/** Runs in the page. */
const isRejoinShown = () => !document.querySelector('#unlock-sound').hidden;

test('a pause by the system silences one phone, and Play rejoins in step', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada', 'Ben'], initScript: recordActionHandlers }, async ([ada, ben]) => {
    await Promise.all([ada.waitForStoredTracks(2), ben.waitForStoredTracks(2)]);
    await ada.press('Play');
    await Promise.all([ada.waitForStatus('in step'), ben.waitForStatus('in step')]);
    const startBefore = await ben.trackStartSec();
    const commands = recordCommands(ada);
    await pressSystemKey(ada, 'pause');
    await ada.waitForStatus('paused on this phone');
    await ada.waitForSilence();
    await ben.waitForListener('Ada paused alone');
    await ben.waitForPlayback();
    // The page's button stays the room's.
    await ada.waitForPlayButton('Pause');
    await pressSystemKey(ada, 'play');
    await ada.waitForStatus('in step');
    await ada.waitForPlayback();
    await waitForSameTrackStart([ada, ben], { ...TOLERANCE, expectedSec: [startBefore, startBefore] });
    assert.deepEqual(commands, []);
  }));

test('a phone that alone is paused stays silent until it is asked for sound', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada', 'Ben'], initScript: recordActionHandlers }, async ([ada, ben]) => {
    await Promise.all([ada.waitForStoredTracks(2), ben.waitForStoredTracks(2)]);
    await ada.press('Play');
    await Promise.all([ada.waitForPlayback(), ben.waitForPlayback()]);
    await pressSystemKey(ada, 'pause');
    await ada.waitForStatus('paused on this phone');
    await Promise.all([ada, ben].map((phone) => phone.waitForListener('Ada.* paused alone$')));
    // Next on the lock screen is the room's; no barrier waits for the paused phone.
    await pressSystemKey(ada, 'nexttrack');
    await Promise.all([ada, ben].map((phone) => phone.waitForTitle('Beta Waltz')));
    await ben.waitForPlayback();
    await ada.waitForSilence();
    // A tap elsewhere, the room's Pause and Play on another phone, and a reload leave it paused.
    await ada.openTab('Queue');
    await ada.openTab('Now');
    await ada.press('Pause');
    await ben.waitForSilence();
    await ben.press('Play');
    await ben.waitForPlayback();
    await ada.waitForSilence();
    await ada.page.reload();
    await ada.waitForStatus('paused on this phone');
    await ada.waitFor('the button “Tap to rejoin”', isRejoinShown);
    await ada.waitForSilence();
    await ada.press('Tap to rejoin');
    await ada.waitForPlayback();
    await ada.waitForStatus('in step');
    await waitForSameTrackStart([ada, ben], TOLERANCE);
  }));

test('Play on the page of a paused phone starts the room, and this phone too', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada', 'Ben'], initScript: recordActionHandlers }, async ([ada, ben]) => {
    await Promise.all([ada.waitForStoredTracks(2), ben.waitForStoredTracks(2)]);
    await ada.press('Play');
    await Promise.all([ada.waitForPlayback(), ben.waitForPlayback()]);
    await pressSystemKey(ada, 'pause');
    await ada.waitForSilence();
    await ben.press('Pause');
    await ada.waitForPlayButton('Play');
    await ada.press('Play');
    await Promise.all([ada.waitForPlayback(), ben.waitForPlayback()]);
    await waitForSameTrackStart([ada, ben], TOLERANCE);
  }));

test('a phone that the system resumes after a call needs no tap', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    await Promise.all([ada.waitForStoredTracks(2), ben.waitForStoredTracks(2)]);
    await ada.press('Play');
    await Promise.all([ada.waitForStatus('in step'), ben.waitForStatus('in step')]);
    await ada.waitForPlayback();
    // Chromium pauses the element when it loses the audio focus, and plays it when it regains the focus.
    await ada.evaluate(() => document.querySelector('audio').pause());
    await ada.waitForStatus('paused on this phone: tap to rejoin');
    await ada.waitFor('the button “Tap to rejoin”', isRejoinShown);
    await ben.waitForPlayback();
    await ada.evaluate(() => void document.querySelector('audio').play());
    await ada.waitForStatus('in step');
    assert.equal(await ada.evaluate(isRejoinShown), false);
    await ada.waitForPlayback();
    await waitForSameTrackStart([ada, ben], TOLERANCE);
  }));

/** A phone that reaches its server through a network that can be cut. @param {import('node:test').TestContext} t */
async function openCuttablePhone(t) {
  const server = await startServer({ fill: tones(SONGS) });
  t.after(server.remove);
  const proxy = await openCuttableProxy(server.url());
  t.after(proxy.close);
  const ada = await openPhone(browser, proxy.url);
  t.after(ada.close);
  await ada.join('Ada');
  const ben = await openPhone(browser, server.url());
  t.after(ben.close);
  await ben.join('Ben');
  await Promise.all([ada.waitForStoredTracks(2), ben.waitForStoredTracks(2)]);
  await ada.press('Play');
  await Promise.all([ada.waitForStatus('in step'), ben.waitForStatus('in step')]);
  return { ada, ben, proxy };
}

test('Pause silences this phone at once before the loss is noticed', async (t) => {
  const { ada, ben, proxy } = await openCuttablePhone(t);
  await screenshotOnFailure(t.name, () => [ada, ben], async () => {
    await ada.evaluate(() => document.querySelector('audio').addEventListener('pause', () => (globalThis.pausedAtMs ??= performance.now())));
    proxy.cut();
    await ada.evaluate(() => document.querySelector('#play').addEventListener('click', () => (globalThis.pressedAtMs = performance.now()), { capture: true }));
    await ada.press('Pause');
    await ada.waitForSilence();
    const delayMs = await ada.evaluate(() => globalThis.pausedAtMs - globalThis.pressedAtMs);
    // The element's silence stops 300 ms after the music (`MIRROR_DELAY_MS`).
    assert.ok(delayMs < 1_000, `silent after ${delayMs} ms`);
    await ada.waitFor('the message', () => [...document.querySelectorAll('.toast')].some((toast) => toast.textContent.includes('only this phone is paused')));
    await ada.waitForStatus('paused on this phone');
    await ada.waitForSilence();
    proxy.restore();
    await ada.waitFor('the connection', () => document.querySelector('[role=status]').textContent.trim() === 'paused on this phone');
    await ada.waitForSilence();
    await ben.waitForPlayback();
    await ada.press('Tap to rejoin');
    await ada.waitForPlayback();
    await waitForSameTrackStart([ada, ben], TOLERANCE);
  });
});

test('with the server away Pause and Play concern this phone alone', async (t) => {
  const { ada, ben, proxy } = await openCuttablePhone(t);
  await screenshotOnFailure(t.name, () => [ada, ben], async () => {
    proxy.cut();
    await ada.waitForStatus('reconnecting…');
    const commands = recordCommands(ada);
    await ada.press('Pause');
    await ada.waitForStatus('paused on this phone; reconnecting…');
    await ada.waitForSilence();
    await ada.waitForPlayButton('Play');
    await ada.press('Play');
    await ada.waitForPlayback();
    await waitForSameTrackStart([ada, ben], TOLERANCE);
    await ada.press('Pause');
    await ada.waitForSilence();
    proxy.restore();
    await ada.waitForPlayButton('Pause');
    await ada.waitFor('the connection', () => document.querySelector('[role=status]').textContent.trim() === 'paused on this phone');
    await ben.waitForPlayback();
    assert.deepEqual(commands, []);
    // Now the button is the room's again.
    await ada.press('Pause');
    await ben.waitForSilence();
  });
});
