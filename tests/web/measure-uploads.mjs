// Measures what five phones that upload at once cost the others on a narrow link, and prints a Markdown table. Needs root, `ip` and `tc`:
//
//     cargo build --release && LOCKSTEP_BIN=target/release/lockstep node tests/web/measure-uploads.mjs
//
// The server is in one network namespace and the phones are in another one. Each direction of the link between them sends 20 Mbit/s
// and has a queue of 300 ms, as a bad access point has. The phones are this program in the other namespace.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tone } from './support/tones.mjs';

const RATE = '20mbit';
const QUEUE_MS = 300;
const UPLOADERS = 5;
const CODE = '123456';
/** As the page's largest slice. */
const SLICE = Buffer.alloc(2 * 1024 * 1024, 7);
const REQUESTS = 300;
const REQUEST_INTERVAL_MS = 20;
const BARRIERS = 15;
/** Idle and busy phases alternate, so that a change of the machine's load affects both. */
const ROUNDS = 3;

const [SERVER, PHONES] = ['server', 'phones'].map((name) => `lockstep-${name}-${process.pid}`);
const sleep = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

if (process.argv[2] === 'phones') await runPhones(process.argv[3] ?? '');
else await runServer();

async function runServer() {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-measure-'));
  const ip = (/** @type {string} */ line) => execFileSync('ip', line.split(' '));
  const namespaces = [SERVER, PHONES];
  /** @type {import('node:child_process').ChildProcess | null} */
  let server = null;
  try {
    for (const name of namespaces) ip(`netns add ${name}`);
    ip(`link add name ls0 netns ${SERVER} type veth peer name ls1 netns ${PHONES}`);
    for (const [i, name] of namespaces.entries()) {
      ip(`-n ${name} addr add 10.77.0.${i + 1}/24 dev ls${i}`);
      for (const device of ['lo', `ls${i}`]) ip(`-n ${name} link set ${device} up`);
      const shape = `netns exec ${name} tc qdisc add dev ls${i} root tbf rate ${RATE} burst 16k latency ${QUEUE_MS}ms`;
      ip(shape);
    }
    const music = join(folder, 'music');
    await mkdir(music);
    for (let i = 0; i < BARRIERS * ROUNDS * 2 + 10; i += 1) await writeFile(join(music, `${100 + i}.wav`), tone(20, { hz: 200 + 3 * i, rate: 8_000 }));
    const flags = ['--audio-dir', music, '--state-file', join(folder, 'state.json'), '--listen', '10.77.0.1:8080', '--pairing-code', CODE, '--no-mdns'];
    server = spawn('ip', ['netns', 'exec', SERVER, process.env['LOCKSTEP_BIN'] ?? 'target/release/lockstep', ...flags], { stdio: 'ignore' });
    const phones = spawn('ip', ['netns', 'exec', PHONES, process.execPath, fileURLToPath(import.meta.url), 'phones', 'http://10.77.0.1:8080'], { stdio: 'inherit' });
    const [code] = await once(phones, 'exit');
    process.exitCode = code ?? 1;
  } finally {
    server?.kill();
    for (const name of namespaces) try { ip(`netns del ${name}`); } catch { /* It was not created. */ }
    await sleep(500);
    await rm(folder, { recursive: true, force: true });
  }
}

/** A phone with connections of its own. @param {string} url */
async function pair(url) {
  const agent = new Agent({ keepAlive: true });
  let token = '';
  /**
   * @param {string} method
   * @param {string} path
   * @param {{headers?: Record<string, string>, body?: Buffer | string}} [options]
   * @returns {Promise<{status: number, headers: import('node:http').IncomingHttpHeaders, body: Buffer}>}
   */
  const send = (method, path, { headers = {}, body } = {}) => new Promise((resolve, reject) => {
    const sent = request(`${url}${path}`, { method, agent, headers: { ...(token && { Authorization: `Bearer ${token}` }), ...headers } }, (response) => {
      /** @type {Buffer[]} */
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
  const paired = JSON.parse((await send('POST', '/pair', { body: JSON.stringify({ code: CODE }) })).body.toString());
  token = paired.clientId;
  /** @param {(event: {event: string, payload: any, eventCount: number}) => void} onEvent */
  const listen = (onEvent) => {
    const stream = request(`${url}/events`, { headers: { Authorization: `Bearer ${token}` } }, (response) => {
      let text = '';
      response.on('data', (part) => {
        text += part;
        const events = text.split('\n\n');
        text = events.pop() ?? '';
        for (const event of events) {
          const data = /^data: ?(.*)$/m.exec(event)?.[1];
          if (data) onEvent(JSON.parse(data));
        }
      });
    });
    stream.on('error', () => {});
    stream.end();
    return () => stream.destroy();
  };
  return { send, listen };
}

/** @typedef {Awaited<ReturnType<typeof pair>>} Phone */

/** Uploads until `isOver`, in slices as the page does. @param {Phone} phone @param {() => boolean} isOver @param {(bytes: number) => void} onSent */
async function upload({ send }, isOver, onSent) {
  const tus = { 'Tus-Resumable': '1.0.0' };
  const begun = await send('POST', '/uploads', { headers: { ...tus, 'Upload-Length': String(400 * 1024 * 1024), 'Upload-Metadata': 'filename U29uZy53YXY=' } });
  const path = begun.headers.location ?? '';
  for (let offset = 0; !isOver(); offset += SLICE.length) {
    const headers = { ...tus, 'Content-Type': 'application/offset+octet-stream', 'Upload-Offset': String(offset) };
    const { status } = await send('PATCH', path, { headers, body: SLICE });
    if (status !== 204) throw new Error(`a slice got ${status}`);
    onSent(SLICE.length);
  }
  await send('DELETE', path, { headers: tus });
}

/** The times of small requests in ms. @param {Phone} phone */
async function timeRequests({ send }) {
  const times = [];
  for (let i = 0; i < REQUESTS; i += 1) {
    const startedMs = performance.now();
    await send('GET', '/clock');
    times.push(performance.now() - startedMs);
    await sleep(REQUEST_INTERVAL_MS);
  }
  return times;
}

/** The times from /next to the release of its barrier in ms, with one listener that downloads the track. @param {Phone} phone */
async function timeBarriers({ send, listen }) {
  let eventCount = 0;
  /** @type {(event: {event: string, payload: any}) => void} */
  let onEvent = () => {};
  const command = async (/** @type {string} */ path, /** @type {unknown} */ body) => {
    for (;;) {
      const answer = await send('POST', path, { headers: { 'If-Match-Event': String(eventCount), Prefer: 'return=minimal' }, body: JSON.stringify(body) });
      if (answer.status === 200) return;
      if (answer.status !== 409) throw new Error(`${path} got ${answer.status} ${answer.body}`);
      eventCount = JSON.parse(answer.body.toString()).expectedEventCount;
    }
  };
  const nextEvent = (/** @type {string} */ name) => new Promise((resolve) => {
    onEvent = (event) => event.event === name && resolve(event.payload);
  });
  const opened = nextEvent('snapshot');
  const close = listen((event) => {
    eventCount = event.eventCount;
    onEvent(event);
  });
  await opened;
  const times = [];
  for (let i = 0; i <= BARRIERS; i += 1) {
    const startedMs = performance.now();
    const barrier = nextEvent('barrier.opened');
    await command(i === 0 ? '/play' : '/next', i === 0 ? { positionSec: 0 } : {});
    const { trackId } = /** @type {any} */ (await barrier);
    const released = nextEvent('barrier.release');
    await send('GET', `/file/${trackId}`);
    await command('/ack-download', { trackId, playable: true });
    await released;
    // The first one starts the music.
    if (i > 0) times.push(performance.now() - startedMs);
  }
  await command('/pause', { positionSec: 0 });
  close();
  return times;
}

/** @param {string} url */
async function runPhones(url) {
  while (await pair(url).then(() => false, () => true)) await sleep(200);
  const [asking, listening, ...uploading] = await Promise.all(Array.from({ length: 2 + UPLOADERS }, () => pair(url)));
  if (!asking || !listening) return;
  /** @type {Record<'idle' | 'busy', {requests: number[], barriers: number[]}>} */
  const times = { idle: { requests: [], barriers: [] }, busy: { requests: [], barriers: [] } };
  let sentBytes = 0;
  /** @type {number[]} */
  const rates = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const phase of /** @type {const} */ (['idle', 'busy'])) {
      let isOver = false;
      const uploads = phase === 'busy' ? uploading.map((phone) => upload(phone, () => isOver, (bytes) => (sentBytes += bytes))) : [];
      // Until the queue has filled.
      await sleep(2_000);
      const startedMs = performance.now();
      const before = sentBytes;
      times[phase].requests.push(...(await timeRequests(asking)));
      if (phase === 'busy') rates.push(((sentBytes - before) * 8) / (performance.now() - startedMs) / 1_000);
      times[phase].barriers.push(...(await timeBarriers(listening)));
      isOver = true;
      await Promise.all(uploads);
    }
  }
  console.log(`| five uploads on ${RATE} | idle p50 | idle p99 | busy p50 | busy p99 | p99 grows by | count |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |`);
  for (const [name, key] of /** @type {const} */ ([['small request', 'requests'], ['barrier with a download of 0.3 MB', 'barriers']])) {
    const [idle, busy] = [times.idle[key], times.busy[key]];
    const values = [percentile(idle, 50), percentile(idle, 99), percentile(busy, 50), percentile(busy, 99), percentile(busy, 99) - percentile(idle, 99)];
    console.log(`| ${name} | ${values.map((ms) => `${ms.toFixed(0)} ms`).join(' | ')} | ${idle.length} |`);
  }
  console.log(`\nThe uploads sent ${rates.map((rate) => rate.toFixed(1)).join(', ')} Mbit/s together.`);
  process.exit(0);
}

/** @param {number[]} values @param {number} share */
function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil((sorted.length * share) / 100) - 1)] ?? 0;
}
