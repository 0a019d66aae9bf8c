// What fails once, or looks different to somebody, and is none the worse for it: cut connections, unreadable
// entries, a proxy's error, covers that come late, hands that change their mind, large text, a system's colours.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { openBrowser, openPhone } from '../support/phones.mjs';
import { DEMO_MUSIC, copies, startServer } from '../support/server.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
before(async () => {
  browser = await openBrowser();
  server = await startServer({ fill: copies(DEMO_MUSIC) });
});
after(async () => {
  await browser.close();
  await server.end();
});

/** @param {import('node:test').TestContext} t */
async function visit(t, host = 'party.lan', options = {}) {
  const phone = await openPhone(browser, server.url(host), options);
  t.after(phone.close);
  return phone;
}

test('a connection to IndexedDB that is cut is opened again, for tracks and for what is known of them', async (t) => {
  const ada = await visit(t);
  const seen = await ada.read(async () => {
    const opened = [];
    const open = indexedDB.open.bind(indexedDB);
    indexedDB.open = (...args) => {
      const request = open(...args);
      request.addEventListener('success', () => opened.push(request.result));
      return request;
    };
    const cut = () => opened.splice(0).forEach((db) => db.close());
    const { openIndexedDb } = await import('/js/cache/indexed-db.js');
    const { openKnown } = await import('/js/cache/known.js');
    const back = await openIndexedDb();
    const known = await openKnown();
    const entry = { trackId: 'a', version: 'v1', mime: 'audio/wav', size: 5, receivedBytes: 5, parts: 1, usedAtMs: 1 };
    await back.list();
    cut();
    await back.append(entry, new TextEncoder().encode('bytes').buffer);
    cut();
    const text = await (await back.read(entry)).text();
    known.take(new Map([['zz', { trackId: 'zz', version: 'v1', tags: { title: 'Z' } }]]));
    let tracks = new Map();
    while (!tracks.has('zz')) tracks = (await openKnown()).tracks();
    await back.clear();
    return text;
  });
  assert.equal(seen, 'bytes');
});

test('Cache Storage lets go of an entry that it cannot read, and has the others', async (t) => {
  const ada = await visit(t, 'localhost');
  const left = await ada.read(async () => {
    const { openCacheStorage } = await import('/js/cache/cache-storage.js');
    const back = await openCacheStorage();
    await back.append({ trackId: 'a', version: 'v1', mime: 'audio/wav', size: 5, receivedBytes: 5, parts: 1, usedAtMs: 1 }, new TextEncoder().encode('bytes').buffer);
    const cache = await caches.open('lockstep-tracks');
    await cache.put('/kept/b', new Response('no entry'));
    await cache.put('/kept/b/0', new Response('a part of it'));
    await cache.put('/kept/c', Response.json(null));
    const ids = (await back.list()).map(({ trackId }) => trackId);
    const paths = (await cache.keys()).map(({ url }) => new URL(url).pathname);
    await back.clear();
    return [...ids, ...paths.sort(), (await cache.keys()).length];
  });
  assert.deepEqual(left, ['a', '/kept/a', '/kept/a/0', 0]);
});

test('a proxy that says that the server is away takes nothing from the page that is kept', async (t) => {
  const port = Number(new URL(server.url()).port);
  let away = false;
  const front = createServer(async (incoming, outgoing) => {
    if (away) return void outgoing.writeHead(502).end('bad gateway');
    const answer = await fetch(`http://127.0.0.1:${port}${incoming.url}`);
    outgoing.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
    outgoing.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise((ready) => void front.listen(0, '127.0.0.1', () => ready(null)));
  t.after(() => (front.closeAllConnections(), front.close()));
  const ada = await openPhone(browser, `http://localhost:${/** @type {any} */ (front.address()).port}/`);
  t.after(ada.close);
  await ada.until('a page that is kept', async () => (await navigator.serviceWorker.ready).active?.state === 'activated');
  away = true;
  for (let loads = 0; loads < 2; loads += 1) {
    await ada.page.reload();
    assert.equal(await ada.page.title(), 'Lockstep');
  }
});

test('covers that did not come are asked for again when the server is back', async (t) => {
  const ada = await visit(t);
  let away = true;
  await ada.page.route('**/cover/**', (route) => (away ? route.abort() : route.fallback()));
  let asked = 0;
  ada.page.on('request', (request) => (asked += Number(request.url().includes('/cover/'))));
  await ada.join('Ada');
  await ada.until('a cover that did not come', () => {
    const image = document.querySelector('#now-cover img');
    return image.getAttribute('src') && image.complete && image.naturalWidth === 0;
  });
  away = false;
  const before = asked;
  assert.ok(before < 20, `${before} requests`);
  await server.stop();
  await ada.status('reconnecting…');
  await server.start();
  await ada.until('the cover', () => document.querySelector('#now-cover img').classList.contains('here'));
  await ada.page.unrouteAll({ behavior: 'ignoreErrors' });
});

test('a row that is swiped and taken back past its start is as it was', async (t) => {
  const ada = await visit(t);
  await ada.join('Ada');
  await ada.open('Queue');
  const box = await ada.page.locator('#queue-rest .row:not([hidden])').nth(1).boundingBox();
  assert.ok(box);
  const y = box.y + box.height / 2;
  const touch = (/** @type {any} */ type, /** @type {number[]} */ ...xs) =>
    ada.cdp.send('Input.dispatchTouchEvent', { type, touchPoints: xs.map((x) => ({ x, y })) });
  await touch('touchStart', 120);
  for (const x of [140, 160, 140, 120, 100]) await touch('touchMove', x);
  await ada.until('the swipe', () => document.querySelector('.row.swiped'));
  await touch('touchEnd');
  await ada.until('its end', () => !document.querySelector('.row.swiped, .row.back'));
});

test('a chip in large text on a small phone still says who it is, and all that they do', async (t) => {
  const ada = await visit(t, 'party.lan', { viewport: { width: 320, height: 568 } });
  await ada.join('Bartholomew the Third');
  await ada.seesListener('Bartholomew');
  await ada.read(() => (document.documentElement.style.fontSize = '200%'));
  const seen = await ada.read(() => [...document.querySelectorAll('.listener')].map((chip) => {
    chip.querySelector('.doing').textContent = 'downloading 43 %';
    const right = chip.getBoundingClientRect().right;
    const [who, doing] = ['.who', '.doing'].map((part) => chip.querySelector(part).getBoundingClientRect());
    return { whoPx: who.width, over: Math.max(who.right, doing.right) > right || right > innerWidth };
  }));
  for (const { whoPx, over } of seen) assert.ok(whoPx > 60 && !over, JSON.stringify(seen));
});

test('what scrolls can be reached by keys and has a name', async (t) => {
  const ada = await visit(t, 'party.lan', { isMobile: false, hasTouch: false, viewport: { width: 320, height: 400 } });
  await ada.join('Ada');
  await ada.page.getByRole('tabpanel', { name: 'Now' }).focus();
  await ada.page.keyboard.press('End');
  await ada.until('a view that has scrolled', () => document.activeElement.id === 'panel-now' && document.activeElement.scrollTop > 0);
  assert.equal(await ada.read(() => getComputedStyle(document.activeElement).scrollbarWidth), 'auto');
  await ada.open('Queue');
  assert.equal(await ada.page.getByRole('group', { name: 'Tracks' }).count(), 1);
});

test('in the system’s own colours, switches, sliders and the chosen tab are to be seen', async (t) => {
  const ada = await visit(t);
  await ada.join('Ada');
  await ada.page.emulateMedia({ forcedColors: 'active' });
  await ada.press('Settings');
  const seen = await ada.read(() => {
    const of = (/** @type {string} */ selector, pseudo = '') => getComputedStyle(document.querySelector(selector), pseudo || null);
    return {
      track: of('#settings-remote').borderTopStyle,
      knob: of('#settings-remote', '::before').borderTopStyle,
      slider: of('#settings-delay', '::-webkit-slider-runnable-track').forcedColorAdjust,
      chosen: of('#tab-now').textDecorationLine,
      other: of('#tab-queue').textDecorationLine,
    };
  });
  assert.deepEqual({ ...seen, slider: '' }, { track: 'solid', knob: 'solid', slider: '', chosen: 'underline', other: 'none' });
});
