// Migration to the HTTPS page: a phone that trusts the server's root certificate moves there with its tracks; any other phone stays
// on the HTTP page.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { WAIT_TIMEOUT_MS, isPageCached } from '../support/page-checks.mjs';
import { openPhone, phoneFromPage, screenshotOnFailure } from '../support/phones.mjs';
import { startServer } from '../support/server.mjs';
import { tones } from '../support/tones.mjs';
import { openBrowserTrusting } from '../support/trusting-browser.mjs';

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof openBrowserTrusting>>} */
let trustingBrowser;
/** @type {Awaited<ReturnType<typeof openBrowserTrusting>>} */
let otherBrowser;
before(async () => {
  const fill = tones({ One: 60, Two: 60 });
  server = await startServer({ fill, flags: ['--tls'] });
  const root = await fetch(`${server.url('127.0.0.1')}ca.crt`);
  trustingBrowser = await openBrowserTrusting(Buffer.from(await root.arrayBuffer()));
  otherBrowser = await openBrowserTrusting(null);
});
after(async () => {
  await trustingBrowser.close();
  await otherBrowser.close();
  await server.remove();
});

/**
 * A joined phone on the HTTP page with all tracks stored and the section "Install on this phone" open.
 * @param {import('node:test').TestContext} t
 * @param {import('playwright-core').Browser} browser
 */
async function openInstallSection(t, browser) {
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await ada.join('Ada');
  await ada.waitForStoredTracks(2);
  await ada.press('Settings');
  await ada.page.getByText('Install on this phone').click();
  return ada;
}

/**
 * Presses Check until the page trusts the server: on a slow machine the first handshake may exceed the page's timeout.
 * @param {import('../support/phones.mjs').Phone} phone
 */
async function pressCheckUntilTrusted(phone) {
  const deadline = Date.now() + 2 * WAIT_TIMEOUT_MS;
  do {
    await phone.press('Check');
    const result = await phone.waitFor('the result of the check', () => {
      const text = document.querySelector('#install-result').textContent;
      if (text === 'Checking…') return null;
      return text.startsWith('Not yet') ? 'untrusted' : 'trusted';
    });
    if (result === 'trusted') return;
  } while (Date.now() < deadline);
  assert.fail('the page never trusted the certificate');
}

/**
 * Moves to the HTTPS page, and returns the phone in the newly opened tab.
 * @param {import('../support/phones.mjs').Phone} phone
 */
async function moveToSecurePage(phone) {
  const opened = phone.page.context().waitForEvent('page', { timeout: 4 * WAIT_TIMEOUT_MS });
  const [page] = await Promise.all([opened, pressCheckUntilTrusted(phone)]);
  return phoneFromPage(page);
}

/**
 * Runs in the page: records the migration's messages. Delays each transferred part, because the page limits the rate of progress
 * messages and would skip some.
 */
function recordMigration() {
  const messages = new Set();
  Object.assign(window, { migrationMessages: () => [...messages] });
  const record = () => {
    for (const view of document.querySelectorAll('#migrating-view:not([hidden]), #migrated-view:not([hidden])')) {
      for (const { textContent } of view.querySelectorAll('[aria-live]')) messages.add(textContent);
    }
  };
  new MutationObserver(record).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
  const { postMessage } = MessagePort.prototype;
  MessagePort.prototype.postMessage = function (message, transfer) {
    const send = () => postMessage.call(this, message, transfer);
    if (message.bytes) setTimeout(send, 1_500);
    else send();
  };
}

/** Runs in the page: whether the phone has joined. */
const hasJoined = () => !document.querySelector('#room-view').hidden;

test('a phone with the certificate moves with its tracks and starts offline', async (t) => {
  const ada = await openInstallSection(t, trustingBrowser.browser);
  /** @type {string[]} */
  const requestedUrls = [];
  ada.page.context().on('request', (request) => requestedUrls.push(request.url()));
  await ada.page.context().addInitScript(recordMigration);
  await ada.evaluate(recordMigration);
  const moved = await moveToSecurePage(ada);
  await screenshotOnFailure(t.name, () => [ada, moved], async () => {
    await moved.waitFor('the room view', hasJoined);
    assert.equal(await moved.evaluate(() => isSecureContext && location.href), server.secureUrl());
    await moved.waitForStoredTracks(2);
    assert.equal(await moved.evaluate(() => caches.has('lockstep-tracks')), true);
    assert.deepEqual(requestedUrls.filter((url) => url.includes('/file/')), [], 'a track was downloaded again');
    assert.equal(await moved.evaluate(() => JSON.parse(localStorage.getItem('lockstep.settings')).name), 'Ada');

    await ada.waitFor('the message that the page has moved', () => document.activeElement.id === 'migrated-title' && document.querySelector('#room-view').hidden);
    await ada.waitFor('the message that the old tab can be closed', () => document.querySelector('#migrated-text').textContent === 'You can close this tab.');
    assert.equal((await ada.evaluate(() => window.migrationMessages()))[0], 'Keep this tab open until the music has been copied.');
    const messages = await moved.evaluate(() => window.migrationMessages());
    for (const track of [1, 2]) assert.ok(messages.includes(`Copying track ${track} of 2`), messages.join('\n'));
    await moved.waitFor('a single listener', () => document.querySelectorAll('[aria-label=Listeners] li').length === 1);
    await moved.waitForListener('Ada \\(you\\)');
    await moved.press('Play');
    await moved.waitForPlayback();
    await ada.waitForSilence();
    await moved.press('Pause');

    await moved.waitFor('the page to be cached', isPageCached);
    await server.stop();
    await moved.page.reload();
    await moved.waitFor('the message that the server cannot be reached', () => document.querySelector('#start-error').textContent.includes('cannot be reached'));
    await server.start();
    await moved.waitFor('the room view', hasJoined);
    assert.deepEqual([...ada.errors, ...moved.errors], []);
  });
});

test('a phone that cannot open a tab moves within its tab', async (t) => {
  const ada = await openInstallSection(t, trustingBrowser.browser);
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.evaluate(() => void (window.open = () => null));
    await pressCheckUntilTrusted(ada);
    await ada.waitFor('the HTTPS page', () => location.protocol === 'https:' && !document.querySelector('#room-view').hidden);
    await ada.waitForStoredTracks(2);
    assert.deepEqual(ada.errors, []);
  });
});

test('the HTTP address redirects a moved phone to the HTTPS page', async (t) => {
  const ada = await openInstallSection(t, trustingBrowser.browser);
  await screenshotOnFailure(t.name, () => [ada], async () => {
    const moved = await moveToSecurePage(ada);
    await moved.waitFor('the room view', hasJoined);
    await ada.waitFor('the message that the page has moved', () => !document.querySelector('#migrated-view').hidden);
    await ada.page.goto(server.url());
    await ada.waitFor('the HTTPS page', () => location.protocol === 'https:' && !document.querySelector('#room-view').hidden);
  });
});

test('the HTTPS page invites guests to the HTTP address', async (t) => {
  const ada = await openPhone(trustingBrowser.browser, server.secureUrl());
  t.after(ada.close);
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.press('Invite');
    const { host } = new URL(server.url());
    await ada.waitFor('the invite address', (address) => document.querySelector('#invite-address').textContent === address, host);
    await ada.press('Settings');
    assert.equal(await ada.page.getByText('Install on this phone').isVisible(), false);
    assert.deepEqual(ada.errors, []);
  });
});

test('a phone without the certificate stays on HTTP and gets an explanation', async (t) => {
  const bob = await openInstallSection(t, otherBrowser.browser);
  await screenshotOnFailure(t.name, () => [bob], async () => {
    const steps = await bob.page.getByRole('list').filter({ hasText: 'Check' }).getByRole('listitem').allTextContents();
    assert.ok(steps.length >= 3, steps.join('\n'));
    const link = bob.page.getByRole('link', { name: 'Download', exact: true });
    const path = await link.getAttribute('href');
    const response = await fetch(new URL(path ?? '', server.url('127.0.0.1')));
    assert.equal(response.status, 200);

    await bob.press('Check');
    await bob.waitFor('the message that the certificate is not trusted', () => document.querySelector('#install-result').textContent.startsWith('Not yet'));
    assert.equal(bob.page.context().pages().length, 1);
    await bob.press('Close');
    await bob.press('Play');
    await bob.waitForPlayback();
    assert.deepEqual(bob.errors, []);
  });
});

test('a server without HTTPS does not offer the HTTPS page', async (t) => {
  const plain = await startServer({ fill: tones({ One: 5 }) });
  t.after(plain.remove);
  const cyd = await openPhone(otherBrowser.browser, plain.url());
  t.after(cyd.close);
  await cyd.join('Cyd');
  const [response] = await Promise.all([cyd.page.waitForResponse(/\/secure$/), cyd.press('Settings')]);
  assert.equal((await response.json()).port, null);
  assert.equal(await cyd.page.getByText('Install on this phone').isVisible(), false);
  assert.deepEqual(cyd.errors, []);
});
