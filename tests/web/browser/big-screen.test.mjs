// The big screen: what it shows on displays of all sizes, how it is opened and left, and that nobody waits for it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser, openPhone, waitForSameTrackStart } from '../support/phones.mjs';
import { taggedTones } from '../support/tagged-tones.mjs';
import { withRoom } from '../support/test-room.mjs';

/** @typedef {import('../support/phones.mjs').Phone} Phone */

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const LONG_TITLE = 'The Long Way Round the Harbour Lights, Live at the Village Hall';
const TONES = [
  { title: 'Porch Swing', artist: 'Porch Quartet', album: 'Summer House', coverHue: 20 },
  { title: LONG_TITLE, artist: 'Anna and the Lighthouse Keepers Orchestra', album: 'The Harbour', coverHue: 200 },
  { title: 'Screen Door', artist: 'Porch Quartet', album: 'Porch', coverHue: 90 },
  { title: 'Rain on Tin', artist: 'Miss Postal', album: 'Rain', coverHue: 300 },
].map((tone) => ({ ...tone, seconds: 150 }));
const fill = taggedTones(TONES);

const DISPLAYS = [[1280, 720], [1920, 1080], [3840, 2160], [1024, 768], [800, 1280]];

/** Runs in the page: texts of the big screen that are too small for five metres, cut off, outside of the window, or over one another. */
function faultsOnDisplay() {
  const screen = document.querySelector('#big-screen');
  const isText = (/** @type {Element} */ element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim() !== '');
  const shown = [...screen.querySelectorAll('#screen-stage *')].filter((element) => element.checkVisibility() && element.getClientRects().length > 0);
  // A message is clamped as a whole.
  const isTextBox = (/** @type {Element} */ element) => (element.closest('#screen-messages') ? element.matches('li') : isText(element));
  const texts = shown.filter((element) => isTextBox(element) && !element.closest('.avatar, .cover'));
  const images = shown.filter((element) => element.matches('#screen-cover, #screen-qr'));
  const name = (/** @type {Element} */ element) => `${element.id || element.className} “${element.textContent.trim()}”`;
  const minPx = 0.036 * Math.min(innerWidth, innerHeight);
  const small = texts.filter((element) => parseFloat(getComputedStyle(element).fontSize) < minPx);
  const boxes = [...texts, ...images].map((element) => ({ element, box: element.getBoundingClientRect() }));
  const outside = boxes.filter(({ box }) => box.left < 0 || box.top < 0 || box.right > innerWidth + 1 || box.bottom > innerHeight + 1);
  const isLongMessage = (/** @type {Element} */ element) => element.closest('#screen-messages') && element.textContent.length > 40;
  const isCutOff = (/** @type {Element} */ { scrollWidth, clientWidth, scrollHeight, clientHeight }) => scrollWidth > clientWidth + 1 || scrollHeight > clientHeight + 2;
  // Other texts end in an ellipsis where space is short.
  const cutOff = shown.filter((element) => element.matches('#screen-title, #screen-address, #screen-messages li, #screen-code-holders') && !isLongMessage(element) && isCutOff(element));
  const pairs = boxes.flatMap((a, i) => boxes.slice(i + 1).map((b) => [a, b]));
  const overlap = ([{ box: a }, { box: b }]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
  const covered = pairs.filter((pair) => !pair[0].element.contains(pair[1].element) && !pair[1].element.contains(pair[0].element) && overlap(pair));
  return [
    ...small.map((element) => `small: ${name(element)}`),
    ...cutOff.map((element) => `cut off: ${name(element)}`),
    ...outside.map(({ element }) => `outside: ${name(element)}`),
    ...covered.map(([a, b]) => `over one another: ${name(a.element)}, ${name(b.element)}`),
  ];
}

/** @param {Phone} phone @param {boolean} isShown */
const waitForScreen = (phone, isShown) =>
  phone.waitFor(isShown ? 'the big screen' : 'the room', (expected) => document.querySelector('#big-screen').hidden !== expected, isShown);
/** Says something as the chat sheet does. @param {Phone} phone @param {string} text */
const say = (phone, text) => phone.evaluate((said) => import('/js/net/talk-api.js').then(({ postMessage }) => postMessage(said)), text);
/** @param {Phone} phone @param {string} selector @param {string} text */
const waitForText = (phone, selector, text) =>
  phone.waitFor(`${selector} to be ${text}`, (where, expected) => document.querySelector(where).textContent === expected, selector, text);

test('a display shows the room in texts that can be read from afar', (t) =>
  withRoom(t, browser, { fill, names: ['Ada', 'Ben'] }, async ([ada, ben], server) => {
    await ada.waitForStoredTracks(2);
    await ben.openTab('Queue');
    await ben.press(`Add ${LONG_TITLE}`);
    await ada.openTab('Queue');
    await ada.waitForPicks([`${LONG_TITLE} (Ben)`]);
    await ada.press('Add Rain on Tin');
    await ada.waitForPicks([`${LONG_TITLE} (Ben)`, 'Rain on Tin (Ada)']);
    await ada.press('Next');
    await ada.waitForPlayback();

    const display = await openPhone(browser, `${server.url()}?screen`, { viewport: { width: 1280, height: 720 }, isMobile: false, hasTouch: false });
    t.after(display.close);
    await display.join('Wall');
    await waitForScreen(display, true);
    await waitForText(display, '#screen-title', LONG_TITLE);
    await waitForText(display, '#screen-artist', 'Anna and the Lighthouse Keepers Orchestra');
    await waitForText(display, '#screen-picked-by .text', 'Added by Ben');
    await waitForText(display, '#screen-next-list li .title', 'Rain on Tin');
    await waitForText(display, '#screen-next-list li .by-name', 'Ada');
    await waitForText(display, '#screen-code', '314159');
    await waitForText(display, '#screen-address', new URL(server.url()).host);
    await display.waitFor('the pictures', () => document.querySelector('#screen-cover img.loaded') && document.querySelector('#screen-qr img').naturalWidth > 100);
    await display.waitFor('progress', () => Number(document.querySelector('#screen-bar').style.getPropertyValue('--progress')) > 0);
    assert.equal(await display.evaluate(() => document.querySelector('#screen-chat').hidden), true);
    assert.deepEqual(await display.evaluate(faultsOnDisplay), []);
    await say(ada, 'Who picked this one? I have not heard it since the summer at the lake');
    await say(ben, 'Me');
    await say(ada, 'Thank you');
    await waitForText(display, '#screen-messages li:last-child', 'Ada Thank you');
    await ben.evaluate(() => import('/js/net/api.js').then(async ({ sendCommand, getSnapshot }) => {
      // Who changes a rule becomes host.
      for (const command of [{ name: 'rules', rules: { maxPicks: 20 } }, { name: 'dj' }]) {
        const { snapshot, memberId } = await getSnapshot();
        await sendCommand(command.name === 'dj' ? { ...command, memberId } : command, snapshot.eventCount);
      }
    }));
    await waitForText(display, '#screen-dj', 'Ben is DJ');
    await display.evaluate(() => {
      globalThis.reactionCount = 0;
      new MutationObserver((records) => records.forEach(({ addedNodes }) => (globalThis.reactionCount += addedNodes.length))).observe(document.querySelector('#screen-cover .reaction-layer'), { childList: true });
    });
    await ben.evaluate(() => import('/js/net/talk-api.js').then(({ postReaction }) => postReaction('🎉')));
    await display.waitFor('the reaction', () => globalThis.reactionCount > 0);
    for (const [width, height] of DISPLAYS) {
      await display.resize(width, height);
      assert.deepEqual(await display.evaluate(faultsOnDisplay), [], `${width}×${height}`);
      if (height % 720 !== 0) continue;
      for (const colorScheme of /** @type {const} */ (['dark', 'light'])) {
        await display.page.emulateMedia({ colorScheme });
        await display.screenshot(`big-screen-${height}-${colorScheme}`);
      }
    }
    // It is no listener: nobody waits for it, and it stores nothing.
    await ada.openTab('Now');
    await ada.waitForListener('Wall remote');
    await ada.press('Next');
    await ada.waitForPlayback();
    await waitForText(display, '#screen-title', 'Rain on Tin');
    assert.equal(await display.evaluate(() => document.querySelector('audio').paused), true);
    assert.deepEqual(display.errors, []);
  }));

/** What the room of a guest's address may be. */
const LONG_ADDRESS = 'living-room-server.fritz.box:8080/rooms/k3b9x7q2/';

test('a long address is shown complete, also while the library is empty', (t) =>
  withRoom(t, browser, { fill: async () => {}, names: ['Wall'] }, async ([wall], server) => {
    await wall.page.route(/\/qr$/, (route) =>
      route.request().method() === 'HEAD' ? route.fulfill({ status: 200, headers: { 'Lockstep-Url': `http://${LONG_ADDRESS}` } }) : route.continue());
    // A window in fullscreen could not be resized.
    await wall.page.goto(`${server.url()}?screen`);
    await waitForScreen(wall, true);
    await waitForText(wall, '#screen-address', LONG_ADDRESS);
    await waitForText(wall, '#screen-title', 'Nothing to play yet');
    for (const [width, height] of DISPLAYS) {
      await wall.resize(width, height);
      assert.deepEqual(await wall.evaluate(faultsOnDisplay), [], `${width}×${height}`);
      assert.ok(await wall.evaluate(() => innerWidth - document.querySelector('#screen-qr').getBoundingClientRect().right < innerWidth * 0.1), `the corner at ${width}×${height}`);
    }
  }));

test('a QR code that could not be loaded appears later, and a hidden code goes at once', (t) =>
  withRoom(t, browser, { fill, names: ['Ada', 'Wall'] }, async ([ada, wall]) => {
    let isAway = true;
    await wall.page.route(/\/qr$/, (route) => (isAway && route.request().method() === 'GET' ? route.fulfill({ status: 503 }) : route.continue()));
    await wall.press('Settings');
    await wall.press('Big screen');
    await waitForScreen(wall, true);
    await waitForText(wall, '#screen-code', '314159');
    assert.equal(await wall.evaluate(() => document.querySelector('#screen-qr').matches('.loaded')), false);
    isAway = false;
    // Who changes a rule becomes host.
    await ada.evaluate(() => import('/js/net/api.js').then(async ({ sendCommand, getSnapshot }) => {
      const { snapshot } = await getSnapshot();
      await sendCommand({ name: 'rules', rules: { invite: 'hosts' } }, snapshot.eventCount);
    }));
    await waitForText(wall, '#screen-code-holders', 'Ask a host for the code: Ada');
    assert.equal(await wall.evaluate(() => document.querySelector('#screen-code-line').hidden), true);
    await wall.waitFor('the QR code', () => document.querySelector('#screen-qr.loaded img').naturalWidth > 100);
    wall.errors.length = 0;
  }));

test('a phone becomes a big screen from Settings, with sound on request', (t) =>
  withRoom(t, browser, { fill, names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    await ada.waitForStoredTracks(2);
    await ben.waitForStoredTracks(2);
    await ada.press('Play');
    await ada.waitForPlayback();
    await ben.press('Settings');
    await ben.press('Big screen');
    await waitForScreen(ben, true);
    await ben.waitForSilence();
    await ada.waitForListener('Ben remote');
    await ben.press('Sound');
    await ben.waitForPlayback();
    await waitForSameTrackStart([ada, ben]);
    await ben.press('Sound');
    await ben.waitForSilence();

    await ben.page.reload();
    await waitForScreen(ben, true);
    assert.equal(await ben.evaluate(() => document.querySelector('#screen-sound').getAttribute('aria-pressed')), 'false');
    await ben.page.keyboard.press('Escape');
    await waitForScreen(ben, false);
    assert.equal(new URL(ben.page.url()).search, '');
    await ada.waitForListener('Ben (?!remote)');
  }));

/** Runs before the page's scripts: Back removes history entries, as in Safari and Firefox. */
function removeCloseWatcher() {
  Reflect.deleteProperty(globalThis, 'CloseWatcher');
}

test('Back leaves the big screen, and an unpaired display joins again', (t) =>
  withRoom(t, browser, { fill, names: ['Ada', 'Wall'], initScript: removeCloseWatcher }, async ([ada, wall]) => {
    await wall.press('Settings');
    await wall.press('Big screen');
    await waitForScreen(wall, true);
    await wall.waitFor('the history entry', () => history.state?.claimCount === 1);
    await wall.evaluate(() => history.back());
    await waitForScreen(wall, false);

    await wall.press('Settings');
    await wall.press('Big screen');
    await waitForScreen(wall, true);
    await ada.press('Settings');
    await ada.page.getByText('Other phones').click();
    await ada.press('Remove Wall');
    await ada.press('Really remove Wall?');
    await wall.waitFor('the join view', () => !document.querySelector('#join-view').hidden && document.querySelector('#big-screen').hidden);
    await wall.join('Wall');
    await waitForScreen(wall, true);
  }));

test('Escape removes the screen from the address in browsers with history entries', (t) =>
  withRoom(t, browser, { fill, names: ['Wall'], initScript: removeCloseWatcher }, async ([wall]) => {
    await wall.press('Settings');
    await wall.press('Big screen');
    await waitForScreen(wall, true);
    await wall.waitFor('the history entry', () => history.state?.claimCount === 1);
    await wall.page.keyboard.press('Escape');
    await waitForScreen(wall, false);
    await wall.waitFor('the first history entry', () => !history.state?.claimCount);
    await wall.waitFor('the address of the room', () => location.search === '');
  }));

test('the tap that shows the buttons presses none, and an unused button loses the focus', (t) =>
  withRoom(t, browser, { fill, names: ['Wall'] }, async ([wall]) => {
    await wall.page.clock.install();
    await wall.press('Settings');
    await wall.press('Big screen');
    await waitForScreen(wall, true);
    const hideButtons = async () => {
      await wall.page.clock.fastForward(5_000);
      await wall.waitFor('hidden buttons', () => getComputedStyle(document.querySelector('#screen-buttons')).pointerEvents === 'none');
    };
    const { x, y } = await wall.evaluate(() => {
      const box = document.querySelector('#screen-leave').getBoundingClientRect();
      return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    });
    await wall.evaluate(() => document.addEventListener('click', () => (globalThis.clickCount = (globalThis.clickCount ?? 0) + 1), { capture: true }));
    await hideButtons();
    await wall.page.touchscreen.tap(x, y);
    await wall.waitFor('the click of the tap', () => globalThis.clickCount === 1);
    assert.equal(await wall.evaluate(() => document.querySelector('#big-screen').hidden), false);
    await wall.evaluate(() => document.querySelector('#screen-sound').focus());
    await hideButtons();
    assert.equal(await wall.evaluate(() => document.activeElement === document.body), true);
    await wall.page.touchscreen.tap(x, y);
    await wall.page.touchscreen.tap(x, y);
    await waitForScreen(wall, false);
  }));

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

test('a phone paused alone stays silent after the big screen, which outlasts full screen', (t) =>
  withRoom(t, browser, { fill, names: ['Ada', 'Ben'], initScript: recordActionHandlers }, async ([ada, ben]) => {
    await Promise.all([ada.waitForStoredTracks(2), ben.waitForStoredTracks(2)]);
    await ada.press('Play');
    await ben.waitForPlayback();
    await ben.evaluate(() => globalThis.actionHandlers.pause({ action: 'pause' }));
    await ben.waitForStatus('paused on this phone');
    await ben.press('Settings');
    await ben.press('Big screen');
    await waitForScreen(ben, true);
    await ben.waitFor('full screen', () => document.fullscreenElement !== null);
    // As the system does: the page has not asked for it.
    await ben.evaluate(() => document.exitFullscreen());
    await ben.waitFor('the released button', () => document.querySelector('#screen-full').getAttribute('aria-pressed') === 'false');
    assert.equal(await ben.evaluate(() => document.querySelector('#big-screen').hidden), false);
    await ben.page.keyboard.press('Escape');
    await waitForScreen(ben, false);
    await ada.waitForListener('Ben (?!remote)');
    await ben.waitForStatus('paused on this phone');
    await ben.waitForSilence();
  }));

test('the big screen moves slowly, also with reduced motion', (t) =>
  withRoom(t, browser, { fill, names: ['Wall'] }, async ([wall]) => {
    await wall.page.emulateMedia({ reducedMotion: 'reduce' });
    await wall.press('Settings');
    await wall.press('Big screen');
    await waitForScreen(wall, true);
    // Until the code has arrived, the layout is not complete.
    await waitForText(wall, '#screen-code', '314159');
    const places = () => wall.evaluate(() => ['#screen-cover', '#screen-qr', '.screen-brand'].map((selector) => {
      const { x, y } = document.querySelector(selector).getBoundingClientRect();
      return [x, y];
    }));
    const before = await places();
    await wall.waitFor('a movement', ([[fromX, fromY]]) => {
      const { x, y } = document.querySelector('#screen-cover').getBoundingClientRect();
      return x !== fromX || y !== fromY;
    }, before);
    const moved = (await places()).map(([x = 0, y = 0], i) => [x - (before[i]?.[0] ?? 0), y - (before[i]?.[1] ?? 0)]);
    for (const [x = 0, y = 0] of moved) assert.ok(Math.hypot(x, y) > 0 && Math.hypot(x, y) < 3, `${moved}`);
    assert.deepEqual(await wall.evaluate(() => document.getAnimations().length), 0);
  }));
