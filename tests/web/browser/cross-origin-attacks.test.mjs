// Attacks by pages of other origins in the browser of a paired phone: cross-site requests, framing, content sniffing and DNS
// rebinding. No attack may read data or change the room.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { POLL_INTERVAL_MS, WAIT_TIMEOUT_MS } from '../support/page-checks.mjs';
import { openBrowser, openPhone } from '../support/phones.mjs';
import { DEMO_MUSIC, PAIRING_CODE, copyMusicFrom, startServer } from '../support/server.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** The attacker's server, which responds under every host name. */
const attackerServer = createServer((_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Kittens</title>'));
before(async () => {
  browser = await openBrowser(['party.lan', 'evil.test']);
  server = await startServer({ fill: copyMusicFrom(DEMO_MUSIC) });
  attackerServer.listen(0, '127.0.0.1');
  await once(attackerServer, 'listening');
});
after(async () => {
  await browser.close();
  attackerServer.close();
  await server.remove();
});

/** @param {string} host */
function attackerUrl(host) {
  const { port } = /** @type {import('node:net').AddressInfo} */ (attackerServer.address());
  return `http://${host}:${port}/`;
}

/** @param {string} path @param {RequestInit} [init] */
const request = (path, init) => fetch(new URL(path, server.url('127.0.0.1')), init);

/** A paired device without a page that observes the room. */
async function openObserver() {
  const paired = await request('/pair', { method: 'POST', body: JSON.stringify({ code: PAIRING_CODE, clientName: 'Observer' }) });
  const { clientId } = await paired.json();
  const headers = { Authorization: `Bearer ${clientId}` };
  const snapshot = async () => (await request('/snapshot', { headers })).json();
  const index = async () => (await request('/index', { headers })).json();
  /** Records the event stream from now on. The returned function ends the recording and returns its text. */
  const recordEvents = async () => {
    const controller = new AbortController();
    const { body } = await request('/events?role=remote', { headers, signal: controller.signal });
    let recorded = '';
    const finished = (async () => {
      for await (const text of body.pipeThrough(new TextDecoderStream())) recorded += text;
    })().catch(() => {});
    return async () => {
      controller.abort();
      await finished;
      // An incomplete last message is ignored.
      return recorded.slice(0, recorded.lastIndexOf('\n') + 1);
    };
  };
  return { snapshot, index, recordEvents };
}

/**
 * Runs in the attacker's page: tries every attack and returns the outcomes by attack; `blocked` if the page got no data.
 * @param {string} target the server's page
 * @param {{trackId: string, coverId: string, memberId: string, eventCount: number, code: string}} known
 *   the secrets and ids of the room, more than an attacker could find out
 */
async function attack(target, { trackId, coverId, memberId, eventCount, code }) {
  const url = (/** @type {string} */ path) => new URL(path, target).href;
  /** @type {Record<string, string>} */
  const outcomes = {};
  /** @type {Promise<void>[]} */
  const attempts = [];
  const attempt = (/** @type {string} */ name, /** @type {() => Promise<string>} */ attack) => {
    // Hundreds of attempts share six connections, so the timeout only ends attempts that never finish.
    const timeout = new Promise((resolve) => setTimeout(resolve, 120_000, 'timed out'));
    attempts.push(Promise.race([attack().catch(() => 'blocked'), timeout]).then((outcome) => void (outcomes[name] = outcome)));
  };
  /** Resolves with the outcome of loading an element. */
  const loadElement = (/** @type {string} */ tag, /** @type {Record<string, string>} */ attributes) =>
    new Promise((resolve) => {
      const node = Object.assign(document.createElement(tag), attributes);
      for (const event of ['load', 'loadedmetadata']) node.addEventListener(event, () => resolve(`${tag} loaded`));
      node.addEventListener('error', () => resolve('blocked'));
      document.body.append(node);
    });

  const readPaths = ['/', '/snapshot', '/index', '/code', '/qr', '/clock', '/healthz', '/debug/state', '/js/main.js', `/file/${trackId}`, `/cover/${coverId}`, '/events', '/events?role=remote'];
  for (const path of readPaths) {
    for (const credentials of /** @type {const} */ (['include', 'omit'])) {
      attempt(`read ${path} with credentials ${credentials}`, async () => `${(await fetch(url(path), { credentials })).status}`);
    }
    attempt(`opaque read ${path}`, async () => {
      const { type, status } = await fetch(url(path), { mode: 'no-cors', credentials: 'include' });
      return type === 'opaque' && status === 0 ? 'blocked' : `${type} ${status}`;
    });
  }

  /** @type {Record<string, object>} */
  const commands = {
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
  for (const [path, command] of Object.entries(commands)) {
    const body = JSON.stringify(command);
    // Simple requests, which browsers send without a preflight.
    attempt(`simple request ${path}`, async () => {
      const { type } = await fetch(url(path), { method: 'POST', mode: 'no-cors', credentials: 'include', headers: { 'Content-Type': 'text/plain' }, body });
      return type === 'opaque' ? 'blocked' : type;
    });
    // The same requests as the server's page sends, with JSON and `If-Match-Event`.
    attempt(`preflighted request ${path}`, async () => {
      const headers = { 'Content-Type': 'application/json', 'If-Match-Event': String(eventCount) };
      return `${(await fetch(url(path), { method: 'POST', credentials: 'include', headers, body })).status}`;
    });
    attempt(`beacon ${path}`, async () => {
      navigator.sendBeacon(url(path), body);
      return 'blocked';
    });
    // A form post with an input whose name and value form JSON around the equals sign.
    attempt(`form post ${path}`, async () => {
      const frame = Object.assign(document.createElement('iframe'), { name: `frame-${path}` });
      const form = Object.assign(document.createElement('form'), { method: 'post', enctype: 'text/plain', action: url(path), target: frame.name });
      const [name, value] = [body.slice(0, -1) + (body === '{}' ? '"x":"' : ',"x":"'), '"}'];
      form.append(Object.assign(document.createElement('input'), { name, value }));
      document.body.append(frame, form);
      const loaded = new Promise((resolve) => frame.addEventListener('load', resolve));
      form.submit();
      await loaded;
      return frame.contentDocument?.body.innerText ? frame.contentDocument.body.innerText : 'blocked';
    });
  }
  for (let i = 0; i < 15; i += 1) {
    attempt(`guess code ${i}`, async () => {
      await fetch(url('/pair'), { method: 'POST', mode: 'no-cors', body: JSON.stringify({ code: `${100_000 + i}` }) });
      return 'blocked';
    });
  }

  for (const path of ['/qr', `/cover/${coverId}`, '/icons/icon.svg', '/events']) attempt(`img ${path}`, () => loadElement('img', { src: url(path) }));
  for (const path of ['/index', '/snapshot', '/code', '/js/format.js', '/events']) attempt(`script ${path}`, () => loadElement('script', { src: url(path) }));
  attempt('module', () => loadElement('script', { type: 'module', src: url('/js/format.js') }));
  attempt('style', () => loadElement('link', { rel: 'stylesheet', href: url('/app.css') }));
  for (const tag of ['audio', 'video']) attempt(tag, () => loadElement(tag, { src: url(`/file/${trackId}`), preload: 'auto' }));
  attempt('object', () => loadElement('object', { data: url('/code'), type: 'text/html' }));
  for (const path of ['/', '/code', '/snapshot', '/qr', '/events', `/file/${trackId}`]) {
    attempt(`frame ${path}`, async () => {
      const frame = Object.assign(document.createElement('iframe'), { src: url(path) });
      document.body.append(frame);
      // Blocked and loaded cross-origin frames look the same to this page; the test counts loaded frames by their navigation events.
      await new Promise((resolve) => frame.addEventListener('load', resolve));
      return frame.contentDocument === null ? 'blocked' : 'a readable document';
    });
  }

  for (const path of ['/events', '/events?role=remote']) {
    attempt(`event stream ${path}`, () => new Promise((resolve) => {
      const source = new EventSource(url(path), { withCredentials: true });
      source.onmessage = ({ data }) => resolve(data);
      source.onopen = () => resolve('an open stream');
      source.onerror = () => {
        source.close();
        resolve('blocked');
      };
    }));
  }
  attempt('web socket', () => new Promise((resolve) => {
    const socket = new WebSocket(url('/events').replace('http', 'ws'));
    socket.onopen = () => resolve('an open socket');
    socket.onerror = () => resolve('blocked');
  }));
  await Promise.all(attempts);
  return outcomes;
}

/** Host names of the attacker's page (`from`) and of the server's page on the victim's phone (`to`). */
const ORIGINS = [
  { name: 'of another site', from: 'evil.test', to: 'party.lan' },
  { name: 'of another site, with the server at 127.0.0.1,', from: 'evil.test', to: '127.0.0.1' },
  { name: 'of another port at 127.0.0.1', from: '127.0.0.1', to: '127.0.0.1' },
  // On insecure pages browsers send no Fetch Metadata, so another port's page can open a stream with the victim's cookie. That
  // port's server receives the cookie anyway, because cookies do not distinguish ports.
  { name: 'of another port at the same host name', from: 'party.lan', to: 'party.lan', canOpenStream: true },
];

for (const { name, from, to, canOpenStream = false } of ORIGINS) {
  test(`a page ${name} reads nothing and changes nothing`, async (t) => {
    const ada = await openPhone(browser, server.url(to));
    t.after(ada.close);
    // A loudness that the victim's page reports would change the index during the attack.
    await ada.evaluate(() => {
      const { fetch } = globalThis;
      globalThis.fetch = (path, options) => (String(path).endsWith('/loudness') ? Promise.reject(new TypeError('not sent')) : fetch(path, options));
    });
    await ada.join('Ada');
    const memberId = await ada.waitFor('the member id of the phone', async () => (await fetch('/snapshot')).headers.get('Lockstep-Member'));
    const observer = await openObserver();
    const index = await observer.index();
    const { trackId } = index[0];
    const coverId = index.find((/** @type {{coverUrl?: string}} */ track) => track.coverUrl).trackId;
    // The victim's page is closed, so every later event of this phone comes from the attacker.
    await ada.page.goto('about:blank');
    let snapshotBefore = await observer.snapshot();
    for (const deadline = Date.now() + WAIT_TIMEOUT_MS; Object.keys(snapshotBefore.live.listeners).length > 0; snapshotBefore = await observer.snapshot()) {
      assert.ok(Date.now() < deadline, 'timed out waiting for the closed page to leave the list of listeners');
      await sleep(POLL_INTERVAL_MS);
    }

    const finishRecording = await observer.recordEvents();
    const attackerPage = await ada.page.context().newPage();
    let framesWithServer = 0;
    attackerPage.on('framenavigated', (frame) => (framesWithServer += Number(frame.url().startsWith(server.url(to)))));
    await attackerPage.goto(attackerUrl(from));
    const known = { trackId, coverId, memberId, eventCount: snapshotBefore.eventCount, code: PAIRING_CODE };
    const outcomes = await attackerPage.evaluate(
      ([source, target, secrets]) => new Function(`return (${source})`)()(target, secrets),
      /** @type {const} */ ([String(attack), server.url(to), known]),
    );
    assert.deepEqual(Object.entries(outcomes).filter(([, outcome]) => outcome !== 'blocked'), []);
    assert.equal(framesWithServer, 0, 'a frame shows content of the server');
    const snapshotAfter = await observer.snapshot();
    assert.deepEqual({ ...snapshotAfter, live: null }, { ...snapshotBefore, live: null });
    const events = (await finishRecording()).split('\n').filter((line) => line.startsWith('data: ')).map((line) => JSON.parse(line.slice(6)));
    const isExpected = (/** @type {{event: string, payload: any}} */ { event, payload }) => ['presence', 'progress'].includes(event) && (canOpenStream || !(memberId in payload.listeners));
    assert.deepEqual(events.slice(1).filter((message) => !isExpected(message)), []);
    // The attacker's wrong codes did not use up the rate limit of this address.
    assert.equal((await request('/pair', { method: 'POST', body: '{"code":"000000"}' })).status, 403);
  });
}

test('a page cannot read or message a window with the server’s page', async (t) => {
  const ada = await openPhone(browser, server.url('127.0.0.1'));
  t.after(ada.close);
  await ada.join('Ada');
  const attackerPage = await ada.page.context().newPage();
  await attackerPage.goto(attackerUrl('127.0.0.1'));
  for (const path of ['', 'code', 'snapshot']) {
    const opened = attackerPage.waitForEvent('popup');
    await attackerPage.evaluate((url) => void (globalThis.opened = open(url)), server.url('127.0.0.1') + path);
    const popup = await opened;
    await popup.waitForLoadState();
    const readText = await attackerPage.evaluate(() => {
      globalThis.opened.postMessage({ event: 'snapshot', payload: {}, eventCount: 1e9 }, '*');
      try {
        return String(globalThis.opened.document.body.innerText);
      } catch (error) {
        return /** @type {Error} */ (error).name;
      }
    });
    assert.equal(readText, 'SecurityError', path);
    await popup.close();
  }
  await ada.waitForStatus('paused');
});

test('every request under a rebound DNS name is refused', async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  const { port } = new URL(server.url());
  const response = await page.goto(`http://evil.test:${port}/`);
  assert.equal(response?.status(), 421);
  // The attacker's page was loaded under this name before it was rebound, so it has the same origin.
  const outcomes = await page.evaluate(async (code) => {
    const body = JSON.stringify({ code, clientName: 'Mallory' });
    const reads = ['/', '/code', '/qr', '/snapshot', '/healthz', '/events'].map((path) => fetch(path));
    const responses = await Promise.all([...reads, fetch('/pair', { method: 'POST', body })]);
    return Promise.all(responses.map(async (response) => [response.status, (await response.text()).includes(code)]));
  }, PAIRING_CODE);
  assert.deepEqual(outcomes, outcomes.map(() => [421, false]));
  assert.deepEqual(await context.cookies(), []);
});
