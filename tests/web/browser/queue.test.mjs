// The queue in the hand: where it opens, what a swipe and the keys do, and what stays true of rows that
// are used again and again. How fast it is, figures-page.mjs measures.

import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { journey, openBrowser, openPhone } from '../support/phones.mjs';
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
  await server.end();
});

/**
 * One phone with the queue open.
 * @param {import('node:test').TestContext} t
 * @param {(ada: import('../support/phones.mjs').Phone) => Promise<void>} steps
 */
async function queue(t, steps) {
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await journey(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.open('Queue');
    await ada.until('all tracks', () => document.querySelector('#queue-count').textContent === '200 tracks');
    await ada.until('an end of the journey of the cover', () => !document.querySelector('.carried'));
    await steps(ada);
    assert.deepEqual(ada.errors, []);
  });
}

const next = () => document.querySelector('#queue-pinned .next .title')?.textContent;

/** Scrolls the list so that `title` is in its middle. */
async function bringUp(/** @type {import('../support/phones.mjs').Phone} */ phone, /** @type {number} */ place) {
  await phone.read((at) => {
    const scroller = document.querySelector('#queue-scroller');
    scroller.scrollTop = at * document.querySelector('.row').offsetHeight;
  }, place);
  await phone.until('rows from there', (at) => [...document.querySelectorAll('#queue-rest .row:not([hidden])')].some((row) => Number(row.ariaPosInSet) === at + 6), place);
}

test('opened, the queue shows what plays, wherever it was left', (t) =>
  queue(t, async (ada) => {
    await ada.page.getByRole('searchbox', { name: 'Filter' }).fill('SONG 1');
    await ada.until('what was sought', () => document.querySelector('#queue-count').textContent === '119 tracks');
    await bringUp(ada, 40);
    await ada.open('Now');
    await ada.open('Queue');
    const seen = await ada.read(() => {
      const scroller = document.querySelector('#queue-scroller').getBoundingClientRect();
      const { top, bottom } = document.querySelector('[aria-current=true]').getBoundingClientRect();
      return top >= scroller.top && bottom <= scroller.bottom;
    });
    assert.ok(seen, 'the current row is in sight');
    assert.equal(await ada.read(() => document.querySelector('#queue-count').textContent), '200 tracks');
  }));

/** A finger that goes down in the middle of the row of `title` and moves by so much, in steps. */
async function finger(/** @type {import('../support/phones.mjs').Phone} */ phone, /** @type {string} */ title, /** @type {number} */ dx, /** @type {number} */ dy) {
  const { x, y } = await phone.read((wanted) => {
    const row = [...document.querySelectorAll('#queue-rest .row:not([hidden])')].find((one) => one.querySelector('.title').textContent === wanted);
    const box = row.getBoundingClientRect();
    return { x: box.left + 100, y: box.top + box.height / 2 };
  }, title);
  const touch = (/** @type {string} */ type, /** @type {number} */ part) =>
    phone.cdp.send('Input.dispatchTouchEvent', { type, touchPoints: type === 'touchEnd' ? [] : [{ x: x + dx * part, y: y + dy * part }] });
  await touch('touchStart', 0);
  for (const part of [0.2, 0.4, 0.6, 0.8, 1]) await touch('touchMove', part);
  return { letGo: () => touch('touchEnd', 1) };
}

test('a row that is swiped far enough to the right comes next; one that is let go of before goes back', (t) =>
  queue(t, async (ada) => {
    const was = await ada.read(next);
    const [wanted] = (await ada.queue()).slice(4);
    const short = await finger(ada, wanted, 60, 0);
    await ada.until('the row move along', () => document.querySelector('.row.swiped:not(.enough)'));
    await short.letGo();
    await ada.until('the row go back', () => !document.querySelector('.row.swiped'));
    assert.equal(await ada.read(next), was);
    const far = await finger(ada, wanted, 160, 0);
    await ada.until('a swipe that will do', () => document.querySelector('.row.swiped.enough'));
    await far.letGo();
    await ada.until('the nudge', (title) => document.querySelector('#queue-pinned .next .title').textContent === title, wanted);
    await ada.until('the row go back', () => !document.querySelector('.row.swiped'));
  }));

test('a finger that goes down scrolls, and nudges nothing', (t) =>
  queue(t, async (ada) => {
    const was = await ada.read(next);
    const [wanted] = (await ada.queue()).slice(6);
    await (await finger(ada, wanted, 20, -250)).letGo();
    await ada.until('another place', () => document.querySelector('#queue-scroller').scrollTop > 50);
    assert.equal(await ada.read(next), was);
    assert.equal(await ada.read(() => document.querySelectorAll('.row.swiped').length), 0);
  }));

test('a row is found and nudged by keys alone', (t) =>
  queue(t, async (ada) => {
    await ada.page.locator('#queue-scroller').focus();
    for (let i = 0; i < 30; i += 1) await ada.page.keyboard.press('ArrowDown');
    for (let i = 0; i < 2; i += 1) await ada.page.keyboard.press('ArrowUp');
    const label = await ada.read(() => document.activeElement.ariaLabel);
    const titles = await ada.read(() => document.querySelector('#queue-rest .row:focus-within').ariaPosInSet);
    // Two rows are pinned above the first, and the first of thirty steps goes to the first row.
    assert.equal(titles, '30');
    const seen = await ada.read(() => {
      const { bottom, top } = document.activeElement.getBoundingClientRect();
      return document.activeElement.contains(document.elementFromPoint(document.activeElement.getBoundingClientRect().x + 20, (top + bottom) / 2));
    });
    assert.ok(seen, 'the row with the focus is in sight');
    await ada.page.keyboard.press('Enter');
    await ada.until('the nudge', (title) => `Play ${document.querySelector('#queue-pinned .next .title').textContent} next` === title, label);
  }));

test('the focus does not stay on a row that has become another track’s', (t) =>
  queue(t, async (ada) => {
    await ada.page.locator('#queue-scroller').focus();
    await ada.page.keyboard.press('ArrowDown');
    assert.equal(await ada.read(() => document.activeElement.className), 'icon nudge');
    await bringUp(ada, 150);
    await ada.until('the focus on the list', () => document.activeElement.id === 'queue-scroller');
  }));

test('at rest, the rows stand in the page in the order of the list', (t) =>
  queue(t, async (ada) => {
    for (const place of [103, 57, 61, 0]) {
      await bringUp(ada, place);
      await ada.until('rows in order', () => {
        const places = [...document.querySelectorAll('#queue-rest .row:not([hidden])')].map((row) => Number(row.ariaPosInSet));
        return places.length > 10 && places.every((at, i) => i === 0 || at === places[i - 1] + 1);
      });
    }
  }));

test('what plays and what comes next stay in sight, wherever the list is scrolled to', (t) =>
  queue(t, async (ada) => {
    await bringUp(ada, 150);
    await ada.until('both in sight', () => {
      const { top, bottom } = document.querySelector('#queue-scroller').getBoundingClientRect();
      const rows = [...document.querySelectorAll('#queue-pinned .row')];
      return rows.length === 2 && rows.every((row) => {
        const box = row.getBoundingClientRect();
        const hit = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
        return box.top >= top - 1 && box.bottom <= bottom + 1 && row.contains(hit);
      });
    });
  }));
