// The list of paired phones, and removing one of them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { WAIT_TIMEOUT_MS } from '../support/page-checks.mjs';
import { openBrowser } from '../support/phones.mjs';
import { PAIRING_CODE } from '../support/server.mjs';
import { withRoom } from '../support/test-room.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

/** Runs in the page: name and activity in each row of the list of paired phones. */
const pairedRows = () => [...document.querySelectorAll('[aria-label="Paired phones"] li')].map((row) => `${row.querySelector('.member-name').textContent} ${row.querySelector('.activity').textContent}`);

/** @param {import('../support/phones.mjs').Phone} phone */
async function openPairedList(phone) {
  await phone.press('Settings');
  await phone.page.getByText('Other phones').click();
  // The rows are rendered after the sheet has opened.
  await phone.waitFor('the list of paired phones', () => document.querySelectorAll('#paired-list li').length === Number(document.querySelector('#paired .count').textContent));
}

/** Runs in the page: waits up to a second until the row of this name disappears, and returns whether it did. */
async function rowDisappears(/** @type {string} */ name) {
  const isListed = () => [...document.querySelectorAll('[aria-label="Paired phones"] .member-name')].some((label) => label.textContent === name);
  for (let i = 0; i < 25 && isListed(); i += 1) await new Promise((resolve) => setTimeout(resolve, 40));
  return !isListed();
}

/**
 * Removes a phone with two presses. On a slow machine the confirmation may expire before the second press, and both are repeated.
 * @param {import('../support/phones.mjs').Phone} phone
 * @param {string} name
 */
async function removePhone(phone, name) {
  const press = (/** @type {string} */ label) =>
    phone.page.getByRole('button', { name: label, exact: true }).click({ timeout: 5_000 }).catch(() => {});
  const deadline = Date.now() + 2 * WAIT_TIMEOUT_MS;
  do {
    await press(`Remove ${name}`);
    await press(`Really remove ${name}?`);
    if (await phone.evaluate(rowDisappears, name)) return;
  } while (Date.now() < deadline);
  assert.fail(`${name} was not removed`);
}

test('a removed phone stops and names its remover; others keep playing', (t) =>
  withRoom(t, browser, { names: ['Ada', 'Ben', 'Cay'] }, async ([ada, ben, cay]) => {
    await ada.press('Play');
    await Promise.all([ada, ben, cay].map((phone) => phone.waitForPlayback()));
    await openPairedList(ada);
    assert.deepEqual(await ada.evaluate(pairedRows), ['Ben here', 'Cay here']);
    await removePhone(ada, 'Ben');

    await ben.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
    await ben.waitFor('the message that names the remover', () => {
      const error = document.querySelector('#join-error');
      return error.role === 'alert' && error.textContent === 'Ada has removed this phone.';
    });
    await ben.waitForSilence();
    await ada.waitFor('the row of the removed phone to disappear', () => document.querySelectorAll('[aria-label="Paired phones"] li').length === 1);
    assert.equal(await ada.evaluate(() => document.activeElement?.textContent.trim()), 'Other phones 1', 'focus must move to the section heading');
    await cay.waitFor('the message about the removal', () => [...document.querySelectorAll('[role=alert]')].some((toast) => toast.textContent === 'Ada has removed Ben.'));
    await Promise.all([ada, cay].map((phone) => phone.waitForPlayback()));

    // Pairing with the code makes a new member.
    await ben.page.getByLabel('Pairing code').fill(PAIRING_CODE);
    await ben.press('Join');
    await ben.waitForPlayback();
    await ada.waitFor('the new member in the list', () => document.querySelectorAll('[aria-label="Paired phones"] li').length === 2);
    assert.deepEqual(ben.errors, []);
  }));

test('a double click or a held key does not confirm a removal', (t) =>
  withRoom(t, browser, { names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    await openPairedList(ada);
    const button = (/** @type {string} */ name) => ada.page.getByRole('button', { name, exact: true });
    // The confirmation may expire before the check, so the page records that it was shown.
    await ada.evaluate(() => {
      const record = () => (globalThis.hasShownConfirmation ||= document.querySelector('[aria-label="Really remove Ben?"]') !== null);
      new MutationObserver(record).observe(document.querySelector('#paired-list'), { subtree: true, childList: true, attributes: true });
    });
    const waitForExpiredConfirmation = async () => {
      await ada.waitFor('the confirmation', () => globalThis.hasShownConfirmation);
      await ada.waitFor('the confirmation to expire', () => document.querySelector('[aria-label="Remove Ben"]'));
      await ada.evaluate(() => void (globalThis.hasShownConfirmation = false));
    };
    await button('Remove Ben').dblclick();
    await waitForExpiredConfirmation();
    await button('Remove Ben').focus();
    // Repeated keydown without keyup is how a held key repeats.
    for (let i = 0; i < 4; i += 1) await ada.page.keyboard.down('Enter');
    await ada.page.keyboard.up('Enter');
    await waitForExpiredConfirmation();
    assert.deepEqual(await ada.evaluate(pairedRows), ['Ben here']);
    await ben.waitForStatus('paused');
  }));

test('a phone removed during its absence returns to the join view', (t) =>
  withRoom(t, browser, { names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    const { page } = ben;
    await page.goto('about:blank');
    await openPairedList(ada);
    await ada.waitFor('the phone to be listed as away', () => document.querySelector('[aria-label="Paired phones"] .activity').textContent === 'away');
    await removePhone(ada, 'Ben');
    await ada.waitFor('an empty list of paired phones', () => document.querySelector('#paired-empty').checkVisibility());
    await page.goBack();
    await ben.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
  }));

test('200 paired phones are listed with buttons of at least 44 px', (t) =>
  withRoom(t, browser, { names: ['Ada'] }, async ([ada], server) => {
    const pair = (/** @type {number} */ i) => fetch(new URL('/pair', server.url('127.0.0.1')), { method: 'POST', body: JSON.stringify({ code: PAIRING_CODE, clientName: `Guest ${i} ${'of the house '.repeat(i % 4)}` }) });
    for (let i = 0; i < 200; i += 20) await Promise.all(Array.from({ length: 20 }, (_, offset) => pair(i + offset)));
    await openPairedList(ada);
    await ada.waitFor('200 paired phones', () => document.querySelectorAll('[aria-label="Paired phones"] li').length === 200);
    const tooSmallOrClippedCount = await ada.evaluate(() => [...document.querySelectorAll('[aria-label="Paired phones"] button')].filter((button) => {
      const { width, height, right } = button.getBoundingClientRect();
      return width < 44 || height < 44 || right > innerWidth;
    }).length);
    assert.equal(tooSmallOrClippedCount, 0);
    await removePhone(ada, await ada.evaluate(() => document.querySelector('[aria-label="Paired phones"] li:last-child .member-name').textContent));
    await ada.waitFor('199 paired phones', () => document.querySelector('#paired .count').textContent === '199');
  }));
