// The service worker: the cached page starts offline, and a newer version from the server replaces it unless the page is in use.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isPageCached } from '../support/page-checks.mjs';
import { openBrowser, openPhone, screenshotOnFailure } from '../support/phones.mjs';
import { startServer } from '../support/server.mjs';
import { tones } from '../support/tones.mjs';
import { openVersionProxy } from '../support/version-proxy.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
before(async () => {
  browser = await openBrowser();
  server = await startServer({ fill: tones({ One: 60, Two: 60 }) });
});
after(async () => {
  await browser.close();
  await server.remove();
});

/** Runs in the page: for each cached version, the paths in its cache. */
async function cachedPathsByVersion() {
  const names = (await caches.keys()).filter((name) => name.startsWith('lockstep-shell-'));
  return Promise.all(
    names.map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => new URL(url).pathname)),
  );
}

/** @param {import('node:test').TestContext} t @param {string} url */
async function openPage(t, url) {
  const phone = await openPhone(browser, url);
  t.after(phone.close);
  return phone;
}

/**
 * Makes the service worker wait 30 times longer for the server before it starts the page from the cache, so that a slow machine does
 * not start an outdated page.
 * @param {import('../support/phones.mjs').Phone} phone
 */
async function extendWorkerTimeout(phone) {
  const [worker] = phone.page.context().serviceWorkers();
  assert.ok(worker, 'the page must have a service worker');
  await worker.evaluate(() => {
    const original = globalThis.setTimeout;
    globalThis.setTimeout = /** @type {any} */ ((callback, ms, ...args) => original(callback, 30 * ms, ...args));
  });
}

/** @param {import('node:test').TestContext} t */
const openProxy = async (t) => {
  const proxy = await openVersionProxy(server.url('127.0.0.1'));
  t.after(proxy.stop);
  return proxy;
};

test('a cached page starts offline and joins when the server is back', async (t) => {
  const proxy = await openProxy(t);
  const ada = await openPage(t, proxy.url());
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.waitFor('the page to be cached', isPageCached);
    await proxy.stop();
    await ada.page.reload();
    await ada.waitFor('the message that the server cannot be reached', () => document.querySelector('#start-error').textContent.includes('cannot be reached'));
    await proxy.start();
    await ada.waitFor('the room view', () => !document.querySelector('#room-view').hidden);
    await ada.press('Play');
    await ada.waitForPlayback();
    // Later tests use the same room, which must be paused.
    await ada.press('Pause');
    assert.deepEqual(ada.errors, []);
  });
});

test('the first load from a newer server caches the new version', async (t) => {
  const proxy = await openProxy(t);
  const ada = await openPage(t, proxy.url());
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.waitFor('the page to be cached', isPageCached);
    await ada.page.reload();
    assert.equal(await ada.page.title(), 'Lockstep');

    await extendWorkerTimeout(ada);
    proxy.reportVersion('Second');
    await ada.page.reload();
    assert.equal(await ada.page.title(), 'Lockstep Second');
    await ada.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
    const pathsByVersion = await ada.evaluate(cachedPathsByVersion);
    assert.equal(pathsByVersion.length, 1, 'exactly one version must be cached');

    await proxy.stop();
    await ada.page.reload();
    assert.equal(await ada.page.title(), 'Lockstep Second');
  });
});

test('a cached page starts within four seconds if the server hangs', async (t) => {
  const proxy = await openProxy(t);
  const ada = await openPage(t, proxy.url());
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.waitFor('the page to be cached', isPageCached);
    proxy.stopResponding();
    const startMs = performance.now();
    await ada.page.reload({ waitUntil: 'commit' });
    await ada.waitFor('the cached page', () => document.querySelector('.splash')?.checkVisibility() && document.title === 'Lockstep');
    const elapsedMs = performance.now() - startMs;
    assert.ok(elapsedMs < 4_000, `the page appeared after ${elapsedMs} ms`);
  });
});

test('a page from the cache reloads once for a newer server', async (t) => {
  const proxy = await openProxy(t);
  const ada = await openPage(t, proxy.url());
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.waitFor('the page to be cached', isPageCached);
    await ada.page.reload();
    proxy.reportVersion('Second');
    const sendVersion = proxy.delayVersionResponse();
    await ada.page.reload();
    assert.equal(await ada.page.title(), 'Lockstep');
    await ada.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
    let loadCount = 0;
    ada.page.on('load', () => (loadCount += 1));
    sendVersion();
    await ada.waitFor('the newer version of the page', () => document.title === 'Lockstep Second' && !document.querySelector('#join-view').hidden);
    await ada.join('Ada');
    assert.equal(loadCount, 1);
    assert.deepEqual(ada.errors, []);
  });
});

test('a page in use is not reloaded for a newer server', async (t) => {
  const proxy = await openProxy(t);
  const ada = await openPage(t, proxy.url());
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.waitFor('the page to be cached', isPageCached);
    await ada.page.reload();
    proxy.reportVersion('Second');
    const sendVersion = proxy.delayVersionResponse();
    await ada.page.reload();
    await ada.join('Ada');
    await ada.evaluate(() => navigator.serviceWorker.addEventListener('message', () => (globalThis.hasMessage = true)));
    sendVersion();
    await ada.waitFor('the message from the service worker', () => globalThis.hasMessage);
    await ada.press('Play');
    await ada.waitForPlayback();
    assert.equal(await ada.evaluate(() => globalThis.hasMessage), true, 'the page must not have been reloaded');
  });
});

test('a cached page requests only the version from the server', async (t) => {
  const proxy = await openProxy(t);
  const ada = await openPage(t, proxy.url());
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.waitFor('the page to be cached', isPageCached);
    await ada.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
    proxy.takeRequestedPaths();
    await ada.page.reload();
    await ada.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
    const pagePaths = proxy.takeRequestedPaths().filter((path) => /^\/($|js|css|app|shell|sw|icons|manifest)/.test(path) && path !== '/sw.js');
    assert.deepEqual(pagePaths, ['/shell.json']);
  });
});

test('no dynamic response is cached', async (t) => {
  const proxy = await openProxy(t);
  const ada = await openPage(t, proxy.url());
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.waitFor('the page to be cached', isPageCached);
    await ada.page.reload();
    await ada.join('Ada');
    await ada.waitForStoredTracks(2);
    await ada.press('Invite');
    const [paths] = await ada.evaluate(cachedPathsByVersion);
    const { files } = await ada.evaluate(() => fetch('/shell.json').then((response) => response.json()));
    assert.deepEqual(paths.toSorted(), files.toSorted());
    for (const path of ['/index', '/events', '/snapshot', '/clock', '/code', '/qr', '/healthz']) {
      assert.ok(!paths.includes(path), `${path} is cached`);
    }
    proxy.takeRequestedPaths();
    const statuses = await ada.evaluate(() => Promise.all(['/index', '/snapshot', '/clock'].map((path) => fetch(path).then(({ status }) => status))));
    assert.deepEqual(statuses, [200, 200, 200]);
    assert.deepEqual(proxy.takeRequestedPaths().filter((path) => ['/index', '/snapshot'].includes(path)).toSorted(), ['/index', '/snapshot']);
  });
});

test('another app at the same address replaces the cached page', async (t) => {
  const proxy = await openProxy(t);
  const ada = await openPage(t, proxy.url());
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.waitFor('the page to be cached', isPageCached);
    await extendWorkerTimeout(ada);
    proxy.serveOtherApp('<!doctype html><title>Another app</title>');
    await ada.page.reload();
    assert.equal(await ada.page.title(), 'Another app');
    assert.deepEqual(await ada.evaluate(cachedPathsByVersion), []);
  });
});

test('an insecure page registers no service worker and works', async (t) => {
  const ada = await openPage(t, server.url());
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.join('Ada');
    assert.equal(await ada.evaluate(() => isSecureContext || 'serviceWorker' in navigator), false);
    await ada.waitForStoredTracks(2);
    assert.deepEqual(ada.errors, []);
  });
});

test('iOS gets no manifest, because installed pages may lose sound there', async (t) => {
  const ada = await openPage(t, server.url());
  assert.equal(await ada.evaluate(() => document.querySelectorAll('link[rel=manifest]').length), 1);
  await ada.page.addInitScript(() => Object.assign(globalThis, { GestureEvent: Event }));
  await ada.page.reload();
  await ada.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
  assert.equal(await ada.evaluate(() => document.querySelectorAll('link[rel=manifest]').length), 0);
  assert.deepEqual(ada.errors, []);
});

test('the manifest’s queue shortcut opens the queue', async (t) => {
  const ada = await openPage(t, `${server.url('localhost')}#queue`);
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.waitFor('the queue panel', () => !document.querySelector('#panel-queue').hidden && document.querySelector('#panel-now').hidden);
  });
});

test('a secure page is installable', async (t) => {
  const ada = await openPage(t, server.url('localhost'));
  await ada.waitFor('the page to be cached', isPageCached);
  const { installabilityErrors } = await ada.cdp.send('Page.getInstallabilityErrors');
  // Playwright's contexts are incognito windows, which cannot install pages.
  assert.deepEqual(installabilityErrors.filter(({ errorId }) => errorId !== 'in-incognito'), []);
  const { errors, url } = await ada.cdp.send('Page.getAppManifest');
  assert.ok(url.endsWith('/manifest.webmanifest'));
  assert.deepEqual(errors, []);
});
