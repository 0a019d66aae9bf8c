// The page kept by the browser, where it may be: it starts without its server, and is never older
// than a server that answers.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openEditions } from '../support/editions.mjs';
import { journey, openBrowser, openPhone } from '../support/phones.mjs';
import { startServer } from '../support/server.mjs';
import { tones } from '../support/tones.mjs';

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
  await server.end();
});

/** In the page: whether its worker works, and all of the shell is kept. */
async function kept() {
  const { active } = await navigator.serviceWorker.ready;
  return active?.state === 'activated';
}

/** In the page: the paths that the worker keeps, version by version. */
async function keptPaths() {
  const names = (await caches.keys()).filter((name) => name.startsWith('lockstep-shell-'));
  return Promise.all(
    names.map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => new URL(url).pathname)),
  );
}

/** @param {import('node:test').TestContext} t @param {string} url */
async function visit(t, url) {
  const phone = await openPhone(browser, url);
  t.after(phone.close);
  return phone;
}

const editions = async (/** @type {import('node:test').TestContext} */ t) => {
  const front = await openEditions(server.url('127.0.0.1'));
  t.after(front.away);
  return front;
};

test('a page that is kept starts while the server is away, says so, and goes into the room when it is back', async (t) => {
  const front = await editions(t);
  const ada = await visit(t, front.url());
  await journey(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.until('a page that is kept', kept);
    await front.away();
    await ada.page.reload();
    await ada.until('what is wrong', () => document.querySelector('#trouble').textContent.includes('cannot be reached'));
    await front.back();
    await ada.until('the room', () => !document.querySelector('#room-view').hidden);
    await ada.press('Play');
    await ada.sounds();
    // The room is for the tests after this one, too.
    await ada.press('Pause');
    assert.deepEqual(ada.errors, []);
  });
});

test('the first load from a server of another version shows that version, and it is that one which is kept', async (t) => {
  const front = await editions(t);
  const ada = await visit(t, front.url());
  await journey(t.name, () => [ada], async () => {
    await ada.until('a page that is kept', kept);
    await ada.page.reload();
    assert.equal(await ada.page.title(), 'Lockstep');

    front.become('Second');
    await ada.page.reload();
    assert.equal(await ada.page.title(), 'Lockstep Second');
    await ada.until('the door', () => !document.querySelector('#join-view').hidden);
    const paths = await ada.read(keptPaths);
    assert.equal(paths.length, 1, 'the older version is gone');

    await front.away();
    await ada.page.reload();
    assert.equal(await ada.page.title(), 'Lockstep Second');
  });
});

test('a page that is kept starts within seconds where the server takes the question and never answers', async (t) => {
  const front = await editions(t);
  const ada = await visit(t, front.url());
  await journey(t.name, () => [ada], async () => {
    await ada.until('a page that is kept', kept);
    front.fallSilent();
    const began = performance.now();
    await ada.page.reload({ waitUntil: 'commit' });
    await ada.until('the page', () => document.querySelector('.start')?.checkVisibility() && document.title === 'Lockstep');
    const tookMs = performance.now() - began;
    assert.ok(tookMs < 4_000, `${tookMs} ms`);
  });
});

test('a page that was started while a newer server hesitated begins anew in that version, once', async (t) => {
  const front = await editions(t);
  const ada = await visit(t, front.url());
  await journey(t.name, () => [ada], async () => {
    await ada.until('a page that is kept', kept);
    await ada.page.reload();
    front.become('Second');
    const speak = front.hesitate();
    await ada.page.reload();
    assert.equal(await ada.page.title(), 'Lockstep');
    await ada.until('the door', () => !document.querySelector('#join-view').hidden);
    let loads = 0;
    ada.page.on('load', () => (loads += 1));
    speak();
    await ada.until('the newer page', () => document.title === 'Lockstep Second' && !document.querySelector('#join-view').hidden);
    await ada.join('Ada');
    assert.equal(loads, 1);
    assert.deepEqual(ada.errors, []);
  });
});

test('a page that somebody has joined on is left as it is, however new the server turns out to be', async (t) => {
  const front = await editions(t);
  const ada = await visit(t, front.url());
  await journey(t.name, () => [ada], async () => {
    await ada.until('a page that is kept', kept);
    await ada.page.reload();
    front.become('Second');
    const speak = front.hesitate();
    await ada.page.reload();
    await ada.join('Ada');
    await ada.read(() => navigator.serviceWorker.addEventListener('message', () => (globalThis.told = true)));
    speak();
    await ada.until('the word', () => globalThis.told);
    await ada.press('Play');
    await ada.sounds();
    assert.equal(await ada.read(() => globalThis.told), true, 'it is the page that was told');
  });
});

test('a page that is kept asks the server for its version and for nothing that it has', async (t) => {
  const front = await editions(t);
  const ada = await visit(t, front.url());
  await journey(t.name, () => [ada], async () => {
    await ada.until('a page that is kept', kept);
    await ada.until('the door', () => !document.querySelector('#join-view').hidden);
    front.asked();
    await ada.page.reload();
    await ada.until('the door', () => !document.querySelector('#join-view').hidden);
    const own = front.asked().filter((path) => /^\/($|js|css|app|shell|sw|icons|manifest)/.test(path) && path !== '/sw.js');
    assert.deepEqual(own, ['/shell.json']);
  });
});

test('nothing is kept that could go stale', async (t) => {
  const front = await editions(t);
  const ada = await visit(t, front.url());
  await journey(t.name, () => [ada], async () => {
    await ada.until('a page that is kept', kept);
    await ada.page.reload();
    await ada.join('Ada');
    await ada.holds(2);
    await ada.press('Invite');
    const [paths] = await ada.read(keptPaths);
    const { files } = await ada.read(() => fetch('/shell.json').then((response) => response.json()));
    assert.deepEqual(paths.toSorted(), files.toSorted());
    for (const path of ['/index', '/events', '/snapshot', '/clock', '/code', '/qr', '/healthz']) {
      assert.ok(!paths.includes(path), path);
    }
    front.asked();
    const answers = await ada.read(() => Promise.all(['/index', '/snapshot', '/clock'].map((path) => fetch(path).then(({ status }) => status))));
    assert.deepEqual(answers, [200, 200, 200]);
    assert.deepEqual(front.asked().filter((path) => ['/index', '/snapshot'].includes(path)).toSorted(), ['/index', '/snapshot']);
  });
});

test('the address of another app that has moved in is not taken by the page that was there', async (t) => {
  const front = await editions(t);
  const ada = await visit(t, front.url());
  await journey(t.name, () => [ada], async () => {
    await ada.until('a page that is kept', kept);
    front.moveOut('<!doctype html><title>Another app</title>');
    await ada.page.reload();
    assert.equal(await ada.page.title(), 'Another app');
    assert.deepEqual(await ada.read(keptPaths), []);
  });
});

test('on a page that is not secure nothing is registered, and nothing else is missing', async (t) => {
  const ada = await visit(t, server.url());
  await journey(t.name, () => [ada], async () => {
    await ada.join('Ada');
    assert.equal(await ada.read(() => isSecureContext || 'serviceWorker' in navigator), false);
    await ada.holds(2);
    assert.deepEqual(ada.errors, []);
  });
});

test('on iOS nothing is offered to be installed, since there a tab plays on where an installed page may fall silent', async (t) => {
  const ada = await visit(t, server.url());
  assert.equal(await ada.read(() => document.querySelectorAll('link[rel=manifest]').length), 1);
  await ada.page.addInitScript(() => Object.assign(globalThis, { GestureEvent: Event }));
  await ada.page.reload();
  await ada.until('the door', () => !document.querySelector('#join-view').hidden);
  assert.equal(await ada.read(() => document.querySelectorAll('link[rel=manifest]').length), 0);
  assert.deepEqual(ada.errors, []);
});

test('the shortcut to the queue opens the queue', async (t) => {
  const ada = await visit(t, `${server.url('localhost')}#queue`);
  await journey(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.until('the queue', () => !document.querySelector('#panel-queue').hidden && document.querySelector('#panel-now').hidden);
  });
});

test('a browser finds nothing in the way of installing a secure page', async (t) => {
  const ada = await visit(t, server.url('localhost'));
  await ada.until('a page that is kept', kept);
  const { installabilityErrors } = await ada.cdp.send('Page.getInstallabilityErrors');
  // Playwright's contexts are all private windows, which cannot install anything.
  assert.deepEqual(installabilityErrors.filter(({ errorId }) => errorId !== 'in-incognito'), []);
  const { errors, url } = await ada.cdp.send('Page.getAppManifest');
  assert.ok(url.endsWith('/manifest.webmanifest'));
  assert.deepEqual(errors, []);
});
