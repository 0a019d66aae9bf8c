// Browsers that are too old show one sentence, and browsers that lack modern colours and sizes show the whole page.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { forgetNewStyles } from '../support/old-styles.mjs';
import { openBrowser, openPhone, screenshotOnFailure } from '../support/phones.mjs';
import { DEMO_MUSIC, copyMusicFrom, startServer } from '../support/server.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
before(async () => {
  browser = await openBrowser();
  server = await startServer({ fill: copyMusicFrom(DEMO_MUSIC) });
});
after(async () => {
  await browser.close();
  await server.remove();
});

test('a browser without what iOS 15.4 has shows one sentence', async (t) => {
  const phone = await openPhone(browser, 'about:blank');
  t.after(phone.close);
  await screenshotOnFailure(t.name, () => [phone], async () => {
    await phone.page.addInitScript(() => Reflect.deleteProperty(AbortSignal.prototype, 'throwIfAborted'));
    await phone.page.goto(server.url());
    await phone.waitFor('the sentence', () => document.body.innerText.includes('This browser is too old for Lockstep'));
    const { lines, controls } = await phone.evaluate(() => ({
      lines: document.body.innerText.split('\n').filter((line) => line !== ''),
      controls: document.querySelectorAll('button, input').length,
    }));
    assert.deepEqual([lines.length, controls], [2, 0], String(lines));
  });
});

test('the sentence for old browsers is in the language of the browser', async (t) => {
  const phone = await openPhone(browser, 'about:blank', { locale: 'it-IT' });
  t.after(phone.close);
  await screenshotOnFailure(t.name, () => [phone], async () => {
    await phone.page.addInitScript(() => Reflect.deleteProperty(AbortSignal.prototype, 'throwIfAborted'));
    await phone.page.goto(server.url());
    await phone.waitFor('the sentence', () => document.documentElement.lang === 'it' && document.body.innerText.includes('Questo browser è troppo vecchio per Lockstep'));
  });
});

for (const colorScheme of /** @type {const} */ (['dark', 'light'])) {
  test(`without OKLCH and dvh the page has colours and fills the window: ${colorScheme}`, async (t) => {
    const phone = await openPhone(browser, 'about:blank', { colorScheme });
    t.after(phone.close);
    await screenshotOnFailure(t.name, () => [phone], async () => {
      await forgetNewStyles(phone.page);
      await phone.page.goto(server.url('127.0.0.1'));
      await phone.join('A guest');
      const { background, text, height, windowHeight } = await phone.evaluate(() => ({
        background: getComputedStyle(document.body).backgroundColor,
        text: getComputedStyle(document.body).color,
        height: document.querySelector('#room-view').getBoundingClientRect().height,
        windowHeight: innerHeight,
      }));
      const brightness = (/** @type {string} */ colour) => (colour.match(/\d+/g) ?? []).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3;
      const [dark, bright] = colorScheme === 'dark' ? [background, text] : [text, background];
      assert.ok(brightness(dark) < 45 && brightness(bright) > 225, `${text} on ${background}`);
      assert.equal(height, windowHeight);
    });
  });
}
