// Checks docs/openapi.yaml: the responses of a real server match the schema of their operation and status.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import Ajv from 'ajv/dist/2020.js';
import { parse } from 'yaml';

import { FIXTURES, PAIRING_CODE, copyMusicFrom, startServer } from '../support/server.mjs';

const DOCUMENT = fileURLToPath(new URL('../../../docs/openapi.yaml', import.meta.url));
const UNKNOWN_TRACK = '0123456789abcdef';
/** What `call` returns if the server refused a retriable command because of its event count. */
const STALE = Symbol('stale');

/** @type {any} */
const api = parse(await readFile(DOCUMENT, 'utf8'), { merge: true });
const ajv = new Ajv({ strictSchema: false, allowUnionTypes: true, formats: { binary: true } });
ajv.addSchema({ $id: 'openapi', components: api.components });

/** Follows a reference inside the document. @param {any} node @returns {any} */
function resolve(node) {
  if (!node?.$ref) return node;
  return resolve(node.$ref.slice(2).split('/').reduce((/** @type {any} */ parent, /** @type {string} */ key) => parent[key], api));
}

/** @param {any} schema @param {unknown} value @param {string} description */
function assertMatches(schema, value, description) {
  const absoluteSchema = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"openapi#/'));
  const validate = ajv.compile(absoluteSchema);
  assert.ok(validate(value), `${description}: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(value)}`);
}

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
let token = '';
/** Operations that were requested, as `method path`. @type {Set<string>} */
const requestedOperations = new Set();

before(async () => {
  server = await startServer({ fill: copyMusicFrom(FIXTURES), flags: ['--tls', '--debug', '--no-mdns'] });
});

after(async () => {
  await server?.remove();
});

/**
 * Sends a request, checks the response against the document, and returns its body.
 * @param {string} method
 * @param {string} template the path template in the document
 * @param {object} options
 * @param {string} [options.path]
 * @param {unknown} [options.body]
 * @param {Record<string, string>} [options.headers]
 * @param {number} options.status
 * @param {boolean} [options.paired]
 * @param {boolean} [options.isLocal]
 * @param {boolean} [options.isRetriable]
 */
async function call(method, template, { path = template, body, headers = {}, status, paired = true, isLocal = false, isRetriable = false }) {
  const operation = api.paths[template]?.[method];
  assert.ok(operation, `${method} ${template} is not in the document`);
  requestedOperations.add(`${method} ${template}`);
  const options = {
    method: method.toUpperCase(),
    redirect: /** @type {const} */ ('manual'),
    headers: { ...(paired && !isLocal ? { Authorization: `Bearer ${token}` } : {}), ...headers },
    ...(body === undefined ? {} : { body: body instanceof Buffer ? body : JSON.stringify(body) }),
  };
  const response = isLocal ? await fetchLocally(path, options) : await fetch(new URL(path, server.url('127.0.0.1')), options);
  const description = `${method} ${path}`;
  const bytes = Buffer.from(await response.arrayBuffer());
  if (isRetriable && [409, 429].includes(response.status)) return STALE;
  assert.equal(response.status, status, `${description}: ${bytes.subarray(0, 500)}`);
  const documented = resolve(operation.responses[status] ?? operation.responses.default);
  if (!documented.content) {
    assert.equal(bytes.length, 0, `${description}: a body that the document does not describe`);
    return undefined;
  }
  const type = (response.headers.get('content-type') ?? '').split(';')[0] ?? '';
  const media = documented.content[type] ?? documented.content[type.replace(/\/.*/, '/*')];
  assert.ok(media, `${description}: media type ${type} is not in the document`);
  if (!/json$/.test(type)) return bytes;
  const value = JSON.parse(bytes.toString());
  assertMatches(media.schema, value, description);
  return value;
}

/**
 * Sends a request on the local socket.
 * @param {string} path
 * @param {{method: string, headers: Record<string, string>, body?: string}} options
 * @returns {Promise<Response>}
 */
function fetchLocally(path, { body, ...options }) {
  return new Promise((resolve, reject) => {
    const sent = request({ ...options, socketPath: `${server.stateFile}.socket`, path }, async (response) => {
      const headers = { 'content-type': response.headers['content-type'] ?? '' };
      const bytes = await buffer(response);
      resolve(new Response(bytes.length > 0 ? bytes : null, { status: response.statusCode, headers }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

async function currentEventCount() {
  return (await call('get', '/snapshot', { status: 200 })).eventCount;
}

/**
 * Sends a command for the current event count, and again if the server causes an event in between, such as the end of a scan.
 * @param {string} path
 * @param {unknown} body
 * @param {number} status
 * @param {Record<string, string>} [headers]
 */
async function sendCommand(path, body, status, headers = {}) {
  for (;;) {
    const options = { body, headers: { 'If-Match-Event': String(await currentEventCount()), ...headers } };
    const response = await call('post', path, { ...options, status, isRetriable: true });
    if (response !== STALE) return response;
  }
}

test('pairing responses match the document', async () => {
  await call('get', '/code', { status: 200, paired: false });
  await call('post', '/pair', { body: { code: '000000' }, status: 403, paired: false });
  await call('post', '/pair', { body: [], status: 400, paired: false });
  const paired = await call('post', '/pair', { body: { code: PAIRING_CODE, clientName: 'Ada' }, status: 200, paired: false });
  token = paired.clientId;
  const other = await call('post', '/pair', { body: { code: PAIRING_CODE }, status: 200, paired: false });
  await call('post', '/rename', { body: { clientName: 'Grace' }, status: 200 });
  await call('post', '/tune', { body: { delays: { [other.memberId]: 20 } }, status: 200 });
  await call('post', '/trim', { body: { memberId: other.memberId, trimDb: -6 }, status: 200 });
  await call('post', '/trim', { body: { memberId: other.memberId, trimDb: 6 }, status: 400 });
  await call('get', '/snapshot', { status: 200 });
  const compared = { by: 'ear', memberIds: [paired.memberId, other.memberId] };
  await call('post', '/tune', { body: { delays: { [paired.memberId]: 5 }, compared }, status: 200 });
  await call('post', '/unpair', { body: { memberId: other.memberId }, status: 200 });
  await call('post', '/unpair', { body: { memberId: other.memberId }, status: 404 });
  await call('get', '/qr', { status: 200, paired: false });
});

test('library responses match the document', async () => {
  const index = await call('get', '/index', { status: 200 });
  assert.ok(index.length > 0);
  const trackWithCover = index.find((/** @type {any} */ track) => track.coverUrl);
  assert.ok(trackWithCover, 'a fixture must have a cover');
  await call('get', '/index', { status: 401, paired: false });
  await call('get', '/playlists', { status: 200 });
  await call('get', '/playlists', { status: 401, paired: false });
  await call('get', '/cover/{trackId}', { path: trackWithCover.coverUrl, status: 200 });
  await call('get', '/cover/{trackId}', { path: `/cover/${UNKNOWN_TRACK}`, status: 404 });
  for (const track of index) {
    await call('get', '/file/{trackId}', { path: `/file/${track.trackId}?v=${track.version}`, status: 200 });
  }
  const path = `/file/${index[0].trackId}`;
  await call('get', '/file/{trackId}', { path, headers: { Range: 'bytes=0-9' }, status: 206 });
  await call('get', '/file/{trackId}', { path, headers: { Range: `bytes=${index[0].size}-` }, status: 416 });
  await call('get', '/file/{trackId}', { path, headers: { 'If-Match': '"other"' }, status: 412 });
  await call('get', '/file/{trackId}', { path: `/file/${UNKNOWN_TRACK}`, status: 404 });
  await call('post', '/loudness', { body: { trackId: index[0].trackId, lufs: -12, peakDb: -1 }, status: 204 });
  await call('post', '/loudness', { body: { trackId: UNKNOWN_TRACK, lufs: -12, peakDb: -1 }, status: 404 });
  await call('post', '/rescan', { status: 202 });
});

test('control responses match the document', async () => {
  const { queue, queueIndex } = await call('get', '/snapshot', { status: 200 });
  await sendCommand('/play', { positionSec: 0 }, 200);
  await sendCommand('/seek', { positionSec: 1 }, 200, { Prefer: 'return=minimal' });
  await sendCommand('/pause', { positionSec: 1 }, 200);
  await sendCommand('/nudge', { trackId: queue[(queueIndex + 2) % queue.length] }, 200);
  await sendCommand('/nudge', { trackId: queue[queueIndex] }, 422);
  await sendCommand('/nudge', { trackId: UNKNOWN_TRACK }, 404);
  const [first, second, third] = [1, 2, 3].map((places) => queue[(queueIndex + places) % queue.length]);
  await sendCommand('/pick', { trackIds: [first, second, third] }, 200);
  await sendCommand('/pick', { trackIds: [first] }, 422);
  await sendCommand('/pick', { trackIds: [UNKNOWN_TRACK] }, 404);
  await sendCommand('/pick', { trackIds: [] }, 400);
  await sendCommand('/move', { trackId: third, before: first }, 200);
  await sendCommand('/move', { trackId: third, before: null }, 200);
  await sendCommand('/unpick', { trackIds: [first] }, 200);
  await sendCommand('/unpick', { trackIds: [first] }, 422);
  await sendCommand('/undo', {}, 200);
  await sendCommand('/undo', {}, 422);
  for (const order of ['album', 'artist', 'title', 'added']) await sendCommand('/sort', { order }, 200);
  await sendCommand('/sort', { order: 'colour' }, 400);
  await sendCommand('/shuffle', {}, 200);
  await sendCommand('/play-now', { trackId: second }, 200);
  await sendCommand('/previous', {}, 200);
  await sendCommand('/next', { ended: second }, 422);
  await sendCommand('/ack-download', { trackId: queue[queueIndex] }, 200);
  await sendCommand('/next', {}, 200);
  await sendCommand('/start-now', {}, 200);
  await sendCommand('/start-now', {}, 422);
  await sendCommand('/play', { positionSec: -1 }, 400);
  await call('post', '/play', { body: { positionSec: 0 }, status: 428 });
  await call('post', '/play', { body: { positionSec: 0 }, headers: { 'If-Match-Event': '0' }, status: 409 });
  await call('post', '/play', { body: { positionSec: 0 }, headers: { 'If-Match-Event': '0' }, status: 401, paired: false });
});

test('upload responses match the document', async () => {
  const tus = { 'Tus-Resumable': '1.0.0' };
  const music = await readFile(join(FIXTURES, 'fixture.mp3'));
  const bytes = Buffer.concat([music, Buffer.from('one more byte')]);
  const filename = `filename ${Buffer.from('Song.mp3').toString('base64')}`;
  const chunk = { ...tus, 'Content-Type': 'application/offset+octet-stream' };
  await call('options', '/uploads', { status: 204, paired: false });
  await call('post', '/uploads', { headers: tus, status: 400 });
  await call('post', '/uploads', { status: 412 });
  /** @param {number} size */
  const begin = async (size) => {
    const headers = { ...tus, 'Upload-Length': String(size), 'Upload-Metadata': filename };
    const response = await fetch(new URL('/uploads', server.url('127.0.0.1')), {
      method: 'POST',
      headers: { ...headers, Authorization: `Bearer ${token}` },
    });
    assert.equal(response.status, 201);
    return response.headers.get('Location') ?? '';
  };
  requestedOperations.add('post /uploads');
  const path = await begin(bytes.length);
  await call('head', '/uploads/{id}', { path, headers: tus, status: 200 });
  await call('patch', '/uploads/{id}', { path, headers: { ...chunk, 'Upload-Offset': '1' }, body: bytes, status: 409 });
  await call('patch', '/uploads/{id}', { path, headers: { ...chunk, 'Upload-Offset': '0' }, body: bytes, status: 204 });
  const cancelled = await begin(10);
  await call('delete', '/uploads/{id}', { path: cancelled, headers: tus, status: 204 });
  await call('patch', '/uploads/{id}', { path: cancelled, headers: { ...chunk, 'Upload-Offset': '0' }, body: bytes, status: 410 });
  const name = '/uploads/by-name/Known.mp3';
  const known = await call('put', '/uploads/by-name/{name}', { path: name, body: music, status: 201 });
  assert.equal(known.isNew, false);
  await call('put', '/uploads/by-name/{name}', { path: name, body: Buffer.from('no music'), status: 415 });
  const [upload] = await call('get', '/uploads', { status: 200 });
  const track = `/uploads/by-track/${upload.trackId}`;
  const title = { path: `${track}/title`, body: { title: 'Mine' } };
  await call('put', '/uploads/by-track/{trackId}/title', { ...title, status: 422 });
  await call('put', '/uploads/by-track/{trackId}/title', { ...title, path: `/uploads/by-track/${UNKNOWN_TRACK}/title`, status: 404 });
  await call('get', '/index', { status: 200 });
  await call('delete', '/uploads/by-track/{trackId}', { path: track, status: 204 });
  await call('delete', '/uploads/by-track/{trackId}', { path: track, status: 404 });
});

test('chat and reaction responses match the document', async () => {
  const { id } = await call('post', '/chat', { body: { text: 'Hello' }, status: 201 });
  await call('post', '/chat', { body: { text: '' }, status: 422 });
  await call('post', '/chat', { body: [], status: 400 });
  const messages = await call('get', '/chat', { status: 200 });
  assert.equal(messages.length, 1);
  await call('get', '/chat', { path: `/chat?after=${id}`, status: 200 });
  await call('get', '/chat', { path: '/chat?after=x', status: 400 });
  await call('delete', '/chat/{id}', { path: `/chat/${id}`, status: 204 });
  await call('delete', '/chat/{id}', { path: `/chat/${id}`, status: 404 });
  await call('post', '/react', { body: { emoji: '🔥' }, status: 204 });
  await call('post', '/react', { body: { emoji: '🙂' }, status: 422 });
});

test('responses about the rules match the document', async () => {
  const { queue, queueIndex, clients } = await call('get', '/snapshot', { status: 200 });
  const [memberId = ''] = Object.keys(clients);
  const current = queue[queueIndex];
  // Earlier tests have made others picks.
  const trackId = queue[(queueIndex + queue.length - 1) % queue.length];
  await sendCommand('/rules', { control: 'dj', order: 'votes', skipShare: 1, djShare: 1, maxPicks: 3 }, 200);
  await sendCommand('/rules', { maxPicks: 101 }, 422);
  await sendCommand('/rules', { unknown: 1 }, 400);
  await sendCommand('/hosts', { memberId, host: true }, 200);
  await sendCommand('/hosts', { memberId, host: false }, 422);
  await call('post', '/hosts', { body: { memberId, host: false }, status: 400, isLocal: true });
  await sendCommand('/dj', { memberId }, 200);
  await sendCommand('/dj', { memberId: 'm99' }, 404);
  await sendCommand('/dj', { memberId: null }, 200);
  await sendCommand('/dj/random', {}, 422);
  await sendCommand('/vote-dj', { memberId }, 200);
  await sendCommand('/vote-skip', { trackId: current, up: true }, 200);
  await sendCommand('/pick', { trackIds: [trackId] }, 200);
  await sendCommand('/vote-pick', { trackId, up: true }, 200);
  await sendCommand('/move', { trackId, before: null }, 403);
  await sendCommand('/rules', { skipShare: 0 }, 200);
  await sendCommand('/vote-skip', { trackId: current, up: false }, 403);
  await sendCommand('/rules', { chat: false }, 200);
  await call('post', '/chat', { body: { text: 'Hello' }, status: 403 });
  await sendCommand('/rules', { control: 'everyone', order: 'first', djShare: 0.51, maxPicks: 0, chat: true }, 200);
  // The server was started with a code.
  await call('post', '/code/renew', { status: 422 });
});

test('event stream messages match the document', async () => {
  requestedOperations.add('get /events');
  const controller = new AbortController();
  const response = await fetch(new URL('/events', server.url('127.0.0.1')), {
    headers: { Authorization: `Bearer ${token}` },
    signal: controller.signal,
  });
  assert.equal(response.status, 200);
  assert.ok(response.body);
  const receivedEvents = new Set();
  let text = '';
  let hasSentCommands = false;
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1];
      text = text.slice(end + 2);
      if (data === undefined) continue;
      const message = JSON.parse(data);
      assertMatches(api.components.schemas.Message, message, 'a message');
      if (message.event === 'snapshot') assertMatches(api.components.schemas.Snapshot, message.payload, 'a snapshot');
      if (/^(presence|progress)$/.test(message.event)) assertMatches(api.components.schemas.Live, message.payload, message.event);
      if (message.event === 'chat') assertMatches(api.components.schemas.ChatMessage, message.payload, 'a chat message');
      if (message.event === 'reactions') assert.deepEqual(message.payload, { '❤️': 1 });
      receivedEvents.add(message.event);
    }
    if (receivedEvents.has('snapshot') && !hasSentCommands) {
      hasSentCommands = true;
      await sendCommand('/next', {}, 200);
      await call('post', '/tuning', { body: { kind: 'tick' }, status: 204 });
      const { id } = await call('post', '/chat', { body: { text: 'Hello' }, status: 201 });
      await call('delete', '/chat/{id}', { path: `/chat/${id}`, status: 204 });
      await call('post', '/react', { body: { emoji: '❤️' }, status: 204 });
    }
    if (['queue.advanced', 'barrier.opened', 'tuning', 'presence', 'chat', 'chat.removed', 'reactions'].every((name) => receivedEvents.has(name))) break;
  }
  controller.abort();
});

test('history responses match the document', async () => {
  await call('get', '/history', { status: 200 });
  await call('get', '/history', { path: '/history?limit=7&before=3', status: 200 });
  await call('get', '/history', { path: '/history?limit=201', status: 400 });
  await call('get', '/history', { status: 401, paired: false });
  await call('get', '/plays', { status: 200 });
  await call('get', '/plays', { status: 401, paired: false });
});

test('responses about rooms match the document', async () => {
  assert.equal((await call('get', '/rooms', { status: 200 })).length, 1);
  const { roomId } = await call('post', '/rooms', { body: { name: 'Garden', password: 'tomato' }, status: 201 });
  await call('post', '/rooms', { body: { name: 'Garden' }, status: 422 });
  await call('post', '/rooms', { body: {}, status: 400 });
  assert.deepEqual((await call('get', '/rooms', { status: 200 })).map((/** @type {any} */ room) => room.locked), [false, true]);
  const at = (/** @type {string} */ action, id = roomId) => ({ path: `/rooms/${id}${action}` });
  await call('get', '/rooms/{roomId}', { ...at(''), status: 308, paired: false });
  await call('get', '/rooms/{roomId}', { ...at('', 'zz9'), status: 404, paired: false });
  await call('post', '/rooms/{roomId}/name', { ...at('/name'), body: { name: 'Terrace' }, status: 204 });
  await call('post', '/rooms/{roomId}/name', { ...at('/name'), body: { name: '' }, status: 422 });
  await call('post', '/rooms/{roomId}/password', { ...at('/password'), body: { password: null }, status: 204 });
  await call('post', '/rooms/{roomId}/leave', { ...at('/leave'), status: 204 });
  await call('post', '/rooms/{roomId}/leave', { ...at('/leave', 'house'), status: 422 });
  await call('post', '/rooms/{roomId}/enter', { ...at('/enter'), body: {}, status: 200 });
  await call('post', '/rooms/{roomId}/enter', { ...at('/enter', 'zz9'), body: {}, status: 404 });
  await call('delete', '/rooms/{roomId}', { ...at(''), status: 204, isLocal: true });
  await call('delete', '/rooms/{roomId}', { ...at('', 'house'), status: 422 });
});

test('sync and server responses match the document', async () => {
  await call('get', '/clock', { status: 200 });
  const report = { offMs: null, roundTripMs: 3, latencyMs: 40, needsMs: 150 };
  await call('post', '/sync', { body: report, status: 204 });
  await call('post', '/sync', { body: { ...report, needsMs: -1 }, status: 400 });
  await call('post', '/tuning', { body: { kind: 'unknown' }, status: 400 });
  await call('get', '/compare', { status: 200, isLocal: true });
  await call('get', '/compare', { status: 403 });
  await call('post', '/compare', { body: {}, status: 422, isLocal: true });
  // Refused shortly after the test sounds of the previous test.
  while ((await call('post', '/compare/stop', { body: {}, status: 204, isLocal: true, isRetriable: true })) === STALE);
  await call('post', '/compare/result', { body: { delays: {} }, status: 400, isLocal: true });
  await call('get', '/healthz', { status: 200, paired: false });
  await call('get', '/metrics', { status: 200 });
  const secure = await call('get', '/secure', { status: 200, paired: false });
  assert.ok(secure.port > 0);
  await call('get', '/ca.crt', { status: 200, paired: false });
  await call('get', '/ca.mobileconfig', { status: 200, paired: false });
  await call('get', '/debug/state', { status: 200 });
  const servedDocument = await call('get', '/openapi.yaml', { status: 200, paired: false });
  assert.equal(String(servedDocument), await readFile(DOCUMENT, 'utf8'));
  await call('post', '/leave', { status: 204 });
  await call('post', '/leave', { status: 401 });
});

test('every operation of the document was requested', () => {
  const operations = Object.entries(api.paths).flatMap(([path, item]) =>
    Object.keys(item).filter((key) => key !== 'parameters').map((method) => `${method} ${path}`));
  assert.deepEqual(operations.filter((operation) => !requestedOperations.has(operation)), []);
});
