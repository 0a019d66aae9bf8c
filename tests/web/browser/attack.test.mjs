// Pages of strangers, open in the browser of somebody who is paired: they try all that a page can do to another origin. They
// learn nothing, and the room is afterwards what it was before.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMIT_MS, LOOK_EVERY_MS } from '../support/eyes.mjs';
import { openBrowser, openPhone } from '../support/phones.mjs';
import { CODE, DEMO_MUSIC, copies, startServer } from '../support/server.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** The strangers' server, which has a page under every name. */
const strangers = createServer((_, answer) => answer.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Kittens</title>'));
before(async () => {
  browser = await openBrowser(['party.lan', 'evil.test']);
  server = await startServer({ fill: copies(DEMO_MUSIC) });
  strangers.listen(0, '127.0.0.1');
  await once(strangers, 'listening');
});
after(async () => {
  await browser.close();
  strangers.close();
  await server.end();
});

/** @param {string} host */
function strangeUrl(host) {
  const { port } = /** @type {import('node:net').AddressInfo} */ (strangers.address());
  return `http://${host}:${port}/`;
}

/** @param {string} path @param {RequestInit} [init] */
const ask = (path, init) => fetch(new URL(path, server.url('127.0.0.1')), init);

/** A device that is no browser, and sees what becomes of the room. */
async function openWatcher() {
  const paired = await ask('/pair', { method: 'POST', body: JSON.stringify({ code: CODE, clientName: 'Watcher' }) });
  const { clientId } = await paired.json();
  const headers = { Authorization: `Bearer ${clientId}` };
  const snapshot = async () => (await ask('/snapshot', { headers })).json();
  const index = async () => (await ask('/index', { headers })).json();
  /** Follows the room from now on; what is returned gives all that was heard, as text. */
  const follow = async () => {
    const leave = new AbortController();
    const { body } = await ask('/events?role=remote', { headers, signal: leave.signal });
    let heard = '';
    const end = (async () => {
      for await (const text of body.pipeThrough(new TextDecoderStream())) heard += text;
    })().catch(() => {});
    return async () => {
      leave.abort();
      await end;
      // What was cut off half way is no message.
      return heard.slice(0, heard.lastIndexOf('\n') + 1);
    };
  };
  return { snapshot, index, follow };
}

/**
 * In the stranger's page: what has come of each thing that it has tried, `nothing` where it should.
 * @param {string} target the server's page
 * @param {{trackId: string, coverId: string, memberId: string, eventCount: number, code: string}} known all that a stranger
 *   could ever find out, and more
 */
async function attack(target, { trackId, coverId, memberId, eventCount, code }) {
  const url = (/** @type {string} */ path) => new URL(path, target).href;
  /** @type {Record<string, string>} */
  const came = {};
  /** @type {Promise<void>[]} */
  const tries = [];
  const attempt = (/** @type {string} */ name, /** @type {() => Promise<string>} */ act) => {
    // Hundreds of tries share six connections: only what will never end is cut short.
    const patience = new Promise((give) => setTimeout(give, 120_000, 'no end'));
    tries.push(Promise.race([act().catch(() => 'nothing'), patience]).then((what) => void (came[name] = what)));
  };
  /** Resolves with how an element fared. */
  const element = (/** @type {string} */ tag, /** @type {Record<string, string>} */ attributes) =>
    new Promise((done) => {
      const made = Object.assign(document.createElement(tag), attributes);
      for (const good of ['load', 'loadedmetadata']) made.addEventListener(good, () => done(`${tag} loaded`));
      made.addEventListener('error', () => done('nothing'));
      document.body.append(made);
    });

  const readable = ['/', '/snapshot', '/index', '/code', '/qr', '/clock', '/healthz', '/debug/state', '/js/main.js', `/file/${trackId}`, `/cover/${coverId}`, '/events', '/events?role=remote'];
  for (const path of readable) {
    for (const credentials of /** @type {const} */ (['include', 'omit'])) {
      attempt(`read ${path}, ${credentials}`, async () => `${(await fetch(url(path), { credentials })).status}`);
    }
    attempt(`take ${path} unread`, async () => {
      const { type, status } = await fetch(url(path), { mode: 'no-cors', credentials: 'include' });
      return type === 'opaque' && status === 0 ? 'nothing' : `${type} ${status}`;
    });
  }

  /** @type {Record<string, object>} */
  const wishes = {
    '/pair': { code, clientName: 'Mallory' },
    '/leave': {},
    '/unpair': { memberId },
    '/rename': { clientName: 'Mallory' },
    '/rescan': {},
    '/tune': { delays: { [memberId]: 100 } },
    '/tuning': { kind: 'tick' },
    '/sync': { offMs: 0, roundTripMs: 1, latencyMs: 1, needsMs: 1 },
    '/play': { positionSec: 0 },
    '/pause': { positionSec: 0 },
    '/seek': { positionSec: 1 },
    '/next': {},
    '/nudge': { trackId },
    '/ack-download': { trackId },
    '/start-now': {},
  };
  for (const [path, wish] of Object.entries(wishes)) {
    const body = JSON.stringify(wish);
    // As browsers send without asking first.
    attempt(`send ${path}`, async () => {
      const { type } = await fetch(url(path), { method: 'POST', mode: 'no-cors', credentials: 'include', headers: { 'Content-Type': 'text/plain' }, body });
      return type === 'opaque' ? 'nothing' : type;
    });
    // As the page itself does.
    attempt(`command ${path}`, async () => {
      const headers = { 'Content-Type': 'application/json', 'If-Match-Event': String(eventCount) };
      return `${(await fetch(url(path), { method: 'POST', credentials: 'include', headers, body })).status}`;
    });
    attempt(`send ${path} when it is closed`, async () => {
      navigator.sendBeacon(url(path), body);
      return 'nothing';
    });
    // As a form, whose body can be JSON but for an equals sign.
    attempt(`post ${path} as a form`, async () => {
      const frame = Object.assign(document.createElement('iframe'), { name: `frame-${path}` });
      const form = Object.assign(document.createElement('form'), { method: 'post', enctype: 'text/plain', action: url(path), target: frame.name });
      const [name, value] = [body.slice(0, -1) + (body === '{}' ? '"x":"' : ',"x":"'), '"}'];
      form.append(Object.assign(document.createElement('input'), { name, value }));
      document.body.append(frame, form);
      const answered = new Promise((done) => frame.addEventListener('load', done));
      form.submit();
      await answered;
      return frame.contentDocument?.body.innerText ? frame.contentDocument.body.innerText : 'nothing';
    });
  }
  for (let i = 0; i < 15; i += 1) {
    attempt(`guess ${i}`, async () => {
      await fetch(url('/pair'), { method: 'POST', mode: 'no-cors', body: JSON.stringify({ code: `${100_000 + i}` }) });
      return 'nothing';
    });
  }

  for (const path of ['/qr', `/cover/${coverId}`, '/icons/icon.svg', '/events']) attempt(`img ${path}`, () => element('img', { src: url(path) }));
  for (const path of ['/index', '/snapshot', '/code', '/js/format.js', '/events']) attempt(`script ${path}`, () => element('script', { src: url(path) }));
  attempt('module', () => element('script', { type: 'module', src: url('/js/format.js') }));
  attempt('style', () => element('link', { rel: 'stylesheet', href: url('/app.css') }));
  for (const tag of ['audio', 'video']) attempt(tag, () => element(tag, { src: url(`/file/${trackId}`), preload: 'auto' }));
  attempt('object', () => element('object', { data: url('/code'), type: 'text/html' }));
  for (const path of ['/', '/code', '/snapshot', '/qr', '/events', `/file/${trackId}`]) {
    attempt(`frame ${path}`, async () => {
      const frame = Object.assign(document.createElement('iframe'), { src: url(path) });
      document.body.append(frame);
      // What is refused, and what is another origin's, ends alike: what can be seen in it is looked at from outside.
      await new Promise((done) => frame.addEventListener('load', done));
      return frame.contentDocument === null ? 'nothing' : 'its document';
    });
  }

  for (const path of ['/events', '/events?role=remote']) {
    attempt(`listen ${path}`, () => new Promise((done) => {
      const source = new EventSource(url(path), { withCredentials: true });
      source.onmessage = ({ data }) => done(data);
      source.onopen = () => done('an open stream');
      source.onerror = () => {
        source.close();
        done('nothing');
      };
    }));
  }
  attempt('a socket', () => new Promise((done) => {
    const socket = new WebSocket(url('/events').replace('http', 'ws'));
    socket.onopen = () => done('an open socket');
    socket.onerror = () => done('nothing');
  }));
  await Promise.all(tries);
  return came;
}

/** The music, who may hear it, and who does. */
const HOUSES = [
  { name: 'of another site', from: 'evil.test', to: 'party.lan' },
  { name: 'of another site, on the server’s own machine', from: 'evil.test', to: '127.0.0.1' },
  { name: 'of another port of the same machine', from: '127.0.0.1', to: '127.0.0.1' },
  // Where the page is not secure, browsers do not say from which port a request comes: a stream may be opened in the victim's
  // name. Whoever serves that port is sent the cookie itself, since cookies know no ports.
  { name: 'of another port, by a name', from: 'party.lan', to: 'party.lan', streams: true },
];

for (const { name, from, to, streams = false } of HOUSES) {
  test(`a page ${name} learns nothing and changes nothing`, async (t) => {
    const ada = await openPhone(browser, server.url(to));
    t.after(ada.close);
    await ada.join('Ada');
    const memberId = await ada.until('who it is', async () => (await fetch('/snapshot')).headers.get('Lockstep-Member'));
    const watcher = await openWatcher();
    const index = await watcher.index();
    const { trackId } = index[0];
    const coverId = index.find((/** @type {{coverUrl?: string}} */ track) => track.coverUrl).trackId;
    // With her own page closed, every sign of her is the stranger's doing.
    await ada.page.goto('about:blank');
    let was = await watcher.snapshot();
    for (const end = Date.now() + LIMIT_MS; Object.keys(was.live.listeners).length > 0; was = await watcher.snapshot()) {
      assert.ok(Date.now() < end, 'her page is never gone');
      await sleep(LOOK_EVERY_MS);
    }

    const heard = await watcher.follow();
    const stranger = await ada.page.context().newPage();
    let shown = 0;
    stranger.on('framenavigated', (frame) => (shown += Number(frame.url().startsWith(server.url(to)))));
    await stranger.goto(strangeUrl(from));
    const known = { trackId, coverId, memberId, eventCount: was.eventCount, code: CODE };
    const came = await stranger.evaluate(
      ([code, target, all]) => new Function(`return (${code})`)()(target, all),
      /** @type {const} */ ([String(attack), server.url(to), known]),
    );
    assert.deepEqual(Object.entries(came).filter(([, what]) => what !== 'nothing'), []);
    assert.equal(shown, 0, 'something of the server is shown in a frame');
    const is = await watcher.snapshot();
    assert.deepEqual({ ...is, live: null }, { ...was, live: null });
    const told = (await heard()).split('\n').filter((line) => line.startsWith('data: ')).map((line) => JSON.parse(line.slice(6)));
    const expected = (/** @type {{event: string, payload: any}} */ { event, payload }) => ['presence', 'progress'].includes(event) && (streams || !(memberId in payload.listeners));
    assert.deepEqual(told.slice(1).filter((message) => !expected(message)), []);
    // Nor did its guesses cost anybody who guesses from the same machine.
    assert.equal((await ask('/pair', { method: 'POST', body: '{"code":"000000"}' })).status, 403);
  });
}

test('a page that has opened the server’s page can neither see into it nor tell it anything', async (t) => {
  const ada = await openPhone(browser, server.url('127.0.0.1'));
  t.after(ada.close);
  await ada.join('Ada');
  const stranger = await ada.page.context().newPage();
  await stranger.goto(strangeUrl('127.0.0.1'));
  for (const path of ['', 'code', 'snapshot']) {
    const opened = stranger.waitForEvent('popup');
    await stranger.evaluate((url) => void (globalThis.opened = open(url)), server.url('127.0.0.1') + path);
    const popup = await opened;
    await popup.waitForLoadState();
    const seen = await stranger.evaluate(() => {
      globalThis.opened.postMessage({ event: 'snapshot', payload: {}, eventCount: 1e9 }, '*');
      try {
        return String(globalThis.opened.document.body.innerText);
      } catch (error) {
        return /** @type {Error} */ (error).name;
      }
    });
    assert.equal(seen, 'SecurityError', path);
    await popup.close();
  }
  await ada.status('paused');
});

test('a name that is made to lead to the server is refused, whatever is asked by it', async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  const { port } = new URL(server.url());
  const landed = await page.goto(`http://evil.test:${port}/`);
  assert.equal(landed?.status(), 421);
  // The stranger's page was loaded by that name before it led here, so it has this very origin.
  const answers = await page.evaluate(async (code) => {
    const body = JSON.stringify({ code, clientName: 'Mallory' });
    const asked = ['/', '/code', '/qr', '/snapshot', '/healthz', '/events'].map((path) => fetch(path));
    const said = await Promise.all([...asked, fetch('/pair', { method: 'POST', body })]);
    return Promise.all(said.map(async (answer) => [answer.status, (await answer.text()).includes(code)]));
  }, CODE);
  assert.deepEqual(answers, answers.map(() => [421, false]));
  assert.deepEqual(await context.cookies(), []);
});
