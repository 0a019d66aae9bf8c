// The layout of every view on many viewports: no overflow, controls of at least 44 px, and no unreachable content.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { layoutFaults, unreachableElements } from '../support/layout-checks.mjs';
import { openBrowser, openPhone, screenshotOnFailure } from '../support/phones.mjs';
import { DEMO_MUSIC, copyMusicFrom, startServer } from '../support/server.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
before(async () => {
  browser = await openBrowser();
  server = await startServer({ fill: copyMusicFrom(DEMO_MUSIC) });
});
after(async () => {
  await browser.close();
  await server.remove();
});

/** Width and height in px of common viewports. */
const VIEWPORTS = [[320, 568], [360, 740], [430, 932], [667, 375], [844, 390], [768, 1024], [1280, 800], [1920, 1080]];

/** Very low viewports, as of a phone in landscape with its keyboard open, or of a page zoomed to 400 %. */
const LOW_VIEWPORTS = [[320, 400], [320, 256], [568, 220]];

test('no view overflows, and every control has at least 44 px', async (t) => {
  const phone = await openPhone(browser, server.url(), { isMobile: false });
  t.after(phone.close);
  await screenshotOnFailure(t.name, () => [phone], async () => {
    const check = async (/** @type {string} */ view) => {
      for (const [width, height] of VIEWPORTS) {
        await phone.resize(width, height);
        assert.deepEqual(await phone.evaluate(layoutFaults), [], `${view} at ${width}×${height}`);
      }
    };
    await phone.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
    await check('Join');
    await phone.join('A guest with a name that goes on and on');
    await phone.waitForStoredTracks(2);
    await check('Now');
    await phone.openTab('Queue');
    await check('Queue');
    for (const sheet of ['Invite', 'Settings']) {
      await phone.press(sheet);
      await check(sheet);
      await phone.page.keyboard.press('Escape');
    }
  });
});

test('with text at 200 %, every control can be scrolled to', async (t) => {
  const phone = await openPhone(browser, server.url(), { isMobile: false });
  t.after(phone.close);
  await screenshotOnFailure(t.name, () => [phone], async () => {
    await phone.join('A guest');
    await phone.waitForStoredTracks(2);
    await phone.evaluate(() => (document.documentElement.style.fontSize = '200%'));
    for (const [width, height] of [...VIEWPORTS, ...LOW_VIEWPORTS]) {
      await phone.resize(width, height);
      for (const view of /** @type {const} */ (['Now', 'Queue'])) {
        await phone.page.getByRole('tab', { name: view }).click();
        await phone.waitFor('the end of the cover transition', () => !document.querySelector('.moving-copy'));
        assert.deepEqual(await phone.evaluate(unreachableElements), [], `${view} at ${width}×${height}`);
      }
      for (const sheet of ['Invite', 'Settings']) {
        await phone.press(sheet);
        assert.deepEqual(await phone.evaluate(unreachableElements, `#${sheet.toLowerCase()}-sheet `), [], `${sheet} at ${width}×${height}`);
        await phone.page.keyboard.press('Escape');
      }
    }
  });
});

/** The texts and buttons of room states that change the layout. */
const ROOM_STATES = {
  'waiting for others': { status: 'waiting for others (1/2 ready)', buttons: ['start-now'] },
  'sound not allowed': { status: 'no sound here: tap to rejoin', buttons: ['unlock-sound'] },
  'paused here, server away': { status: 'paused on this phone; reconnecting…', buttons: ['unlock-sound'] },
  'storage full': { status: 'not enough storage for this track; no sound until the next one', storageWarning: 'This phone’s storage is full: tracks that do not fit are silent here.', activity: "can't play this", buttons: [] },
  'all messages at once': { status: "this phone can't play AIFF; no sound until the next track", storageWarning: 'This phone’s storage is full: tracks that do not fit are silent here.', activity: "can't play this", buttons: ['start-now', 'unlock-sound'] },
};

/** Runs in the page: shows these texts and buttons from now on, whatever the page renders. */
function forceState(/** @type {{status: string, storageWarning?: string, activity?: string, buttons: string[]}} */ { status, storageWarning = '', activity, buttons }) {
  const apply = () => {
    const set = (/** @type {string} */ selector, /** @type {string} */ text) => {
      const element = document.querySelector(selector);
      // An element that does not exist yet gets its text when the observer reports it.
      if (element && element.textContent !== text) element.textContent = text;
    };
    set('#status .text', status);
    set('#status .figure', '');
    set('#storage-warning', storageWarning);
    if (activity) set('.listener .activity', activity);
    for (const id of ['start-now', 'unlock-sound']) {
      const button = document.getElementById(id);
      if (button.hidden === buttons.includes(id)) button.hidden = !button.hidden;
    }
  };
  globalThis.stateObserver?.disconnect();
  globalThis.stateObserver = new MutationObserver(apply);
  globalThis.stateObserver.observe(document.querySelector('#room-view'), { subtree: true, childList: true, characterData: true, attributes: true });
  apply();
}

/** Runs in the page: main buttons that are not visible without scrolling. */
function coveredButtons(/** @type {string[]} */ buttons) {
  return [...buttons, 'play', 'next'].filter((id) => {
    const button = document.getElementById(id);
    const { x, y, width, height } = button.getBoundingClientRect();
    const hits = [0.1, 0.9].map((fraction) => document.elementFromPoint(x + width / 2, y + fraction * height));
    return !hits.every((element) => button.contains(element));
  });
}

for (const [state, content] of Object.entries(ROOM_STATES)) {
  test(`no control overflows, is covered or is unreachable: ${state}`, async (t) => {
    const phone = await openPhone(browser, server.url(), { isMobile: false });
    t.after(phone.close);
    await screenshotOnFailure(t.name, () => [phone], async () => {
      await phone.join('WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW');
      await phone.waitForStoredTracks(1);
      for (const view of /** @type {const} */ (['Now', 'Queue'])) {
        await phone.openTab(view);
        for (const [width, height] of [...VIEWPORTS, ...LOW_VIEWPORTS]) {
          await phone.resize(width, height);
          await phone.evaluate(forceState, content);
          const viewAndSize = `${view} at ${width}×${height}`;
          assert.deepEqual(await phone.evaluate(layoutFaults), [], viewAndSize);
          if (VIEWPORTS.some((size) => size[0] === width && size[1] === height)) assert.deepEqual(await phone.evaluate(coveredButtons, content.buttons), [], viewAndSize);
          assert.deepEqual(await phone.evaluate(unreachableElements), [], viewAndSize);
        }
      }
    });
  });
}

test('a display notch covers no content', async (t) => {
  const phone = await openPhone(browser, server.url());
  t.after(phone.close);
  await screenshotOnFailure(t.name, () => [phone], async () => {
    await phone.join('A guest');
    await phone.waitForStoredTracks(1);
    for (const [width, height, insets] of /** @type {[number, number, Record<string, number>][]} */ ([
      [390, 844, { top: 47, bottom: 34 }],
      [844, 390, { left: 47, right: 47, bottom: 21 }],
    ])) {
      await phone.resize(width, height);
      await phone.cdp.send(/** @type {any} */ ('Emulation.setSafeAreaInsetsOverride'), { insets });
      for (const view of /** @type {const} */ (['Now', 'Queue'])) {
        await phone.openTab(view);
        await phone.waitFor('the end of the cover transition', () => !document.querySelector('.moving-copy'));
        assert.deepEqual(await phone.evaluate(layoutFaults), [], `${view} at ${width}×${height}`);
        const coveredByNotch = await phone.evaluate(({ top = 0, bottom = 0, left = 0, right = 0 }) =>
          [...document.querySelectorAll('#room-view :is(button, input, h2, p, .listener)')]
            .filter((element) => element.checkVisibility({ visibilityProperty: true }) && element.getBoundingClientRect().width > 1 && !element.closest('.scroller, .now'))
            .filter((element) => {
              const box = element.getBoundingClientRect();
              return box.top < top - 1 || box.left < left - 1 || box.bottom > innerHeight - bottom + 1 || box.right > innerWidth - right + 1;
            })
            .map((element) => `${element.tagName}#${element.id} ${JSON.stringify(element.getBoundingClientRect())}`), insets);
        assert.deepEqual(coveredByNotch, [], `${view} at ${width}×${height}`);
      }
    }
  });
});
