// What axe-core has to say of every view, in both themes; and that what music says of itself is text.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { journey, openBrowser, openPhone } from '../support/phones.mjs';
import { CODE, DEMO_MUSIC, copies, startServer } from '../support/server.mjs';
import { tone } from '../support/tones.mjs';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds, as `rule: element`. Animations over, since a text that fades in is faint. */
async function findings(/** @type {import('../support/phones.mjs').Phone} */ phone) {
  const still = () => document.getAnimations().every((motion) => motion.playState !== 'running' || motion.effect.getTiming().iterations === Infinity);
  await phone.until('an end of motion', still);
  await phone.cdp.send('Runtime.evaluate', { expression: AXE });
  return phone.read(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] });
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 120)}`));
  });
}

for (const colorScheme of /** @type {const} */ (['dark', 'light'])) {
  test(`axe-core finds nothing in any view: ${colorScheme}`, async (t) => {
    const browser = await openBrowser();
    t.after(() => browser.close());
    const server = await startServer({ fill: copies(DEMO_MUSIC), flags: ['--tls'] });
    t.after(server.end);
    const ada = await openPhone(browser, server.url(), { colorScheme });
    await journey(t.name, () => [ada], async () => {
      await ada.until('the code', () => document.querySelector('#join-code').value.length === 6);
      assert.deepEqual(await findings(ada), [], 'Join');
      await ada.join('Ada');
      await ada.holds(2);
      assert.deepEqual(await findings(ada), [], 'Now, at rest');
      await ada.press('Play');
      await ada.status('in step');
      assert.deepEqual(await findings(ada), [], 'Now, playing');
      await ada.open('Queue');
      assert.deepEqual(await findings(ada), [], 'Queue');
      await ada.page.getByRole('searchbox', { name: 'Filter' }).fill('nothing like it');
      assert.deepEqual(await findings(ada), [], 'Queue, nothing found');
      for (const sheet of ['Invite', 'Settings']) {
        await ada.press(sheet);
        if (sheet === 'Settings') for (const more of ['Sync figures', 'Install on this phone']) await ada.page.getByText(more).click();
        assert.deepEqual(await findings(ada), [], sheet);
        await ada.page.keyboard.press('Escape');
      }
    });
  });
}

test('a title with markup in it is that text everywhere', async (t) => {
  const evil = '<img src=x onerror=alert(1)>';
  const browser = await openBrowser();
  t.after(() => browser.close());
  const server = await startServer({
    fill: (folder) => Promise.all([`${evil}.wav`, `${evil}2.wav`].map((name, i) => writeFile(join(folder, name), tone(20 + i)))),
  });
  t.after(server.end);
  const ada = await openPhone(browser, server.url());
  await journey(t.name, () => [ada], async () => {
    let alerts = 0;
    ada.page.on('dialog', (dialog) => {
      alerts += 1;
      dialog.dismiss();
    });
    await ada.join(evil);
    await ada.holds(2);
    await ada.seesTitle(evil);
    const texts = () => ['#now-title', '#now-next', '#dock-title', '#queue-pinned .title', '.listener .who'].map((part) => document.querySelector(part).textContent);
    assert.deepEqual(await ada.read(texts), [evil, `${evil}2`, evil, evil, evil]);
    assert.equal(await ada.page.title(), `${evil} · Lockstep`);
    await ada.open('Queue');
    await ada.press('Settings');
    assert.equal(await ada.page.getByLabel('Name', { exact: true }).inputValue(), evil);
    assert.equal(await ada.read(() => document.querySelectorAll('img[src=x]').length), 0);
    assert.equal(alerts, 0);
  });
});

test('the focus is never lost: not with a view that is left, nor with a button that goes', async (t) => {
  const browser = await openBrowser();
  t.after(() => browser.close());
  const server = await startServer({ fill: copies(DEMO_MUSIC) });
  t.after(server.end);
  const ada = await openPhone(browser, server.url());
  await journey(t.name, () => [ada], async () => {
    const focus = (/** @type {string} */ id) => ada.until(`the focus on ${id}`, (wanted) => document.activeElement.id === wanted && document.activeElement.checkVisibility(), id);
    const { keyboard } = ada.page;
    await focus('join-code');
    await ada.page.getByLabel('Pairing code').fill(CODE);
    await ada.page.getByLabel('Your name').fill('Ada');
    await keyboard.press('Enter');
    await focus('room-title');
    await ada.holds(2);
    await ada.press('Play');
    await ada.sounds();
    await ada.cdp.send('Page.reload');
    // Without the gesture that a click would be.
    await ada.until('the tap that it needs', () => {
      const listen = document.querySelector('#listen');
      listen.focus();
      return document.activeElement === listen;
    });
    await keyboard.press('Enter');
    await ada.sounds();
    await focus('play');
    await ada.press('Settings');
    await ada.page.getByRole('button', { name: 'Leave' }).focus();
    await keyboard.press('Enter');
    await focus('join-code');
  });
});
