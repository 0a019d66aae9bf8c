// Recovery from single failures: closed database connections, unreadable cache entries, proxy errors, failed covers.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { isPageCached } from '../support/page-checks.mjs';
import { openBrowser, openPhone } from '../support/phones.mjs';
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

/** @param {import('node:test').TestContext} t */
async function openPage(t, host = 'party.lan', options = {}) {
  const phone = await openPhone(browser, server.url(host), options);
  t.after(phone.close);
  return phone;
}

test('a closed IndexedDB connection is reopened for tracks and metadata', async (t) => {
  const ada = await openPage(t);
  const storedText = await ada.evaluate(async () => {
    const databases = [];
    const open = indexedDB.open.bind(indexedDB);
    indexedDB.open = (...args) => {
      const request = open(...args);
      request.addEventListener('success', () => databases.push(request.result));
      return request;
    };
    const closeAll = () => databases.splice(0).forEach((db) => db.close());
    const { openIndexedDb } = await import('/js/tracks/indexed-db.js');
    const { openIndexCache } = await import('/js/tracks/index-cache.js');
    const storage = await openIndexedDb();
    const metadata = await openIndexCache();
    const entry = { trackId: 'a', version: 'v1', mime: 'audio/wav', size: 5, receivedBytes: 5, partCount: 1, usedAtMs: 1 };
    await storage.list();
    closeAll();
    await storage.append(entry, new TextEncoder().encode('bytes').buffer);
    closeAll();
    const text = await (await storage.read(entry)).text();
    metadata.save(new Map([['zz', { trackId: 'zz', version: 'v1', tags: { title: 'Z' } }]]));
    let tracks = new Map();
    while (!tracks.has('zz')) tracks = (await openIndexCache()).storedIndex();
    await storage.clear();
    return text;
  });
  assert.equal(storedText, 'bytes');
});

test('Cache Storage drops an unreadable entry and keeps the others', async (t) => {
  const ada = await openPage(t, 'localhost');
  const remaining = await ada.evaluate(async () => {
    const { openCacheStorage } = await import('/js/tracks/cache-storage.js');
    const storage = await openCacheStorage();
    await storage.append({ trackId: 'a', version: 'v1', mime: 'audio/wav', size: 5, receivedBytes: 5, partCount: 1, usedAtMs: 1 }, new TextEncoder().encode('bytes').buffer);
    const cache = await caches.open('lockstep-tracks');
    await cache.put('/kept/b', new Response('not an entry'));
    await cache.put('/kept/b/0', new Response('a part'));
    await cache.put('/kept/c', Response.json(null));
    const ids = (await storage.list()).map(({ trackId }) => trackId);
    const paths = (await cache.keys()).map(({ url }) => new URL(url).pathname);
    await storage.clear();
    return [...ids, ...paths.sort(), (await cache.keys()).length];
  });
  assert.deepEqual(remaining, ['a', '/kept/a', '/kept/a/0', 0]);
});

test('a proxy’s error page does not replace the cached page', async (t) => {
  const port = Number(new URL(server.url()).port);
  let isDown = false;
  const proxy = createServer(async (incoming, outgoing) => {
    if (isDown) return void outgoing.writeHead(502).end('bad gateway');
    const response = await fetch(`http://127.0.0.1:${port}${incoming.url}`);
    outgoing.writeHead(response.status, { 'content-type': response.headers.get('content-type') ?? '' });
    outgoing.end(Buffer.from(await response.arrayBuffer()));
  });
  await new Promise((resolve) => void proxy.listen(0, '127.0.0.1', () => resolve(null)));
  t.after(() => (proxy.closeAllConnections(), proxy.close()));
  const ada = await openPhone(browser, `http://localhost:${/** @type {any} */ (proxy.address()).port}/`);
  t.after(ada.close);
  await ada.waitFor('the page to be cached', isPageCached);
  isDown = true;
  for (let load = 0; load < 2; load += 1) {
    await ada.page.reload();
    assert.equal(await ada.page.title(), 'Lockstep');
  }
});

test('failed covers are requested again when the server is back', async (t) => {
  const ada = await openPage(t);
  let isFailing = true;
  await ada.page.route('**/cover/**', (route) => (isFailing ? route.abort() : route.fallback()));
  let requestCount = 0;
  ada.page.on('request', (request) => (requestCount += Number(request.url().includes('/cover/'))));
  await ada.join('Ada');
  await ada.waitFor('a failed cover request', () => {
    const image = document.querySelector('#now-cover img');
    return image.getAttribute('src') && image.complete && image.naturalWidth === 0;
  });
  isFailing = false;
  assert.ok(requestCount < 20, `${requestCount} cover requests before the server returned`);
  await server.stop();
  await ada.waitForStatus('reconnecting…');
  await server.start();
  await ada.waitFor('the cover to load', () => document.querySelector('#now-cover img').classList.contains('loaded'));
  await ada.page.unrouteAll({ behavior: 'ignoreErrors' });
});
