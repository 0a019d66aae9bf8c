// Choosing together: several people add, move and remove tracks, skip and go back, also at the same moment.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openCuttableProxy } from '../support/cuttable-proxy.mjs';
import { openBrowser, openPhone } from '../support/phones.mjs';
import { album, taggedTones } from '../support/tagged-tones.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tones } from '../support/tones.mjs';

/** @typedef {import('../support/phones.mjs').Phone} Phone */

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const SONGS = { 'Alpha Dance': 90, 'Beta Waltz': 90, 'Gamma March': 90, 'Delta Blues': 90, 'Epsilon Rag': 90, 'Zeta Swing': 90 };

const onAll = (/** @type {Phone[]} */ phones, /** @type {(phone: Phone) => Promise<unknown>} */ step) => Promise.all(phones.map(step));

/** Waits for the bubble with this text. */
const waitForBubble = (/** @type {Phone} */ phone, /** @type {string} */ text) =>
  phone.waitFor(`the bubble “${text}”`, (expected) => document.querySelector('.bubble[role=alert] .text')?.textContent === expected, text);

/** The order of all tracks, from the current one on. */
const ringOf = (/** @type {Phone} */ phone) =>
  phone.evaluate(async () => {
    const [{ queue, queueIndex }, index] = await Promise.all(['/snapshot', '/index'].map(async (path) => (await fetch(path)).json()));
    const titles = new Map(index.map(({ trackId, tags }) => [trackId, tags.title]));
    return [...queue.slice(queueIndex), ...queue.slice(0, queueIndex)].map((trackId) => titles.get(trackId));
  });

/** Waits until the room has had `count` more events than before the step. */
async function waitForEvents(/** @type {Phone} */ phone, /** @type {number} */ count, /** @type {() => Promise<unknown>} */ step) {
  const before = await phone.evaluate(async () => (await (await fetch('/snapshot')).json()).eventCount);
  await step();
  await phone.waitFor(`${count} events`, async (expected) => (await (await fetch('/snapshot')).json()).eventCount >= expected, before + count);
}

test('three people add in turn, and hear the tracks in that order', (t) =>
  withRoom(t, browser, { fill: tones({ 'Alpha Dance': 6, 'Beta Waltz': 60, 'Gamma March': 6, 'Delta Blues': 6, 'Epsilon Rag': 60 }), names: ['Ada', 'Ben', 'Cem'] }, async (phones) => {
    const [ada, ben, cem] = phones;
    await onAll(phones, (phone) => phone.waitForStoredTracks(5));
    await onAll(phones, (phone) => phone.openTab('Queue'));
    await ada.press('Add Gamma March');
    await waitForBubble(ada, 'Added. 1st in line.');
    await ben.waitForPicks(['Gamma March (Ada)']);
    await ben.press('Add Epsilon Rag');
    await waitForBubble(ben, 'Added. 2nd in line.');
    await cem.waitForPicks(['Gamma March (Ada)', 'Epsilon Rag (Ben)']);
    await cem.openTab('Now');
    await ada.press('Add Delta Blues');
    await cem.waitFor('what Ada did', () => document.querySelector('.has-happening #now-happening')?.textContent === 'Ada added Delta Blues');
    await cem.openTab('Queue');
    // The current track cannot be added.
    await cem.page.getByRole('button', { name: 'More for Alpha Dance', exact: true }).waitFor();
    assert.equal(await cem.page.getByRole('button', { name: 'Add Alpha Dance', exact: true }).count(), 0);
    await onAll(phones, (phone) => phone.waitForPicks(['Gamma March (Ada)', 'Epsilon Rag (Ben)', 'Delta Blues (Ada)']));
    await ada.press('Play');
    await onAll(phones, (phone) => phone.waitForTitle('Gamma March'));
    await ben.openTab('Now');
    await ben.waitFor('who picked the current track', () => document.querySelector('#now-picked-by:not([hidden])')?.textContent.includes('Added by Ada'));
    await onAll(phones, (phone) => phone.waitForTitle('Epsilon Rag'));
    await onAll(phones, (phone) => phone.waitForPlayback());
    await ben.waitFor('who picked the current track', () => document.querySelector('#now-picked-by:not([hidden])')?.textContent.includes('Added by you'));
    await cem.waitForPicks(['Delta Blues (Ada)']);
  }));

const ALBUMS = [
  ...album({ album: 'Summer House', artist: 'Porch Quartet', year: 2011, coverHue: 120 }, ['Porch Swing', 'Screen Door', 'Fireflies']),
  ...album({ album: 'Both Sides', artist: 'The Lanterns', disc: 1 }, ['Left Bank']),
  ...album({ album: 'Both Sides', artist: 'The Lanterns', disc: 2 }, ['Upstream']),
];

test('an album is added, and one of its tracks removed and restored', (t) =>
  withRoom(t, browser, { fill: taggedTones(ALBUMS), names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    await onAll([ada, ben], (phone) => phone.openTab('Queue'));
    await ada.openSegment('Albums');
    await ada.page.getByRole('button', { name: 'Summer House' }).click();
    await ada.waitFor('the album', () => document.querySelector('#page-facts').textContent === '2011 · 3 tracks · 3:00');
    await ada.press('Add album');
    await waitForBubble(ada, 'Added 3 tracks. The first is 1st in line.');
    await ada.openSegment('Up next');
    await onAll([ada, ben], (phone) => phone.waitForPicks(['Porch Swing (Ada)', 'Screen Door (Ada)', 'Fireflies (Ada)']));
    await ben.press('More for Screen Door');
    await ben.press('Remove Screen Door');
    await waitForBubble(ben, 'Removed.');
    await onAll([ada, ben], (phone) => phone.waitForPicks(['Porch Swing (Ada)', 'Fireflies (Ada)']));
    await ben.press('Undo');
    await onAll([ada, ben], (phone) => phone.waitForPicks(['Porch Swing (Ada)', 'Screen Door (Ada)', 'Fireflies (Ada)']));
    // Discs, and the way from an album to its artist and back.
    await ben.press('More for Fireflies');
    await ben.press('Go to album');
    await ben.press('Porch Quartet');
    await ben.waitFor('the artist', () => document.querySelector('#page-title').textContent === 'Porch Quartet');
    await ben.press('Back');
    await ben.waitFor('the album', () => document.querySelector('#page-title').textContent === 'Summer House');
    await ben.press('Back');
    await ben.openSegment('Albums');
    await ben.page.getByRole('button', { name: 'Both Sides' }).click();
    await ben.waitFor('both discs', () => [...document.querySelectorAll('#queue-rows > li:not([hidden])')].map((item) => item.querySelector('h2, .title').textContent).join() === 'Disc 1,Left Bank,Disc 2,Upstream');
  }));

/** Drags the handle of a pick by a number of rows. */
async function dragPick(/** @type {Phone} */ phone, /** @type {string} */ title, /** @type {number} */ rows) {
  const box = await phone.page.getByRole('button', { name: `Move ${title}`, exact: true }).boundingBox();
  assert.ok(box);
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const touch = (/** @type {string} */ type, /** @type {object[]} */ touchPoints) => phone.cdp.send(/** @type {any} */ ('Input.dispatchTouchEvent'), { type, touchPoints });
  await touch('touchStart', [{ x, y }]);
  for (const fraction of [0.25, 0.5, 0.75, 1]) await touch('touchMove', [{ x, y: y + fraction * rows * 64 }]);
  await touch('touchEnd', []);
}

test('picks are dragged, moved by keys, played at once and undone', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    await onAll([ada, ben], (phone) => phone.openTab('Queue'));
    for (const title of ['Beta Waltz', 'Gamma March', 'Delta Blues']) await ada.press(`Add ${title}`);
    await ben.waitForPicks(['Beta Waltz (Ada)', 'Gamma March (Ada)', 'Delta Blues (Ada)']);

    await dragPick(ben, 'Beta Waltz', 2);
    await waitForBubble(ben, 'Moved. 3rd in line.');
    await onAll([ada, ben], (phone) => phone.waitForPicks(['Gamma March (Ada)', 'Delta Blues (Ada)', 'Beta Waltz (Ada)']));
    await ben.press('Undo');
    await onAll([ada, ben], (phone) => phone.waitForPicks(['Beta Waltz (Ada)', 'Gamma March (Ada)', 'Delta Blues (Ada)']));
    await ben.page.getByRole('button', { name: 'Move Delta Blues' }).focus();
    await ben.page.keyboard.press('ArrowUp');
    await onAll([ada, ben], (phone) => phone.waitForPicks(['Beta Waltz (Ada)', 'Delta Blues (Ada)', 'Gamma March (Ada)']));
    assert.equal(await ben.evaluate(() => document.activeElement.ariaLabel), 'Move Delta Blues');

    await ada.press('Play');
    await onAll([ada, ben], (phone) => phone.waitForPlayback());
    await ben.press('More for Zeta Swing');
    await ben.press('Play Zeta Swing now');
    await onAll([ada, ben], (phone) => phone.waitForTitle('Zeta Swing'));
    await onAll([ada, ben], (phone) => phone.waitForPlayback());
    await ben.press('Undo');
    await onAll([ada, ben], (phone) => phone.waitForTitle('Alpha Dance'));
    await onAll([ada, ben], (phone) => phone.waitForPicks(['Beta Waltz (Ada)', 'Delta Blues (Ada)', 'Gamma March (Ada)']));
    await onAll([ada, ben], (phone) => phone.waitForPlayback());
  }));

test('a long press by touch opens the menu, and the next tap chooses from it', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada'] }, async ([ada]) => {
    await ada.openTab('Queue');
    await ada.press('Add Beta Waltz');
    await ada.waitForPicks(['Beta Waltz (Ada)']);
    const touch = (/** @type {string} */ type, /** @type {object[]} */ touchPoints) => ada.cdp.send(/** @type {any} */ ('Input.dispatchTouchEvent'), { type, touchPoints });
    const box = await ada.page.locator('.row[data-place=pick]:not([hidden]) .title').boundingBox();
    assert.ok(box);
    await touch('touchStart', [{ x: box.x + 10, y: box.y + box.height / 2 }]);
    const isMenuOpen = () => !document.querySelector('#track-menu').hidden;
    await ada.waitFor('the menu', isMenuOpen);
    // Where the system's long press is slower than the page's, its context menu comes now.
    const isDefaultPrevented = await ada.evaluate(() => !document.querySelector('#menu-backdrop').dispatchEvent(new MouseEvent('contextmenu', { bubbles: true, cancelable: true })));
    assert.deepEqual([isDefaultPrevented, await ada.evaluate(isMenuOpen)], [true, true]);
    await touch('touchEnd', []);
    await ada.page.getByRole('button', { name: 'Remove Beta Waltz', exact: true }).tap();
    await ada.waitForPicks([]);
    await waitForBubble(ada, 'Removed.');
    // An Undo would be understood as that of Next.
    await ada.press('Next');
    await ada.waitFor('no bubble', () => document.querySelector('.bubble') === null);
  }));

test('Previous goes to the previous track, later to the beginning', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada'] }, async ([ada]) => {
    await ada.waitForStoredTracks(6);
    await ada.press('Next');
    await ada.waitForTitle('Beta Waltz');
    await ada.waitForPlayback();
    await ada.press('Previous');
    await ada.waitForTitle('Alpha Dance');
    await ada.openTab('Queue');
    await ada.waitForNextUp('Beta Waltz');
    await ada.openTab('Now');
    await ada.waitForPlayback();
    await ada.page.getByRole('slider', { name: 'Position' }).focus();
    for (let i = 0; i < 4; i += 1) await ada.page.keyboard.press('ArrowRight');
    await ada.waitFor('the position of the seek', () => document.querySelector('audio').currentTime > 15);
    await ada.press('Previous');
    await ada.waitFor('the beginning', () => document.querySelector('audio').currentTime < 10);
    assert.equal(await ada.title(), 'Alpha Dance');
  }));

test('the same track added by two people at once is one pick', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada', 'Ben', 'Cem'] }, async (phones) => {
    await onAll(phones, (phone) => phone.openTab('Queue'));
    await onAll(phones, (phone) => phone.page.getByRole('button', { name: 'Add Gamma March' }).waitFor());
    // Not by the mouse, which would wait for a button that disappears when somebody else's track arrives.
    const click = (/** @type {Phone} */ phone, /** @type {string} */ label) => phone.evaluate((name) => document.querySelector(`[aria-label="${name}"]`).click(), label);
    await onAll(phones, (phone) => click(phone, 'Add Gamma March'));
    await onAll(phones, (phone) => phone.waitFor('one pick', () => document.querySelectorAll('.row[data-place=pick]:not([hidden])').length === 1));
    // Different tracks at the same moment are all added.
    const titles = ['Beta Waltz', 'Delta Blues', 'Epsilon Rag'];
    await onAll(phones, (phone) => click(phone, `Add ${titles[phones.indexOf(phone)]}`));
    await onAll(phones, (phone) => phone.waitFor('four picks', () => document.querySelectorAll('.row[data-place=pick]:not([hidden])').length === 4));
    const [picks] = await Promise.all(phones.map((phone) => phone.picks()));
    assert.deepEqual(picks.slice(1).toSorted(), ['Beta Waltz (Ada)', 'Delta Blues (Ben)', 'Epsilon Rag (Cem)']);
    for (const phone of phones) assert.equal(await phone.evaluate(() => document.querySelector('#toasts').textContent), '');
  }));

test('shuffle and order leave the picks in place; a reload keeps all', (t) =>
  withRoom(t, browser, { fill: tones({ ...SONGS, 'Eta Polka': 60, 'Theta Jig': 60, 'Iota Reel': 60 }), names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    await onAll([ada, ben], (phone) => phone.openTab('Queue'));
    const initial = await ringOf(ada);
    // The list has only the rows near the window.
    await ben.page.locator('#filter').fill('Zeta');
    await ben.press('Add Zeta Swing');
    await ben.page.locator('#filter').fill('');
    await ada.waitForPicks(['Zeta Swing (Ben)']);
    const sorted = [initial[0], 'Zeta Swing', ...initial.slice(1).filter((title) => title !== 'Zeta Swing').toSorted()];
    // Once in 5,040 times, a random order of seven tracks is the alphabetical one.
    for (let isSorted = true; isSorted; ) {
      await waitForEvents(ada, 2, () => onAll([ada, ben], (phone) => phone.press('Shuffle')));
      const shuffled = await ringOf(ada);
      assert.deepEqual([shuffled[0], shuffled[1], shuffled.toSorted()], [initial[0], 'Zeta Swing', initial.toSorted()]);
      isSorted = shuffled.join() === sorted.join();
    }
    await waitForBubble(ada, 'The library is shuffled.');
    await waitForEvents(ada, 1, () => ada.press('In order'));
    await waitForBubble(ada, 'The library is in order.');
    assert.deepEqual(await ringOf(ada), sorted);
    await ada.page.reload();
    await ada.openTab('Queue');
    await ada.waitForPicks(['Zeta Swing (Ben)']);
    assert.deepEqual(await ringOf(ada), await ringOf(ben));
  }));

test('a phone that was offline catches up with the queue', async (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada'] }, async ([ada], server) => {
    const proxy = await openCuttableProxy(server.url());
    t.after(proxy.close);
    const ben = await openPhone(browser, proxy.url);
    t.after(ben.close);
    await ben.join('Ben');
    await onAll([ada, ben], (phone) => phone.openTab('Queue'));
    await ben.waitFor('the queue', () => document.querySelectorAll('.row:not([hidden])').length > 3);
    proxy.cut();
    await ben.waitForStatus('reconnecting…');
    await ada.press('Add Delta Blues');
    await ada.press('Add Gamma March');
    await ada.press('Next');
    await ada.waitForTitle('Delta Blues');
    await ada.waitForPicks(['Gamma March (Ada)']);
    // Adding needs the server.
    await ben.press('Add Beta Waltz');
    await ben.waitFor('the message', () => document.querySelector('.toast'));
    assert.equal(await ben.evaluate(() => document.querySelector('.bubble')), null);
    proxy.restore();
    await ben.waitForPicks(['Gamma March (Ada)']);
    await ben.waitForTitle('Delta Blues');
  }));

test('the search finds songs, albums and artists in spite of a typo', (t) =>
  withRoom(t, browser, { fill: taggedTones(ALBUMS), names: ['Ada'] }, async ([ada]) => {
    await ada.openTab('Queue');
    const field = ada.page.getByRole('searchbox', { name: 'Filter' });
    await field.fill('porsh');
    await ada.waitFor('the groups', () => [...document.querySelectorAll('#queue-rows > li:not([hidden]) h2')].map(({ textContent }) => textContent).join() === 'Songs,Albums,Artists');
    await ada.press('Add Porch Swing');
    await waitForBubble(ada, 'Added. 1st in line.');
    await ada.press('Undo');
    await field.fill('nobody');
    await ada.waitFor('the sentence', () => document.querySelector('#queue-empty:not([hidden])')?.textContent === 'Nothing called “nobody” here.');
    await field.press('Escape');
    await ada.waitForPicks([]);
  }));
