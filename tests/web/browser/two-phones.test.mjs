// The main use: two phones join, play, pause, seek and skip together.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser, openPhone, screenshotOnFailure, waitForSameTrackStart } from '../support/phones.mjs';
import { DEMO_MUSIC, PAIRING_CODE, copyMusicFrom, startServer } from '../support/server.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const origins = [
  { name: 'an insecure page', host: 'party.lan', backend: 'IndexedDB', isSecure: false },
  { name: 'a secure page', host: 'localhost', backend: 'Cache Storage', isSecure: true },
];

for (const { name, host, backend, isSecure } of origins) {
  test(`two phones play one track together on ${name}`, async (t) => {
    const server = await startServer({ fill: copyMusicFrom(DEMO_MUSIC) });
    t.after(server.remove);
    const ada = await openPhone(browser, server.url(host));
    const ben = await openPhone(browser, server.url(host));
    const both = [ada, ben];
    t.after(() => Promise.all(both.map((phone) => phone.close())));
    const onBoth = (/** @type {(phone: typeof ada) => Promise<unknown>} */ step) => Promise.all(both.map(step));

    await screenshotOnFailure(`two-phones-${host}`, () => both, async () => {
      assert.equal(await ada.evaluate(() => isSecureContext), isSecure);
      await ada.waitFor('the prefilled pairing code', (code) => document.querySelector('#join-code').value === code, PAIRING_CODE);
      await ada.join('Ada');
      await ben.join('Ben');
      await onBoth((phone) => phone.waitForListener('Ada'));
      await onBoth((phone) => phone.waitForListener('Ben'));
      await ada.waitForListener('Ada \\(you\\)');
      await onBoth((phone) => phone.waitForStoredTracks(2));
      const [first, second, third, fourth] = await readQueue(ada);

      await ada.press('Play');
      await onBoth((phone) => phone.waitForPlayback());
      await onBoth((phone) => phone.waitForPlayButton('Pause'));
      await onBoth((phone) => phone.waitForStatus('in step'));
      await onBoth((phone) => phone.waitForListener('Ben.* playing'));
      await waitForSameTrackStart([ada, ben]);

      await ben.press('Pause');
      await onBoth((phone) => phone.waitForSilence());
      await onBoth((phone) => phone.waitForPlayButton('Play'));
      await onBoth((phone) => phone.waitForStatus('paused'));

      await ben.press('Play');
      await onBoth((phone) => phone.waitForPlayback());
      await ada.page.getByRole('slider', { name: 'Position' }).focus();
      const targetSec = (await ada.positionSec()) + 5;
      await ada.page.keyboard.press('ArrowRight');
      await onBoth((phone) => phone.waitFor('the position of the seek', (target) => document.querySelector('audio').currentTime > target - 1, targetSec));
      await onBoth((phone) => phone.waitForPlayback());

      await ada.press('Next');
      await onBoth((phone) => phone.waitForTitle(second));
      await onBoth((phone) => phone.waitForPlayback());

      await onBoth((phone) => phone.openTab('Queue'));
      assert.deepEqual((await ben.queueTitles()).slice(0, 3), [second, third, fourth]);
      await ben.press(`Play ${fourth} next`);
      await onBoth((phone) =>
        phone.waitForNextUp(fourth),
      );
      assert.deepEqual((await ada.queueTitles()).slice(0, 3), [second, fourth, third]);
      assert.equal((await ada.queueTitles()).at(-1), first, 'the skipped track must be last in the queue');

      await ada.press('Settings');
      await ada.waitFor('the storage backend in Settings', (text) => document.querySelector('#settings-storage').textContent.includes(text), backend);
      for (const phone of both) assert.deepEqual(phone.errors, []);
    });
  });
}

/** Opens the queue, and returns its titles. @param {Awaited<ReturnType<typeof openPhone>>} phone */
async function readQueue(phone) {
  await phone.openTab('Queue');
  await phone.waitFor('rows in the queue', () => document.querySelectorAll('#queue-rows .row:not([hidden])').length > 1);
  const titles = await phone.queueTitles();
  await phone.openTab('Now');
  return titles;
}
