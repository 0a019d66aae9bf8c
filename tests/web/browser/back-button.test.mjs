// The system's Back: closes what is open, the latest first, and leaves the page only when nothing is.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from '../support/phones.mjs';
import { album, taggedTones } from '../support/tagged-tones.mjs';
import { withRoom } from '../support/test-room.mjs';

/** @typedef {import('../support/phones.mjs').Phone} Phone */

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

/** @param {Phone} phone @param {'invite' | 'settings' | 'chat'} name @param {boolean} isOpen */
const waitForSheet = (phone, name, isOpen) =>
  phone.waitFor(`the sheet ${name} to be ${isOpen ? 'open' : 'closed'}`, (id, expected) => document.getElementById(id).hidden !== expected, `${name}-sheet`, isOpen);

/** Runs before the page's scripts: keeps the close watcher, whose `requestClose` Android's Back calls. */
function recordCloseWatchers() {
  const { CloseWatcher } = globalThis;
  globalThis.openWatchers = [];
  globalThis.CloseWatcher = class extends CloseWatcher {
    constructor() {
      super();
      globalThis.openWatchers.push(this);
    }
    destroy() {
      super.destroy();
      globalThis.openWatchers = globalThis.openWatchers.filter((watcher) => watcher !== this);
    }
  };
}

/** Runs before the page's scripts: a browser without close watchers. */
function removeCloseWatcher() {
  Reflect.deleteProperty(globalThis, 'CloseWatcher');
}

const watcherCount = (/** @type {Phone} */ phone) => phone.evaluate(() => globalThis.openWatchers.length);
const historyLength = (/** @type {Phone} */ phone) => phone.evaluate(() => history.length);

test('a close request of the system closes the open sheet', (t) =>
  withRoom(t, browser, { names: ['Ada'], initScript: recordCloseWatchers }, async ([ada]) => {
    const requestClose = () => ada.evaluate(() => globalThis.openWatchers.pop().requestClose());
    const entries = await historyLength(ada);
    await ada.press('Settings');
    await requestClose();
    await waitForSheet(ada, 'settings', false);
    // One sheet replaces the other, and takes its watcher.
    await ada.press('Invite');
    await ada.press('Settings');
    assert.equal(await watcherCount(ada), 1);
    await requestClose();
    await waitForSheet(ada, 'settings', false);
    assert.equal(await watcherCount(ada), 0);
    await ada.press('Chat');
    await requestClose();
    await waitForSheet(ada, 'chat', false);
    await ada.press('React');
    await requestClose();
    await ada.waitFor('the reactions to close', () => document.querySelector('#reaction-picker').hidden);
    // Without an open sheet there is no watcher, so that Back leaves the page.
    await ada.press('Invite');
    await ada.page.keyboard.press('Escape');
    await waitForSheet(ada, 'invite', false);
    assert.equal(await watcherCount(ada), 0);
    assert.equal(await historyLength(ada), entries);
  }));

test('without CloseWatcher Back closes the sheet, and the music goes on', (t) =>
  withRoom(t, browser, { names: ['Ada'], initScript: removeCloseWatcher }, async ([ada]) => {
    await ada.waitForStoredTracks(2);
    await ada.press('Play');
    await ada.waitForPlayback();
    const goBack = () => ada.evaluate(() => history.back());
    const entries = await historyLength(ada);
    await ada.press('Settings');
    await goBack();
    await waitForSheet(ada, 'settings', false);
    await ada.press('Invite');
    await ada.press('Settings');
    await waitForSheet(ada, 'invite', false);
    await goBack();
    await waitForSheet(ada, 'settings', false);
    // A sheet that is closed by its button and opened again at once stays open.
    await ada.evaluate(() => ['settings-button', 'settings-button', 'invite-button'].forEach((id) => document.getElementById(id).click()));
    await waitForSheet(ada, 'invite', true);
    await ada.waitFor('the history entry of the sheet', () => history.state?.claimCount === 1);
    await waitForSheet(ada, 'invite', true);
    await goBack();
    await waitForSheet(ada, 'invite', false);
    assert.equal(await historyLength(ada), entries + 1, 'sheets that replace each other share one history entry');
    await ada.waitForPlayback();
  }));

const ALBUM = album({ album: 'Summer House', artist: 'Porch Quartet', year: 2011 }, ['Porch Swing', 'Screen Door']);

/** Runs in the page: requests Back as the system does. */
const goBack = (/** @type {Phone} */ phone) => phone.evaluate(() => (globalThis.openWatchers ? globalThis.openWatchers.pop()?.requestClose() : history.back()));
const waitForPage = (/** @type {Phone} */ phone, /** @type {string | null} */ title) =>
  phone.waitFor(`the page ${title}`, (expected) => (document.querySelector('#queue-page:not([hidden]) #page-title')?.textContent ?? null) === expected, title);

for (const [name, initScript] of /** @type {const} */ ([['with', recordCloseWatchers], ['without', removeCloseWatcher]])) {
  test(`${name} CloseWatcher Back closes menu and sheet, then each page`, (t) =>
    withRoom(t, browser, { fill: taggedTones(ALBUM), names: ['Ada'], initScript }, async ([ada]) => {
      await ada.openTab('Queue');
      await ada.openSegment('Artists');
      await ada.page.getByRole('button', { name: 'Porch Quartet' }).click();
      await waitForPage(ada, 'Porch Quartet');
      await ada.page.getByRole('button', { name: 'Summer House' }).click();
      await waitForPage(ada, 'Summer House');
      // Closed by themselves: the pages stay.
      await ada.press('More for Screen Door');
      await ada.page.keyboard.press('Escape');
      await ada.press('Settings');
      await ada.page.keyboard.press('Escape');
      await waitForSheet(ada, 'settings', false);
      await ada.press('Invite');
      await ada.press('Settings');
      await goBack(ada);
      await waitForSheet(ada, 'settings', false);
      await waitForPage(ada, 'Summer House');
      await ada.press('More for Screen Door');
      await goBack(ada);
      await ada.waitFor('the closed menu', () => document.querySelector('#track-menu').hidden);
      await waitForPage(ada, 'Summer House');
      await goBack(ada);
      await waitForPage(ada, 'Porch Quartet');
      await goBack(ada);
      await waitForPage(ada, null);
      const isClaimed = await ada.evaluate(() => (globalThis.openWatchers ? globalThis.openWatchers.length > 0 : history.state !== null));
      assert.equal(isClaimed, false, 'the next Back must leave the page');
    }));
}
