// The page below a base path: everything that it loads and installs stays below that path.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser, openPhone, screenshotOnFailure } from '../support/phones.mjs';
import { DEMO_MUSIC, copyMusicFrom, startServer } from '../support/server.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
before(async () => {
  browser = await openBrowser();
  server = await startServer({ fill: copyMusicFrom(DEMO_MUSIC), flags: ['--base-path=/music'] });
});
after(async () => {
  await browser.close();
  await server.remove();
});

test('a phone joins, plays, invites and starts offline below the base path', async (t) => {
  // Browsers treat this address as secure, so the page has a service worker.
  const phone = await openPhone(browser, 'about:blank');
  t.after(phone.close);
  await screenshotOnFailure(t.name, () => [phone], async () => {
    /** @type {string[]} */
    const paths = [];
    phone.page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol === 'http:') paths.push(url.pathname);
    });
    const pageUrl = `${server.url('127.0.0.1')}music/`;
    await phone.page.goto(pageUrl.slice(0, -1));
    assert.equal(phone.page.url(), pageUrl);
    await phone.join('Ada');
    await phone.press('Play');
    await phone.waitForPlayback();
    await phone.press('Invite');
    await phone.waitFor('the QR code', () => /** @type {HTMLImageElement} */ (document.querySelector('#invite-qr')).naturalWidth > 100);
    await phone.waitFor('the address', (address) => document.querySelector('#invite-address').textContent === address, pageUrl.slice('http://'.length));
    assert.ok(paths.some((path) => path.startsWith('/music/cover/')), `no cover was requested: ${paths}`);
    assert.deepEqual(paths.filter((path) => !/^\/music(\/|$)/.test(path)), []);
    const [cookie] = await phone.page.context().cookies(pageUrl);
    assert.equal(cookie?.path, '/music/');

    await phone.waitFor('the service worker', () => navigator.serviceWorker.controller !== null || navigator.serviceWorker.ready.then(() => true));
    assert.equal(await phone.page.evaluate(async () => new URL((await navigator.serviceWorker.ready).scope).pathname), '/music/');
    await phone.page.waitForFunction(async () => {
      const names = await caches.keys();
      return names.some((name) => name.startsWith('lockstep-shell-/music/')) && (await caches.match('/music/app.css')) !== undefined;
    });
    await server.stop();
    await phone.page.reload();
    assert.equal(await phone.page.title(), 'Lockstep');
    await server.start();
    assert.deepEqual(phone.errors, []);
  });
});
