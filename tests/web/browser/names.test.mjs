// Who is here: names that change, names in any script, people who go away; and how the next guest is told.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { journey, openBrowser, openPhone } from '../support/phones.mjs';
import { CODE, startServer } from '../support/server.mjs';
import { tones } from '../support/tones.mjs';

/**
 * @param {import('node:test').TestContext} t
 * @param {(open: (name: string) => Promise<import('../support/phones.mjs').Phone>) => Promise<void>} steps
 */
async function house(t, steps) {
  const browser = await openBrowser();
  t.after(() => browser.close());
  const server = await startServer({ fill: tones({ 'Alpha Dance': 30, 'Beta Waltz': 30 }) });
  t.after(server.end);
  /** @type {import('../support/phones.mjs').Phone[]} */
  const phones = [];
  await journey(t.name, () => phones, () =>
    steps(async (name) => {
      const phone = await openPhone(browser, server.url());
      phones.push(phone);
      await phone.join(name);
      return phone;
    }),
  );
}

test('a phone gives itself another name, everybody sees it, and it joins by that name again', (t) =>
  house(t, async (open) => {
    const [ada, ben] = [await open('Ada'), await open('Ben')];
    await ada.press('Settings');
    const name = ada.page.getByLabel('Name', { exact: true });
    assert.equal(await name.inputValue(), 'Ada');
    await name.fill('Countess');
    await name.press('Enter');
    await ben.seesListener('^.?Countess ready');
    await ada.seesListener('Countess \\(you\\)');
    await ada.press('Leave');
    await ada.until('the door', () => !document.querySelector('#join-view').hidden);
    await ada.until('the new name', () => document.querySelector('#join-name').value === 'Countess');
  }));

test('somebody whose phone is gone is away; somebody who left is gone', (t) =>
  house(t, async (open) => {
    const [ada, ben, cay] = [await open('Ada'), await open('Ben'), await open('Cay')];
    await ada.seesListener('Cay');
    await ben.close();
    await ada.seesListener('Ben away');
    await cay.press('Settings');
    await cay.press('Leave');
    await ada.until('two chips', () => document.querySelectorAll('[aria-label=Listeners] li').length === 2);
    assert.match((await ada.listeners()).join(', '), /Ada \(you\).*Ben away$/);
  }));

test('names from right to left, and names without end, break no line', (t) =>
  house(t, async (open) => {
    await open('ليلى بنت الحكاية');
    await open('אבגד (x) 12');
    await open('Wilhelmina'.repeat(4));
    const ada = await open('Ada');
    await ada.seesListener('Wilhelmina');
    await ada.until('four chips', () => document.querySelectorAll('.listener').length === 4);
    const broken = await ada.read(() =>
      [...document.querySelectorAll('.listener')].filter((chip) => {
        const [face, who, doing] = ['.face', '.who', '.doing'].map((part) => chip.querySelector(part).getBoundingClientRect());
        const inOrder = face.right <= who.left && who.right <= doing.left && doing.right <= chip.getBoundingClientRect().right;
        return !inOrder || chip.offsetHeight > 44 || chip.getBoundingClientRect().right > innerWidth;
      }).map((chip) => chip.textContent),
    );
    assert.deepEqual(broken, []);
  }));

test('where there is a share sheet, it is given the address that this phone came by, and the code', (t) =>
  house(t, async (open) => {
    const ada = await open('Ada');
    assert.equal(await ada.read(() => document.querySelector('#invite-share').hidden), true);
    await ada.page.addInitScript(() => {
      Navigator.prototype.share = async (what) => void (globalThis.shared = what);
    });
    await ada.page.reload();
    await ada.until('the room', () => !document.querySelector('#room-view').hidden);
    await ada.press('Invite');
    await ada.until('the code', (code) => document.querySelector('#invite-code').textContent === code, CODE);
    await ada.press('Share');
    const { url, text } = await ada.until('what is shared', () => globalThis.shared);
    assert.equal(url, await ada.read(() => `${location.origin}/`));
    assert.match(text, new RegExp(CODE));
  }));
