// Chat and reactions on several phones.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openCuttableProxy } from '../support/cuttable-proxy.mjs';
import { layoutFaults } from '../support/layout-checks.mjs';
import { openBrowser, openPhone, screenshotOnFailure } from '../support/phones.mjs';
import { PAIRING_CODE, startServer } from '../support/server.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tones } from '../support/tones.mjs';

/** @typedef {import('../support/phones.mjs').Phone} Phone */
/** @typedef {Awaited<ReturnType<typeof startServer>>} Server */

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

/** A paired device without a page. @param {Server} server @param {string} name */
async function pairDevice(server, name) {
  const url = server.url('127.0.0.1');
  const paired = await fetch(`${url}pair`, { method: 'POST', body: JSON.stringify({ code: PAIRING_CODE, clientName: name }) });
  const { clientId } = await paired.json();
  /** @param {string} method @param {string} path @param {object} [body] @param {Record<string, string>} [headers] */
  const request = (method, path, body, headers = {}) =>
    fetch(`${url}${path}`, { method, headers: { Authorization: `Bearer ${clientId}`, ...headers }, ...(body && { body: JSON.stringify(body) }) });
  /** Sends a message. @param {string} text @returns {Promise<number>} its id */
  const say = async (text) => (await (await request('POST', 'chat', { text })).json()).id;
  /** Changes the rules, and becomes host if nobody is. @param {object} rules */
  const setRules = async (rules) => {
    for (;;) {
      const { eventCount } = await (await request('GET', 'snapshot')).json();
      const { status } = await request('POST', 'rules', rules, { 'If-Match-Event': String(eventCount) });
      if (status !== 409) return assert.equal(status, 200);
    }
  };
  return { request, say, setRules, react: (/** @type {string} */ emoji) => request('POST', 'react', { emoji }) };
}

/** @param {Phone} phone @param {string} text */
async function send(phone, text) {
  await phone.page.getByLabel('Message', { exact: true }).fill(text);
  await phone.press('Send');
}

const shownTexts = (/** @type {Phone} */ phone) => phone.evaluate(() => [...document.querySelectorAll('.message:not(.sending) .message-text')].map((element) => element.textContent));
const waitForTexts = (/** @type {Phone} */ phone, /** @type {string[]} */ expected) =>
  phone.waitFor(`the messages ${expected}`, (texts) => JSON.stringify([...document.querySelectorAll('.message:not(.sending) .message-text')].map((element) => element.textContent)) === texts, JSON.stringify(expected));
/** @param {Phone} phone @param {string} count empty: no unread message */
const waitForUnread = (phone, count) =>
  phone.waitFor(`${count || 'no'} unread messages`, (expected) => {
    const badge = document.querySelector('#chat-badge');
    return (badge.hidden ? '' : badge.textContent) === expected;
  }, count);

test('phones chat, and each may remove its own messages', (t) =>
  withRoom(t, browser, { names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    await ada.press('Chat');
    await send(ada, 'Who is in the kitchen?');
    await waitForUnread(ben, '1');
    assert.equal(await ben.evaluate(() => document.querySelector('#chat-unread').textContent), '1 new message');
    await ben.press('Chat');
    await waitForUnread(ben, '');
    await ben.page.keyboard.press('Tab');
    await send(ben, 'Me 🎉');
    await waitForTexts(ada, ['Who is in the kitchen?', 'Me 🎉']);
    // The reader of an open sheet has read the message.
    await waitForUnread(ada, '');
    assert.equal(await ada.page.getByLabel('Message', { exact: true }).inputValue(), '');
    assert.deepEqual(await ada.evaluate(() => [...document.querySelectorAll('.message-name')].map((element) => element.textContent)), ['Ada', 'Ben']);
    assert.match(await ada.evaluate(() => document.querySelector('.message-time').textContent), /^\d+:\d\d/);
    assert.equal(await ada.page.locator('.message-remove:visible').count(), 1);
    await ada.press('Remove the message “Who is in the kitchen?”');
    await ada.press('Really remove the message “Who is in the kitchen?”?');
    await waitForTexts(ada, ['Me 🎉']);
    await waitForTexts(ben, ['Me 🎉']);
    // Back and Escape close the sheet.
    await ben.page.keyboard.press('Escape');
    assert.equal(await ben.evaluate(() => document.querySelector('#chat-sheet').hidden && document.activeElement.id), 'chat-button');
  }));

test('messages are shown as text, whatever they contain', (t) =>
  withRoom(t, browser, { names: ['Ada'] }, async ([ada], server) => {
    const hostile = ['<img src=x onerror=alert(1)>', 'javascript:alert(1) https://example.org', 'שלום (abc) !', 'm'.repeat(300), '👩‍👧'.repeat(60)];
    const ben = await pairDevice(server, '<b>Ben</b>');
    let dialogCount = 0;
    ada.page.on('dialog', (dialog) => {
      dialogCount += 1;
      dialog.dismiss();
    });
    for (const text of hostile) await ben.say(text);
    await waitForUnread(ada, '5');
    await ada.press('Chat');
    await waitForTexts(ada, hostile);
    assert.equal(await ada.evaluate(() => document.querySelector('.message-name').textContent), '<b>Ben</b>');
    assert.equal(await ada.evaluate(() => document.querySelectorAll('#chat-messages :is(img, a, b)').length), 0);
    assert.equal(await ada.evaluate(() => getComputedStyle(document.querySelectorAll('.message-text')[2]).direction), 'rtl');
    for (const [width, height] of [[320, 568], [390, 844], [568, 320], [1280, 800]]) {
      await ada.resize(width, height);
      assert.deepEqual(await ada.evaluate(layoutFaults), [], `${width}×${height}`);
      assert.ok(await ada.evaluate(() => document.querySelector('#chat-scroller').scrollWidth <= document.querySelector('#chat-scroller').clientWidth));
      // The end of the list stays visible beside the field.
      assert.ok(await ada.evaluate(() => document.querySelector('#chat-messages > :last-child').getBoundingClientRect().bottom <= document.querySelector('#chat-form').getBoundingClientRect().top + 1));
      assert.ok(await ada.evaluate(() => document.querySelector('#chat-form').getBoundingClientRect().bottom <= innerHeight));
    }
    assert.equal(dialogCount, 0);
  }));

test('a phone gets what its lost stream and a reload have missed', async (t) => {
  const server = await startServer({ fill: tones({ 'Alpha Dance': 20 }) });
  t.after(server.remove);
  const proxy = await openCuttableProxy(server.url());
  t.after(proxy.close);
  const ada = await openPhone(browser, proxy.url);
  t.after(ada.close);
  const ben = await pairDevice(server, 'Ben');
  await screenshotOnFailure(t.name, () => [ada], async () => {
    // Said before Ada has joined, so that it is not news.
    const first = await ben.say('1');
    await ada.join('Ada');
    await ada.waitForStatus('paused');
    await waitForUnread(ada, '');
    await ada.press('Chat');
    await waitForTexts(ada, ['1']);
    await ada.page.keyboard.press('Escape');
    await ben.say('2');
    await waitForUnread(ada, '1');
    const requested = ada.page.waitForRequest((request) => request.url().includes('/chat?after='));
    proxy.cut();
    await ben.say('3');
    await ben.request('DELETE', `chat/${first}`);
    await ada.waitForStatus('reconnecting…');
    proxy.restore();
    await requested;
    await waitForUnread(ada, '2');
    await ada.press('Chat');
    await waitForTexts(ada, ['2', '3']);
    await ada.page.keyboard.press('Escape');
    await ben.say('4');
    await waitForUnread(ada, '1');
    await ada.cdp.send('Page.reload');
    await ada.waitFor('the room view', () => !document.querySelector('#room-view')?.hidden);
    await waitForUnread(ada, '1');
    await ada.press('Chat');
    await waitForTexts(ada, ['2', '3', '4']);
    // The messages are gone with the server.
    await server.kill();
    await server.start();
    await waitForTexts(ada, []);
    await ben.say('5');
    await waitForTexts(ada, ['5']);
    assert.deepEqual(ada.errors, []);
  });
});

test('a reader of older messages keeps their place', (t) =>
  withRoom(t, browser, { names: ['Ada'] }, async ([ada], server) => {
    const devices = await Promise.all(['Ben', 'Cleo', 'Dan', 'Eve'].map((name) => pairDevice(server, name)));
    // Messages that precede the page's first request for them count as read.
    await devices[3].say('hello');
    await ada.press('Chat');
    await waitForTexts(ada, ['hello']);
    await ada.page.keyboard.press('Escape');
    let count = 0;
    const ids = [];
    for (const device of devices.slice(0, 3)) for (let i = 0; i < 5; i += 1) ids.push(await device.say(`message ${(count += 1)}`));
    await waitForUnread(ada, '15');
    await ada.press('Chat');
    await waitForUnread(ada, '');
    const isAtEnd = () => ada.evaluate(() => {
      const { scrollHeight, scrollTop, clientHeight } = document.querySelector('#chat-scroller');
      return scrollHeight - scrollTop - clientHeight < 2;
    });
    assert.equal(await isAtEnd(), true);
    // Within the list, because the sheet slides in.
    const placeOf = () => ada.evaluate(() => {
      const row = [...document.querySelectorAll('.message')].find(({ textContent }) => textContent.includes('message 8'));
      return row.offsetTop - document.querySelector('#chat-scroller').scrollTop;
    });
    await ada.evaluate((px) => (document.querySelector('#chat-scroller').scrollTop += px), await placeOf());
    const place = await placeOf();
    await devices[3].say('news');
    await devices[0].request('DELETE', `chat/${ids[0]}`);
    await ada.waitFor('both changes', () => {
      const texts = [...document.querySelectorAll('.message-text')].map((element) => element.textContent);
      return texts.includes('news') && !texts.includes('message 1');
    });
    assert.ok(Math.abs((await placeOf()) - place) < 2, `moved from ${place} to ${await placeOf()}`);
    await waitForUnread(ada, '1');
    await ada.press('1 new message');
    await waitForUnread(ada, '');
    await ada.waitFor('the button to go', () => document.querySelector('#chat-latest').hidden);
    assert.equal(await isAtEnd(), true);
  }));

test('a message shows at once, and a lost answer does not make it fail', (t) =>
  withRoom(t, browser, { names: ['Ada'] }, async ([ada]) => {
    await ada.press('Chat');
    /** @type {() => void} */
    let letThrough = () => {};
    const opened = new Promise((resolve) => (letThrough = () => resolve(undefined)));
    await ada.page.route('**/chat', async (route) => {
      if (route.request().method() !== 'POST' || route.request().headers()['x-through']) return route.continue();
      await opened;
      // The server gets the message, and the answer is lost.
      const body = route.request().postData();
      await ada.evaluate((message) => fetch('/chat', { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Through': '1' }, body: message }), body);
      await route.abort();
    });
    await send(ada, 'soon there');
    await ada.waitFor('the message that is being sent', () => document.querySelector('.message.sending .message-text')?.textContent === 'soon there');
    assert.equal(await ada.page.getByLabel('Message', { exact: true }).inputValue(), '');
    letThrough();
    await waitForTexts(ada, ['soon there']);
    await ada.waitFor('no message that is being sent', () => document.querySelector('.message.sending') === null);
    assert.equal(await ada.evaluate(() => document.querySelector('#chat-error').textContent + document.querySelector('#chat-text').value), '');
  }));

test('a refused message stays in the field, with the reason', (t) =>
  withRoom(t, browser, { names: ['Ada'] }, async ([ada]) => {
    await ada.press('Chat');
    await ada.page.route('**/chat', (route) =>
      route.request().method() === 'POST'
        ? route.fulfill({ status: 429, contentType: 'application/problem+json', headers: { 'Retry-After': '3' }, body: '{"code":"too-many-messages","detail":"…"}' })
        : route.continue());
    await send(ada, 'once more');
    await ada.waitFor('the sentence', () => document.querySelector('#chat-error').textContent === 'Too many messages. Wait 3 seconds.');
    assert.equal(await ada.page.getByLabel('Message', { exact: true }).inputValue(), 'once more');
    await ada.page.unroute('**/chat');
    await ada.page.getByLabel('Message', { exact: true }).press('Enter');
    await waitForTexts(ada, ['once more']);
    assert.equal(await ada.evaluate(() => document.querySelector('#chat-error').textContent), '');
    await send(ada, 'x'.repeat(301));
    await ada.waitFor('the other sentence', () => /300/.test(document.querySelector('#chat-error').textContent));
  }));

/** Runs before the page's scripts: records each text of the region for chat and reactions, and when it came. */
function recordAnnouncements() {
  globalThis.announcements = [];
  globalThis.announcedAtMs = [];
  addEventListener('DOMContentLoaded', () => {
    const region = document.querySelector('#talk-announcement');
    new MutationObserver(() => {
      globalThis.announcements.push(region.textContent);
      if (region.textContent !== '') globalThis.announcedAtMs.push(performance.now());
    }).observe(region, { childList: true, characterData: true, subtree: true });
  });
}

test('reactions rise over the cover of all phones, few at a time', (t) =>
  withRoom(t, browser, { names: ['Ada', 'Ben'], initScript: recordAnnouncements }, async ([ada, ben], server) => {
    await ada.evaluate(() => {
      globalThis.mostFloating = 0;
      const layer = document.querySelector('.reaction-layer');
      new MutationObserver(() => (globalThis.mostFloating = Math.max(globalThis.mostFloating, layer.childElementCount))).observe(layer, { childList: true });
    });
    await ben.press('React');
    assert.deepEqual(await ben.page.getByRole('group', { name: 'Reactions' }).getByRole('button').allTextContents(), ['👍', '❤️', '🔥', '😂', '🎉', '👏', '🙌', '💃', '🕺', '😍', '🤘', '👎']);
    await ben.page.keyboard.press('ArrowRight');
    await ben.page.keyboard.press('Enter');
    await ben.page.getByRole('button', { name: '🔥' }).click();
    for (const phone of [ada, ben]) {
      await phone.waitFor('both reactions', () => /❤️.*🔥|🔥.*❤️/.test(document.querySelector('.reaction-layer').textContent));
    }
    // Reactions never touch the status of the music, and this phone's own are not announced to it.
    await ada.waitFor('the announcement', () => globalThis.announcements.some((text) => text.startsWith('Reactions: ')));
    assert.deepEqual(await ben.evaluate(() => globalThis.announcements), []);
    assert.match(await ada.evaluate(() => document.querySelector('#status').textContent), /paused/);
    assert.equal(await ada.evaluate(() => document.querySelector('#talk-announcement').closest('[role=status]')), null);
    const crowd = await Promise.all(Array.from({ length: 6 }, (_, i) => pairDevice(server, `Guest ${i}`)));
    await Promise.all(crowd.flatMap(({ react }) => Array.from({ length: 20 }, () => react('🎉'))));
    await ada.waitFor('the crowd', () => document.querySelector('.reaction-layer').textContent.includes('🎉'));
    await ada.waitFor('the end of the animations', () => document.querySelector('.reaction-layer').childElementCount === 0);
    const mostFloating = await ada.evaluate(() => globalThis.mostFloating);
    assert.ok(mostFloating > 0 && mostFloating <= 24, `${mostFloating} at once`);
    // The crowd is announced together with what comes within some seconds.
    const atMs = await ada.evaluate(() => globalThis.announcedAtMs);
    for (const [i, ms] of atMs.slice(1).entries()) assert.ok(ms - atMs[i] > 5_900, `announced at ${atMs}`);
    await ben.page.keyboard.press('Escape');
    assert.equal(await ben.evaluate(() => document.querySelector('#reaction-picker').hidden && document.activeElement.id), 'react-button');
    await ben.press('React');
    await ben.page.locator('#now-cover').click({ position: { x: 8, y: 8 } });
    await ben.waitFor('the picker to close', () => document.querySelector('#reaction-picker').hidden);
  }));

test('reduced motion shows a count of reactions instead', async (t) => {
  const server = await startServer({ fill: tones({ 'Alpha Dance': 20 }) });
  t.after(server.remove);
  const ada = await openPhone(browser, server.url(), { reducedMotion: 'reduce' });
  t.after(ada.close);
  const ben = await pairDevice(server, 'Ben');
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.waitForStatus('paused');
    for (const emoji of ['🔥', '👍', '🔥']) await ben.react(emoji);
    await ada.waitFor('the count', () => document.querySelector('#reaction-count').textContent === '🔥 2  👍 1');
    assert.equal(await ada.evaluate(() => document.querySelector('.reaction-layer').childElementCount), 0);
    assert.equal(await ada.evaluate(() => document.querySelector('#reaction-count').hidden), false);
    await ada.waitFor('the count to go', () => document.querySelector('#reaction-count').hidden);
  });
});

test('the rules switch the chat off, and hosts remove messages', (t) =>
  withRoom(t, browser, { names: ['Ada', 'Ben'] }, async ([ada, ben], server) => {
    const host = await pairDevice(server, 'Cleo');
    await ada.press('Chat');
    await send(ada, 'one');
    await waitForTexts(ada, ['one']);
    await host.setRules({ chat: false });
    await ada.waitFor('the sentence', () => [...document.querySelectorAll('.toast')].some(({ textContent }) => textContent.includes('The chat is off now')));
    for (const phone of [ada, ben]) {
      await phone.waitFor('the chat to go', () => document.querySelector('#chat-sheet').hidden && document.querySelector('#chat-button').hidden);
    }
    await host.setRules({ chat: true });
    await ben.waitFor('the button', () => !document.querySelector('#chat-button').hidden);
    await ben.press('Chat');
    assert.equal(await ben.page.locator('.message-remove:visible').count(), 0);
    const { eventCount } = await (await host.request('GET', 'snapshot')).json();
    const memberId = await ben.evaluate(async () => (await fetch('/snapshot')).headers.get('lockstep-member'));
    assert.equal((await host.request('POST', 'hosts', { memberId, host: true }, { 'If-Match-Event': String(eventCount) })).status, 200);
    await ben.waitFor('the button of a host', () => [...document.querySelectorAll('.message-remove')].some((button) => !button.hidden));
    await ben.press('Remove the message “one”');
    await ben.press('Really remove the message “one”?');
    await waitForTexts(ben, []);
    await ada.press('Chat');
    assert.deepEqual(await shownTexts(ada), []);
  }));
