// The queue view: scroll position, swipes, keyboard, and recycled rows. measure-page-performance.mjs measures its speed.

import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser, openPhone, screenshotOnFailure } from '../support/phones.mjs';
import { FIXTURES, startServer } from '../support/server.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
before(async () => {
  browser = await openBrowser();
  server = await startServer({
    fill: (folder) => Promise.all(Array.from({ length: 200 }, (_, i) => cp(join(FIXTURES, 'untagged_song-name.mp3'), join(folder, `Song ${String(i + 1).padStart(3, '0')}.mp3`)))),
    flags: ['--keep-duplicates'],
  });
});
after(async () => {
  await browser.close();
  await server.remove();
});

/**
 * Runs the steps of a test on one phone with the Queue tab open.
 * @param {import('node:test').TestContext} t
 * @param {(ada: import('../support/phones.mjs').Phone) => Promise<void>} steps
 */
async function withQueue(t, steps) {
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.openTab('Queue');
    await ada.waitFor('all tracks in the queue', () => document.querySelector('#queue-count').textContent === '200 tracks');
    await ada.waitFor('the end of the cover transition', () => !document.querySelector('.moving-copy'));
    await steps(ada);
    assert.deepEqual(ada.errors, []);
  });
}

/** Runs in the page: the title of the next track. */
const nextTitle = () => document.querySelector('.row.next:not([hidden]) .title')?.textContent;

/** Scrolls so that the row with this index is at the top of the list. */
async function scrollToRow(/** @type {import('../support/phones.mjs').Phone} */ phone, /** @type {number} */ index) {
  await phone.evaluate((row) => {
    const scroller = document.querySelector('#queue-scroller');
    scroller.scrollTop = row * document.querySelector('.row').offsetHeight;
  }, index);
  await phone.waitFor('rows at the scroll position', (firstRow) => [...document.querySelectorAll('#queue-rows .row:not([hidden])')].some((row) => Number(row.ariaPosInSet) === firstRow + 8), index);
}

test('opening the queue scrolls to the current track', (t) =>
  withQueue(t, async (ada) => {
    await ada.page.getByRole('searchbox', { name: 'Filter' }).fill('SONG 1');
    await ada.waitFor('the filtered queue', () => document.querySelector('#queue-count').textContent === '100 tracks');
    await scrollToRow(ada, 40);
    await ada.openTab('Now');
    await ada.openTab('Queue');
    const isVisible = await ada.evaluate(() => {
      const scroller = document.querySelector('#queue-scroller').getBoundingClientRect();
      const { top, bottom } = document.querySelector('[aria-current=true]').getBoundingClientRect();
      return top >= scroller.top && bottom <= scroller.bottom;
    });
    assert.ok(isVisible, 'the current row must be visible');
    assert.equal(await ada.evaluate(() => document.querySelector('#queue-count').textContent), '200 tracks');
  }));

/** Touches the row of this title and drags by the given distance in px, without lifting the finger. */
async function dragRow(/** @type {import('../support/phones.mjs').Phone} */ phone, /** @type {string} */ title, /** @type {number} */ dxPx, /** @type {number} */ dyPx) {
  const { x, y } = await phone.evaluate((expected) => {
    const row = [...document.querySelectorAll('#queue-rows .row:not([hidden])')].find((candidate) => candidate.querySelector('.title').textContent === expected);
    const box = row.getBoundingClientRect();
    return { x: box.left + 100, y: box.top + box.height / 2 };
  }, title);
  const touch = (/** @type {string} */ type, /** @type {number} */ fraction) =>
    phone.cdp.send('Input.dispatchTouchEvent', { type, touchPoints: type === 'touchEnd' ? [] : [{ x: x + dxPx * fraction, y: y + dyPx * fraction }] });
  await touch('touchStart', 0);
  for (const fraction of [0.2, 0.4, 0.6, 0.8, 1]) await touch('touchMove', fraction);
  return { lift: () => touch('touchEnd', 1) };
}

test('a right swipe nudges a track only past the threshold', (t) =>
  withQueue(t, async (ada) => {
    const previousNextTitle = await ada.evaluate(nextTitle);
    const [title] = (await ada.queueTitles()).slice(4);
    const shortDrag = await dragRow(ada, title, 60, 0);
    await ada.waitFor('the row to follow the finger', () => document.querySelector('.row.swiped:not(.past-threshold)'));
    await shortDrag.lift();
    await ada.waitFor('the row to return', () => !document.querySelector('.row.swiped'));
    assert.equal(await ada.evaluate(nextTitle), previousNextTitle);
    const longDrag = await dragRow(ada, title, 160, 0);
    await ada.waitFor('a swipe past the threshold', () => document.querySelector('.row.swiped.past-threshold'));
    await longDrag.lift();
    await ada.waitFor('the nudged track to be next', (expected) => document.querySelector('.row.next:not([hidden]) .title')?.textContent === expected, title);
    await ada.waitFor('the row to return', () => !document.querySelector('.row.swiped'));
  }));

test('a vertical swipe scrolls without a nudge', (t) =>
  withQueue(t, async (ada) => {
    const previousNextTitle = await ada.evaluate(nextTitle);
    const [title] = (await ada.queueTitles()).slice(4);
    await (await dragRow(ada, title, 20, -250)).lift();
    await ada.waitFor('a new scroll position', () => document.querySelector('#queue-scroller').scrollTop > 50);
    assert.equal(await ada.evaluate(nextTitle), previousNextTitle);
    assert.equal(await ada.evaluate(() => document.querySelectorAll('.row.swiped').length), 0);
  }));

test('arrow keys select a row and Enter adds its track', (t) =>
  withQueue(t, async (ada) => {
    await ada.page.locator('#queue-scroller').focus();
    for (let i = 0; i < 30; i += 1) await ada.page.keyboard.press('ArrowDown');
    for (let i = 0; i < 2; i += 1) await ada.page.keyboard.press('ArrowUp');
    // The first step selects the current track. Two headers are passed over.
    assert.equal(await ada.evaluate(() => document.querySelector('.row:focus-within').ariaPosInSet), '30');
    const label = await ada.evaluate(() => document.activeElement.ariaLabel);
    assert.match(label, /^Add Song \d+$/);
    const isVisible = await ada.evaluate(() => {
      const { left, top, bottom } = document.activeElement.getBoundingClientRect();
      return document.activeElement.contains(document.elementFromPoint(left + 100, (top + bottom) / 2));
    });
    assert.ok(isVisible, 'the focused row must be visible');
    await ada.page.keyboard.press('Enter');
    await ada.waitFor('the bubble', () => document.querySelector('.bubble .text')?.textContent === 'Added. 2nd in line.');
    await ada.openSegment('Up next');
    await ada.waitFor('two picks', () => document.querySelectorAll('.row[data-place=pick]:not([hidden])').length === 2);
    assert.equal(`Add ${(await ada.picks())[1]}`, `${label} (Ada)`);
  }));

test('focus moves to the list when the focused row is recycled', (t) =>
  withQueue(t, async (ada) => {
    await ada.page.locator('#queue-scroller').focus();
    await ada.page.keyboard.press('ArrowDown');
    assert.equal(await ada.evaluate(() => document.activeElement.dataset.action), 'more');
    await scrollToRow(ada, 150);
    await ada.waitFor('the focus on the list', () => document.activeElement.id === 'queue-scroller');
  }));

test('rows stay in document order after scrolling', (t) =>
  withQueue(t, async (ada) => {
    for (const index of [103, 57, 61, 0]) {
      await scrollToRow(ada, index);
      await ada.waitFor('rows in order', () => {
        const positions = [...document.querySelectorAll('#queue-rows .row:not([hidden])')].map((row) => Number(row.ariaPosInSet));
        return positions.length > 8 && positions.every((position, i) => i === 0 || position > positions[i - 1]);
      });
    }
  }));

test('a cancelled swipe restores the row', (t) =>
  withQueue(t, async (ada) => {
    const box = await ada.page.locator('#queue-rows .row:not([hidden])').nth(4).boundingBox();
    assert.ok(box);
    const y = box.y + box.height / 2;
    const touch = (/** @type {any} */ type, /** @type {number[]} */ ...xs) =>
      ada.cdp.send('Input.dispatchTouchEvent', { type, touchPoints: xs.map((x) => ({ x, y })) });
    await touch('touchStart', 120);
    for (const x of [140, 160, 140, 120, 100]) await touch('touchMove', x);
    await ada.waitFor('the swiped row', () => document.querySelector('.row.swiped'));
    await touch('touchEnd');
    await ada.waitFor('the row to return', () => !document.querySelector('.row.swiped, .row.returning'));
  }));
