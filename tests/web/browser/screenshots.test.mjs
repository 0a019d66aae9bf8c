// Screenshots of every view on two devices and in both themes, for manual review.

import { after, before, test } from 'node:test';
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

const DEVICES = { phone: { width: 390, height: 844 }, desk: { width: 1280, height: 800 } };

for (const [device, viewport] of Object.entries(DEVICES)) {
  for (const colorScheme of /** @type {const} */ (['dark', 'light'])) {
    test(`saves screenshots of every view: ${device}, ${colorScheme} theme`, async (t) => {
      const phone = await openPhone(browser, server.url(), { viewport, colorScheme, isMobile: device === 'phone', hasTouch: device === 'phone' });
      t.after(phone.close);
      await screenshotOnFailure(t.name, () => [phone], async () => {
        const screenshot = (/** @type {string} */ view) => phone.screenshot(`${view}-${device}-${colorScheme}`);
        const waitForAnimations = () => phone.waitFor('the end of all animations', () => document.getAnimations().every((animation) => animation.playState !== 'running' || animation.effect.getTiming().iterations === Infinity));
        await phone.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
        await screenshot('join');
        await phone.join(`${device} ${colorScheme}`);
        await phone.waitForStoredTracks(2);
        // Skips the track without a cover.
        const hasNoCover = await phone.evaluate(() => !document.querySelector('#now-cover img').hasAttribute('src'));
        if (hasNoCover) await phone.press('Next');
        else if (await phone.evaluate(() => document.querySelector('#play').ariaLabel === 'Play')) await phone.press('Play');
        await phone.waitForPlayButton('Pause');
        await phone.waitForStatus('in step');
        await phone.waitFor('the cover to load', () => document.querySelector('#now-cover img.loaded'));
        await waitForAnimations();
        await screenshot('now');
        await phone.openTab('Queue');
        await waitForAnimations();
        await screenshot('queue');
        await phone.openTab('Now');
        for (const sheet of ['Invite', 'Settings']) {
          await phone.press(sheet);
          await phone.waitFor('the QR code', () => document.querySelector('#invite-qr').naturalWidth > 0);
          await waitForAnimations();
          await screenshot(sheet.toLowerCase());
          await phone.page.keyboard.press('Escape');
        }
      });
    });
  }
}
