// Who else is paired, and how one of them is removed by another.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LIMIT_MS } from '../support/eyes.mjs';
import { journey, openBrowser, openPhone } from '../support/phones.mjs';
import { CODE, startServer } from '../support/server.mjs';
import { tones } from '../support/tones.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

/**
 * @param {import('node:test').TestContext} t
 * @param {string[]} names
 * @param {(phones: import('../support/phones.mjs').Phone[], server: Awaited<ReturnType<typeof startServer>>) => Promise<void>} steps
 */
async function house(t, names, steps) {
  const server = await startServer({ fill: tones({ 'Alpha Dance': 60, 'Beta Waltz': 60 }) });
  t.after(server.end);
  /** @type {import('../support/phones.mjs').Phone[]} */
  const phones = [];
  t.after(() => Promise.all(phones.map((phone) => phone.close())));
  await journey(t.name, () => phones, async () => {
    for (const name of names) {
      const phone = await openPhone(browser, server.url());
      phones.push(phone);
      await phone.join(name);
    }
    await steps(phones, server);
  });
}

/** In the page: what the list says, row by row. */
const rows = () => [...document.querySelectorAll('[aria-label="Paired phones"] li')].map((row) => `${row.querySelector('.who').textContent} ${row.querySelector('.doing').textContent}`);

/** @param {import('../support/phones.mjs').Phone} phone */
async function openList(phone) {
  await phone.press('Settings');
  await phone.page.getByText('Other phones').click();
  // It is filled once it is open.
  await phone.until('the list', () => document.querySelectorAll('#paired-list li').length === Number(document.querySelector('#paired .count').textContent));
}

/** In the page: whether the row of that name goes soon. */
async function goes(/** @type {string} */ name) {
  const there = () => [...document.querySelectorAll('[aria-label="Paired phones"] .who')].some((who) => who.textContent === name);
  for (let i = 0; i < 25 && there(); i += 1) await new Promise((go) => setTimeout(go, 40));
  return !there();
}

/**
 * Removes a phone by both presses. The question waits only a while, on a slow machine too short for the second press: then it
 * is asked again.
 * @param {import('../support/phones.mjs').Phone} phone
 * @param {string} name
 */
async function remove(phone, name) {
  const press = (/** @type {string} */ label) =>
    phone.page.getByRole('button', { name: label, exact: true }).click({ timeout: 5_000 }).catch(() => {});
  const end = Date.now() + 2 * LIMIT_MS;
  do {
    await press(`Remove ${name}`);
    await press(`Really remove ${name}?`);
    if (await phone.read(goes, name)) return;
  } while (Date.now() < end);
  assert.fail(`${name} is never removed`);
}

test('a phone that is removed is silent and at the door, and knows by whom; the others play on without it', (t) =>
  house(t, ['Ada', 'Ben', 'Cay'], async ([ada, ben, cay]) => {
    await ada.press('Play');
    await Promise.all([ada, ben, cay].map((phone) => phone.sounds()));
    await openList(ada);
    assert.deepEqual(await ada.read(rows), ['Ben here', 'Cay here']);
    await remove(ada, 'Ben');

    await ben.until('the door', () => !document.querySelector('#join-view').hidden);
    await ben.until('by whom', () => {
      const why = document.querySelector('#join-error');
      return why.role === 'alert' && why.textContent === 'Ada has removed this phone.';
    });
    await ben.silent();
    await ada.until('the row go', () => document.querySelectorAll('[aria-label="Paired phones"] li').length === 1);
    assert.equal(await ada.read(() => document.activeElement?.textContent.trim()), 'Other phones 1', 'the focus is lost');
    await cay.until('word of it', () => [...document.querySelectorAll('[role=alert]')].some((bubble) => bubble.textContent === 'Ada has removed Ben.'));
    await Promise.all([ada, cay].map((phone) => phone.sounds()));

    // The code lets it in again, as somebody new.
    await ben.page.getByLabel('Pairing code').fill(CODE);
    await ben.press('Join');
    await ben.sounds();
    await ada.until('it in the list', () => document.querySelectorAll('[aria-label="Paired phones"] li').length === 2);
    assert.deepEqual(ben.errors, []);
  }));

test('one press removes nobody, nor does a double click, a key that is held, or a second press after a while', (t) =>
  house(t, ['Ada', 'Ben'], async ([ada, ben]) => {
    await openList(ada);
    const button = (/** @type {string} */ name) => ada.page.getByRole('button', { name, exact: true });
    // It goes by itself, maybe before anybody looks: the page takes down that it was there.
    await ada.read(() => {
      const look = () => (globalThis.doubted ||= document.querySelector('[aria-label="Really remove Ben?"]') !== null);
      new MutationObserver(look).observe(document.querySelector('#paired-list'), { subtree: true, childList: true, attributes: true });
    });
    const doubtedAndForgotten = async () => {
      await ada.until('the question', () => globalThis.doubted);
      await ada.until('the question go', () => document.querySelector('[aria-label="Remove Ben"]'));
      await ada.read(() => void (globalThis.doubted = false));
    };
    await button('Remove Ben').dblclick();
    await doubtedAndForgotten();
    await button('Remove Ben').focus();
    // Down without an up is how a held key repeats.
    for (let i = 0; i < 4; i += 1) await ada.page.keyboard.down('Enter');
    await ada.page.keyboard.up('Enter');
    await doubtedAndForgotten();
    assert.deepEqual(await ada.read(rows), ['Ben here']);
    await ben.status('paused');
  }));

test('a phone whose owner is away can be removed too; when it comes back it is at the door', (t) =>
  house(t, ['Ada', 'Ben'], async ([ada, ben]) => {
    const { page } = ben;
    await page.goto('about:blank');
    await openList(ada);
    await ada.until('that it is away', () => document.querySelector('[aria-label="Paired phones"] .doing').textContent === 'away');
    await remove(ada, 'Ben');
    await ada.until('nobody else', () => document.querySelector('#paired-nobody').checkVisibility());
    await page.goBack();
    await ben.until('the door', () => !document.querySelector('#join-view').hidden);
  }));

test('two hundred phones are listed, each with a button that a thumb can hit', (t) =>
  house(t, ['Ada'], async ([ada], server) => {
    const pair = (/** @type {number} */ i) => fetch(new URL('/pair', server.url('127.0.0.1')), { method: 'POST', body: JSON.stringify({ code: CODE, clientName: `Guest ${i} ${'of the house '.repeat(i % 4)}` }) });
    for (let i = 0; i < 200; i += 20) await Promise.all(Array.from({ length: 20 }, (_, n) => pair(i + n)));
    await openList(ada);
    await ada.until('all of them', () => document.querySelectorAll('[aria-label="Paired phones"] li').length === 200);
    const bad = await ada.read(() => [...document.querySelectorAll('[aria-label="Paired phones"] button')].filter((button) => {
      const { width, height, right } = button.getBoundingClientRect();
      return width < 44 || height < 44 || right > innerWidth;
    }).length);
    assert.equal(bad, 0);
    await remove(ada, await ada.read(() => document.querySelector('[aria-label="Paired phones"] li:last-child .who').textContent));
    await ada.until('one less', () => document.querySelector('#paired .count').textContent === '199');
  }));
