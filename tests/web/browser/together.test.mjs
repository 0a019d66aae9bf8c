// The main job: people join, somebody presses, and every phone does the same.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { journey, openBrowser, openPhone } from '../support/phones.mjs';
import { CODE, DEMO_MUSIC, copies, startServer } from '../support/server.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const origins = [
  { name: 'a page that is not secure', host: 'party.lan', kept: 'IndexedDB', secure: false },
  { name: 'a secure page', host: 'localhost', kept: 'Cache Storage', secure: true },
];

for (const { name, host, kept, secure } of origins) {
  test(`two phones play one song together from ${name}`, async (t) => {
    const server = await startServer({ fill: copies(DEMO_MUSIC) });
    t.after(server.end);
    const ada = await openPhone(browser, server.url(host));
    const ben = await openPhone(browser, server.url(host));
    const both = [ada, ben];
    t.after(() => Promise.all(both.map((phone) => phone.close())));
    const onBoth = (/** @type {(phone: typeof ada) => Promise<unknown>} */ step) => Promise.all(both.map(step));

    await journey(`together-${host}`, () => both, async () => {
      assert.equal(await ada.read(() => isSecureContext), secure);
      await ada.until('the code, filled in', (code) => document.querySelector('#join-code').value === code, CODE);
      await ada.join('Ada');
      await ben.join('Ben');
      await onBoth((phone) => phone.seesListener('Ada'));
      await onBoth((phone) => phone.seesListener('Ben'));
      await ada.seesListener('Ada \\(you\\)');
      await onBoth((phone) => phone.holds(2));
      const [first, second, third, fourth] = await openedQueue(ada);

      await ada.press('Play');
      await onBoth((phone) => phone.sounds());
      await onBoth((phone) => phone.offers('Pause'));
      await onBoth((phone) => phone.status('in step'));
      await onBoth((phone) => phone.seesListener('Ben.* playing'));
      const [a, b] = await onBoth((phone) => phone.position());
      assert.ok(Math.abs(a - b) < 0.3, `${a} and ${b} are one place`);

      await ben.press('Pause');
      await onBoth((phone) => phone.silent());
      await onBoth((phone) => phone.offers('Play'));
      await onBoth((phone) => phone.status('paused'));

      await ben.press('Play');
      await onBoth((phone) => phone.sounds());
      await ada.page.getByRole('slider', { name: 'Position' }).focus();
      const jump = (await ada.position()) + 5;
      await ada.page.keyboard.press('ArrowRight');
      await onBoth((phone) => phone.until('the seek', (p) => document.querySelector('audio').currentTime > p - 1, jump));
      await onBoth((phone) => phone.sounds());

      await ada.press('Next');
      await onBoth((phone) => phone.seesTitle(second));
      await onBoth((phone) => phone.sounds());

      await onBoth((phone) => phone.open('Queue'));
      assert.deepEqual((await ben.queue()).slice(0, 3), [second, third, fourth]);
      await ben.press(`Play ${fourth} next`);
      await onBoth((phone) =>
        phone.until('the nudge', (title) => document.querySelector('#queue-pinned .next .title').textContent === title, fourth),
      );
      assert.deepEqual((await ada.queue()).slice(0, 3), [second, fourth, third]);
      assert.equal((await ada.queue()).at(-1), first, 'what was played is last in the ring');

      await ada.press('Settings');
      await ada.until('what is kept', (text) => document.querySelector('#settings-storage').textContent.includes(text), kept);
      for (const phone of both) assert.deepEqual(phone.errors, []);
    });
  });
}

/** The queue's titles, read where they are shown. @param {Awaited<ReturnType<typeof openPhone>>} phone */
async function openedQueue(phone) {
  await phone.open('Queue');
  await phone.until('rows', () => document.querySelectorAll('#queue-rest .row:not([hidden])').length > 1);
  const titles = await phone.queue();
  await phone.open('Now');
  return titles;
}
