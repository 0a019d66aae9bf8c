// What one person does in the Queue tab while others change the queue: drags, the menu of a track, the keyboard's focus.

import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from '../support/phones.mjs';
import { FIXTURES } from '../support/server.mjs';
import { withRoom } from '../support/test-room.mjs';

/** @typedef {import('../support/phones.mjs').Phone} Phone */

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const TRACK_COUNT = 60;
const title = (/** @type {number} */ number) => `Song ${String(number).padStart(2, '0')}`;

/** @param {import('node:test').TestContext} t @param {string[]} names @param {(phones: Phone[]) => Promise<void>} steps */
const withQueues = (t, names, steps) =>
  withRoom(t, browser, {
    fill: (/** @type {string} */ folder) => Promise.all(Array.from({ length: TRACK_COUNT }, (_, i) => cp(join(FIXTURES, 'untagged_song-name.mp3'), join(folder, `${title(i + 1)}.mp3`)))),
    flags: ['--keep-duplicates'],
    names,
  }, async (phones) => {
    for (const phone of phones) {
      await phone.openTab('Queue');
      await phone.waitFor('all tracks', (count) => document.querySelector('#queue-count').textContent === `${count} tracks`, TRACK_COUNT);
      await phone.waitFor('the end of the cover transition', () => !document.querySelector('.moving-copy'));
    }
    await steps(phones);
  });

/** Adds tracks, without waiting for each button to be still. */
async function add(/** @type {Phone} */ phone, /** @type {number[]} */ numbers) {
  for (const number of numbers) await phone.evaluate((label) => /** @type {HTMLElement} */ (document.querySelector(`.row:not([hidden]) [aria-label="${label}"]`)).click(), `Add ${title(number)}`);
}

/** Touches the handle of a pick. Returns functions that move the finger and lift it. */
async function touchHandle(/** @type {Phone} */ phone, /** @type {string} */ pick) {
  const box = await phone.page.getByRole('button', { name: `Move ${pick}`, exact: true }).boundingBox();
  assert.ok(box);
  const [x, top] = [box.x + box.width / 2, box.y + box.height / 2];
  const send = (/** @type {string} */ type, /** @type {object[]} */ touchPoints) => phone.cdp.send(/** @type {any} */ ('Input.dispatchTouchEvent'), { type, touchPoints });
  await send('touchStart', [{ x, y: top }]);
  return {
    moveTo: (/** @type {number} */ y) => send('touchMove', [{ x, y }]),
    moveBy: (/** @type {number} */ px) => send('touchMove', [{ x, y: top + px }]),
    lift: () => send('touchEnd', []),
  };
}

const isDragOver = () => !document.querySelector('.reordering, .dragged') && [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('.row'))].every((row) => row.style.getPropertyValue('--drag') === '');

test('a drag ends when somebody else removes the dragged pick', (t) =>
  withQueues(t, ['Ada', 'Ben'], async ([ada, ben]) => {
    await add(ada, [2, 3, 4]);
    await ben.waitForPicks(['Song 02 (Ada)', 'Song 03 (Ada)', 'Song 04 (Ada)']);
    const finger = await touchHandle(ben, 'Song 02');
    await finger.moveBy(40);
    await ben.waitFor('the dragged row', () => document.querySelector('.row.dragged'));
    await ada.press('More for Song 02');
    await ada.press('Remove Song 02');
    await ben.waitFor('the end of the drag', isDragOver);
    await finger.lift();
    await ben.waitForPicks(['Song 03 (Ada)', 'Song 04 (Ada)']);
  }));

test('a drag upwards ends above the list, also after a pause', (t) =>
  withQueues(t, ['Ada'], async ([ada]) => {
    await add(ada, [2, 3, 4, 5]);
    await ada.waitForPicks(['Song 02 (Ada)', 'Song 03 (Ada)', 'Song 04 (Ada)', 'Song 05 (Ada)']);
    const finger = await touchHandle(ada, 'Song 05');
    await finger.moveBy(-70);
    await finger.moveBy(-140);
    // The list must not sort its elements in this pause, as it does soon after each change.
    await ada.evaluate(() => new Promise((resolve) => setTimeout(resolve, 400)));
    await finger.moveTo(20);
    await finger.lift();
    await ada.waitFor('the end of the drag', isDragOver);
    await ada.waitForPicks(['Song 05 (Ada)', 'Song 02 (Ada)', 'Song 03 (Ada)', 'Song 04 (Ada)']);
  }));

test('the menu of a track stays open while others add', (t) =>
  withQueues(t, ['Ada', 'Ben'], async ([ada, ben]) => {
    await ben.evaluate(() => (document.querySelector('#queue-scroller').scrollTop = 700));
    await ben.press('More for Song 15');
    await ben.page.getByRole('button', { name: 'Play Song 15 now' }).waitFor();
    const scrollTop = await ben.evaluate(() => document.querySelector('#queue-scroller').scrollTop);
    await add(ada, [3]);
    await ada.waitForPicks(['Song 03 (Ada)']);
    await add(ada, [4]);
    await ben.waitFor('the changed list', (previous) => document.querySelector('#queue-scroller').scrollTop !== previous, scrollTop);
    await ben.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    assert.equal(await ben.evaluate(() => document.querySelector('#track-menu').hidden), false);
    await ben.page.keyboard.press('Escape');
    assert.equal(await ben.evaluate(() => document.activeElement.ariaLabel), 'More for Song 15');
  }));

test('a pick that keys move stays visible and focused', (t) =>
  withQueues(t, ['Ada'], async ([ada]) => {
    await add(ada, [2, 3, 4, 5, 6, 7]);
    await ada.waitFor('six picks', () => document.querySelectorAll('.row[data-place=pick]:not([hidden])').length === 6);
    await ada.evaluate(() => (document.querySelector('#queue-scroller').scrollTop = 400));
    await add(ada, [8, 9, 10, 11, 12, 13, 14, 15]);
    await ada.evaluate(() => (document.querySelector('#queue-scroller').scrollTop = 1000));
    await ada.waitFor('later tracks', () => document.querySelector('.row:not([hidden]) [aria-label="Add Song 22"]'));
    await add(ada, [16, 17, 18, 19, 20, 21, 22]);
    await ada.evaluate(() => (document.querySelector('#queue-scroller').scrollTop = 0));
    await ada.page.getByRole('button', { name: 'Move Song 02', exact: true }).focus();
    const isHandleVisible = () => {
      const { top, bottom } = document.activeElement.getBoundingClientRect();
      const box = document.querySelector('#queue-scroller').getBoundingClientRect();
      return document.activeElement.ariaLabel === 'Move Song 02' && top >= box.top && bottom <= box.bottom;
    };
    await ada.page.keyboard.press('End');
    await ada.waitFor('the end of the picks', () => document.querySelector('#queue-scroller').scrollTop > 400);
    await ada.waitFor('the handle at the end', isHandleVisible);
    await ada.page.keyboard.press('Home');
    await ada.waitFor('the handle at the beginning', isHandleVisible);
  }));

test('arrow keys pass over a row without visible controls', (t) =>
  withQueues(t, ['Ada'], async ([ada]) => {
    await ada.evaluate(() => {
      for (const button of document.querySelector('[aria-label="Add Song 05"]').closest('.row').querySelectorAll('button')) button.hidden = true;
    });
    await ada.page.getByRole('button', { name: 'Add Song 04', exact: true }).focus();
    await ada.page.keyboard.press('ArrowDown');
    assert.equal(await ada.evaluate(() => document.activeElement.ariaLabel), 'Add Song 06');
  }));

test('the focus leaves a bubble that another one replaces', (t) =>
  withQueues(t, ['Ada'], async ([ada]) => {
    await add(ada, [2]);
    await ada.page.getByRole('button', { name: 'Undo', exact: true }).focus();
    await add(ada, [3]);
    await ada.waitFor('the second bubble', () => document.querySelector('.bubble .text')?.textContent.includes('2nd'));
    assert.equal(await ada.evaluate(() => document.activeElement.id), 'room-title');
  }));
