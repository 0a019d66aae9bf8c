// The way to the secure page: a phone that has installed the server's root goes over to it with all that it has, and one that
// has not is none the worse.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LIMIT_MS } from '../support/eyes.mjs';
import { journey, openPhone, phoneOf } from '../support/phones.mjs';
import { startServer } from '../support/server.mjs';
import { tones } from '../support/tones.mjs';
import { openBrowserThatTrusts } from '../support/trust.mjs';

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof openBrowserThatTrusts>>} */
let trusting;
/** @type {Awaited<ReturnType<typeof openBrowserThatTrusts>>} */
let stranger;
before(async () => {
  const fill = tones({ One: 60, Two: 60 });
  server = await startServer({ fill, flags: ['--tls'] });
  const root = await fetch(`${server.url('127.0.0.1')}ca.crt`);
  trusting = await openBrowserThatTrusts(Buffer.from(await root.arrayBuffer()));
  stranger = await openBrowserThatTrusts(null);
});
after(async () => {
  await trusting.close();
  await stranger.close();
  await server.end();
});

/**
 * A phone in the room that has all music, with the way to the secure page open before it.
 * @param {import('node:test').TestContext} t
 * @param {import('playwright-core').Browser} browser
 */
async function onTheWay(t, browser) {
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await ada.join('Ada');
  await ada.holds(2);
  await ada.press('Settings');
  await ada.page.getByText('Install on this phone').click();
  return ada;
}

/**
 * Presses Check on a phone that trusts the server. The first handshake can take a slow machine longer than the phone waits.
 * @param {import('../support/phones.mjs').Phone} phone
 */
async function check(phone) {
  const end = Date.now() + 2 * LIMIT_MS;
  do {
    await phone.press('Check');
    const said = await phone.until('what has come of it', () => {
      const text = document.querySelector('#secure-text').textContent;
      if (text === 'Checking…') return null;
      return text.startsWith('Not yet') ? 'no' : 'yes';
    });
    if (said === 'yes') return;
  } while (Date.now() < end);
  assert.fail('the secure page is never trusted');
}

/**
 * The same, for the phone in the tab that this opens.
 * @param {import('../support/phones.mjs').Phone} phone
 */
async function moveOver(phone) {
  const opened = phone.page.context().waitForEvent('page', { timeout: 4 * LIMIT_MS });
  const [page] = await Promise.all([opened, check(phone)]);
  return phoneOf(page);
}

/** In the page: keeps what is said while it moves, and takes its time to hand over what it keeps. */
function watchTheMove() {
  const said = new Set();
  Object.assign(window, { said: () => [...said] });
  const look = () => {
    for (const view of document.querySelectorAll('#moving-view:not([hidden]), #moved-view:not([hidden])')) {
      for (const { textContent } of view.querySelectorAll('[aria-live]')) said.add(textContent);
    }
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
  const { postMessage } = MessagePort.prototype;
  MessagePort.prototype.postMessage = function (answer, transfer) {
    const send = () => postMessage.call(this, answer, transfer);
    if (answer.bytes) setTimeout(send, 1_500);
    else send();
  };
}

/** In the page: whether it is in the room. */
const inTheRoom = () => !document.querySelector('#room-view').hidden;

/** In the page: whether its worker works, and all of the shell is kept. */
async function kept() {
  const { active } = await navigator.serviceWorker.ready;
  return active?.state === 'activated';
}

test('a phone that trusts the server moves over, stays paired, takes its music along, and starts without the server', async (t) => {
  const ada = await onTheWay(t, trusting.browser);
  /** @type {string[]} */
  const asked = [];
  ada.page.context().on('request', (request) => asked.push(request.url()));
  await ada.page.context().addInitScript(watchTheMove);
  await ada.read(watchTheMove);
  const moved = await moveOver(ada);
  await journey(t.name, () => [ada, moved], async () => {
    await moved.until('the room', inTheRoom);
    assert.equal(await moved.read(() => isSecureContext && location.href), server.secureUrl());
    await moved.holds(2);
    assert.equal(await moved.read(() => caches.has('lockstep-tracks')), true);
    assert.deepEqual(asked.filter((url) => url.includes('/file/')), [], 'nothing is fetched again');
    assert.equal(await moved.read(() => JSON.parse(localStorage.getItem('lockstep.settings')).name), 'Ada');

    await ada.until('where it went', () => document.activeElement.id === 'moved-title' && document.querySelector('#room-view').hidden);
    await ada.until('that it is needed no more', () => document.querySelector('#moved-text').textContent === 'This one can be closed.');
    assert.equal((await ada.read(() => window.said()))[0], 'This one has to stay open until the music is there.');
    const said = await moved.read(() => window.said());
    for (const track of [1, 2]) assert.ok(said.includes(`Bringing track ${track} of 2 over`), said.join('\n'));
    await moved.until('nobody but itself', () => document.querySelectorAll('[aria-label=Listeners] li').length === 1);
    await moved.seesListener('Ada \\(you\\)');
    await moved.press('Play');
    await moved.sounds();
    await ada.silent();
    await moved.press('Pause');

    await moved.until('a page that is kept', kept);
    await server.stop();
    await moved.page.reload();
    await moved.until('what is wrong', () => document.querySelector('#trouble').textContent.includes('cannot be reached'));
    await server.start();
    await moved.until('the room', inTheRoom);
    assert.deepEqual([...ada.errors, ...moved.errors], []);
  });
});

test('a phone that may open no tab moves over all the same', async (t) => {
  const ada = await onTheWay(t, trusting.browser);
  await journey(t.name, () => [ada], async () => {
    await ada.read(() => void (window.open = () => null));
    await check(ada);
    await ada.until('the secure page', () => location.protocol === 'https:' && !document.querySelector('#room-view').hidden);
    await ada.holds(2);
    assert.deepEqual(ada.errors, []);
  });
});

test('a phone that has moved over is led there when it scans the code again', async (t) => {
  const ada = await onTheWay(t, trusting.browser);
  await journey(t.name, () => [ada], async () => {
    const moved = await moveOver(ada);
    await moved.until('the room', inTheRoom);
    await ada.until('where it went', () => !document.querySelector('#moved-view').hidden);
    await ada.page.goto(server.url());
    await ada.until('the secure page', () => location.protocol === 'https:' && !document.querySelector('#room-view').hidden);
  });
});

test('a secure page brings in guests by the address that works on every phone', async (t) => {
  const ada = await openPhone(trusting.browser, server.secureUrl());
  t.after(ada.close);
  await journey(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.press('Invite');
    const { host } = new URL(server.url());
    await ada.until('the address', (address) => document.querySelector('#invite-address').textContent === address, host);
    await ada.press('Settings');
    assert.equal(await ada.page.getByText('Install on this phone').isVisible(), false);
    assert.deepEqual(ada.errors, []);
  });
});

test('a phone that does not trust the server has the plain page without an error, and is told when it asks', async (t) => {
  const bob = await onTheWay(t, stranger.browser);
  await journey(t.name, () => [bob], async () => {
    const steps = await bob.page.getByRole('list').filter({ hasText: 'Check' }).getByRole('listitem').allTextContents();
    assert.ok(steps.length >= 3, steps.join('\n'));
    const link = bob.page.getByRole('link', { name: 'Download', exact: true });
    const path = await link.getAttribute('href');
    const answer = await fetch(new URL(path ?? '', server.url('127.0.0.1')));
    assert.equal(answer.status, 200);

    await bob.press('Check');
    await bob.until('that it is not trusted', () => document.querySelector('#secure-text').textContent.startsWith('Not yet'));
    assert.equal(bob.page.context().pages().length, 1);
    await bob.press('Close');
    await bob.press('Play');
    await bob.sounds();
    assert.deepEqual(bob.errors, []);
  });
});

test('where there is no secure page nothing leads to one', async (t) => {
  const plain = await startServer({ fill: tones({ One: 5 }) });
  t.after(plain.end);
  const cyd = await openPhone(stranger.browser, plain.url());
  t.after(cyd.close);
  await cyd.join('Cyd');
  const [answer] = await Promise.all([cyd.page.waitForResponse(/\/secure$/), cyd.press('Settings')]);
  assert.equal((await answer.json()).port, null);
  assert.equal(await cyd.page.getByText('Install on this phone').isVisible(), false);
  assert.deepEqual(cyd.errors, []);
});
