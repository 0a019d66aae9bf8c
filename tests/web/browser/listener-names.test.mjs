// The list of listeners: renaming, names in any script, large text, departures; and the share sheet.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBrowser, openPhone, screenshotOnFailure } from '../support/phones.mjs';
import { PAIRING_CODE, startServer } from '../support/server.mjs';
import { tones } from '../support/tones.mjs';

/**
 * @param {import('node:test').TestContext} t
 * @param {(joinPhone: (name: string, options?: object) => Promise<import('../support/phones.mjs').Phone>) => Promise<void>} steps
 */
async function withPhones(t, steps) {
  const browser = await openBrowser();
  t.after(() => browser.close());
  const server = await startServer({ fill: tones({ 'Alpha Dance': 30, 'Beta Waltz': 30 }) });
  t.after(server.remove);
  /** @type {import('../support/phones.mjs').Phone[]} */
  const phones = [];
  await screenshotOnFailure(t.name, () => phones, () =>
    steps(async (name, options) => {
      const phone = await openPhone(browser, server.url(), options);
      phones.push(phone);
      await phone.join(name);
      return phone;
    }),
  );
}

test('a new name appears on every phone and fills the join form', (t) =>
  withPhones(t, async (joinPhone) => {
    const [ada, ben] = [await joinPhone('Ada'), await joinPhone('Ben')];
    await ada.press('Settings');
    const name = ada.page.getByLabel('Name', { exact: true });
    assert.equal(await name.inputValue(), 'Ada');
    await name.fill('Countess');
    await name.press('Enter');
    await ben.waitForListener('^.?Countess ready');
    await ada.waitForListener('Countess \\(you\\)');
    await ada.press('Leave');
    await ada.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
    await ada.waitFor('the new name in the join form', () => document.querySelector('#join-name').value === 'Countess');
  }));

test('a disconnected phone is shown as away, an unpaired one disappears', (t) =>
  withPhones(t, async (joinPhone) => {
    const [ada, ben, cay] = [await joinPhone('Ada'), await joinPhone('Ben'), await joinPhone('Cay')];
    await ada.waitForListener('Cay');
    await ben.close();
    await ada.waitForListener('Ben away');
    await cay.press('Settings');
    await cay.press('Leave');
    await ada.waitFor('two listener chips', () => document.querySelectorAll('[aria-label=Listeners] li').length === 2);
    assert.match((await ada.memberRows()).join(', '), /Ada \(you\).*Ben away$/);
  }));

test('right-to-left and very long names do not break the layout', (t) =>
  withPhones(t, async (joinPhone) => {
    await joinPhone('ليلى بنت الحكاية');
    await joinPhone('אבגד (x) 12');
    await joinPhone('Wilhelmina'.repeat(4));
    const ada = await joinPhone('Ada');
    await ada.waitForListener('Wilhelmina');
    await ada.waitFor('four listener chips', () => document.querySelectorAll('.listener').length === 4);
    const misplaced = await ada.evaluate(() =>
      [...document.querySelectorAll('.listener')].filter((chip) => {
        const [avatar, name, activity] = ['.avatar', '.member-name', '.activity'].map((selector) => chip.querySelector(selector).getBoundingClientRect());
        const isInOrder = avatar.right <= name.left && name.right <= activity.left && activity.right <= chip.getBoundingClientRect().right;
        return !isInOrder || chip.offsetHeight > 44 || chip.getBoundingClientRect().right > innerWidth;
      }).map((chip) => chip.textContent),
    );
    assert.deepEqual(misplaced, []);
  }));

test('Share passes the page’s address and the pairing code to the system', (t) =>
  withPhones(t, async (joinPhone) => {
    const ada = await joinPhone('Ada');
    assert.equal(await ada.evaluate(() => document.querySelector('#invite-share').hidden), true);
    await ada.page.addInitScript(() => {
      Navigator.prototype.share = async (data) => void (globalThis.shared = data);
    });
    await ada.page.reload();
    await ada.waitFor('the room view', () => !document.querySelector('#room-view').hidden);
    await ada.press('Invite');
    await ada.waitFor('the pairing code', (code) => document.querySelector('#invite-code').textContent === code, PAIRING_CODE);
    await ada.press('Share');
    const { url, text } = await ada.waitFor('the shared data', () => globalThis.shared);
    assert.equal(url, await ada.evaluate(() => `${location.origin}/`));
    assert.match(text, new RegExp(PAIRING_CODE));
  }));

test('listener chips in large text show name and activity', (t) =>
  withPhones(t, async (joinPhone) => {
    const ada = await joinPhone('Bartholomew the Third', { viewport: { width: 320, height: 568 } });
    await ada.waitForListener('Bartholomew');
    await ada.evaluate(() => (document.documentElement.style.fontSize = '200%'));
    const chips = await ada.evaluate(() => [...document.querySelectorAll('.listener')].map((chip) => {
      chip.querySelector('.activity').textContent = 'downloading 43 %';
      const right = chip.getBoundingClientRect().right;
      const [name, activity] = ['.member-name', '.activity'].map((selector) => chip.querySelector(selector).getBoundingClientRect());
      return { nameWidthPx: name.width, isOverflowing: Math.max(name.right, activity.right) > right || right > innerWidth };
    }));
    assert.equal(chips.length, 1);
    for (const { nameWidthPx, isOverflowing } of chips) assert.ok(nameWidthPx > 60 && !isOverflowing, JSON.stringify(chips));
  }));
