// Requests to the server, and nothing of what they mean. Every refusal is an ApiError; a request
// that reached nobody rejects as `fetch` does.

import { after } from './timer.js';

/** @typedef {import('./types.js').Command} Command */
/** @typedef {import('./types.js').MemberId} MemberId */
/** @typedef {import('./types.js').Snapshot} Snapshot */
/** @typedef {import('./types.js').Track} Track */
/** @typedef {import('./types.js').TrackId} TrackId */

/**
 * A connection that died in silence (Wi-Fi left behind, a laptop asleep) brings nothing more, and the
 * browser waits for minutes.
 */
const IDLE_MS = 8_000;

/** A refusal, with the sentence that the server gave. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} detail
   * @param {number} retryAfterSec
   */
  constructor(status, detail, retryAfterSec) {
    super(detail);
    this.status = status;
    this.retryAfterSec = retryAfterSec;
  }
}

/**
 * What a person is told of a request that came to nothing.
 * @param {unknown} error
 */
export function sentenceOf(error) {
  return error instanceof ApiError ? error.message : 'The server cannot be reached. Try again in a moment.';
}

/**
 * What became of a command: taken, or too old, with the count that it leads to or would have to match.
 * @typedef {{accepted: boolean, eventCount: number}} Outcome
 */

/** @returns {Promise<{snapshot: Snapshot, memberId: MemberId | null}>} */
export async function getSnapshot() {
  const { headers, read } = await begin('/snapshot', { cache: 'no-store' });
  return { snapshot: await read(), memberId: headers.get('Lockstep-Member') };
}

/**
 * @param {string | null} known the `ETag` of what this page has
 * @returns {Promise<{etag: string | null, tracks: Track[]} | null>} `null` if that is still the index
 */
export async function getIndex(known) {
  const { headers, read, giveUp } = await begin('/index', { cache: 'no-cache' });
  const etag = headers.get('ETag');
  if (etag === null || etag !== known) return { etag, tracks: await read() };
  giveUp();
  return null;
}

/** @returns {Promise<import('./secure.js').Offer>} */
export async function getOffer() {
  return (await request('/secure', { cache: 'no-store' })).json();
}

/** @returns {Promise<string | null>} the pairing code, where this page may know it */
export async function getCode() {
  try {
    const { code } = await (await request('/code', { cache: 'no-store' })).json();
    return code;
  } catch (error) {
    if (error instanceof ApiError) return null;
    throw error;
  }
}

/**
 * @param {string} code
 * @param {string} clientName
 * @returns {Promise<{memberId: MemberId, snapshot: Snapshot}>}
 */
export async function pair(code, clientName) {
  return (await post('/pair', { code, clientName }, {})).json();
}

/**
 * @param {string} clientName what this phone is to be called from now on
 * @returns {Promise<void>}
 */
export async function rename(clientName) {
  await post('/rename', { clientName }, {});
}

/**
 * @param {MemberId} memberId who is no longer to be paired
 * @returns {Promise<void>}
 */
export async function unpair(memberId) {
  await post('/unpair', { memberId }, {});
}

/**
 * @param {import('./types.js').SyncReport} report
 * @returns {Promise<void>}
 */
export async function reportSync(report) {
  await post('/sync', report, {});
}

/**
 * @param {Record<MemberId, number>} delays
 * @returns {Promise<void>}
 */
export async function tune(delays) {
  await post('/tune', { delays }, {});
}

/**
 * @param {import('./types.js').Tuning['kind']} kind
 * @returns {Promise<void>}
 */
export async function sound(kind) {
  await post('/tuning', { kind }, {});
}

/** @returns {Promise<void>} */
export async function leave() {
  await request('/leave', { method: 'POST' });
}

/**
 * @param {AbortSignal} [signal]
 * @returns {Promise<{receivedMs: number, serverMs: number}>} the server's clock, when it was asked and when it answered
 */
export async function getClock(signal) {
  const answer = await request('/clock', { cache: 'no-store', signal });
  return answer.json();
}

/**
 * Opens the event stream, which goes on until it is given up.
 * @param {string} query
 * @param {AbortSignal} signal
 */
export function getEvents(query, signal) {
  const headers = { Accept: 'text/event-stream' };
  return request(`/events${query}`, { cache: 'no-store', headers, signal });
}

/**
 * Sends a press, meant for the state numbered `eventCount`.
 * @param {Command} command
 * @param {number} eventCount
 * @returns {Promise<Outcome>}
 */
export function send({ name, ...body }, eventCount) {
  return control(`/${name}`, body, eventCount);
}

/**
 * Says that this phone has the whole track, or that it cannot play it.
 * @param {TrackId} trackId
 * @param {boolean} playable
 * @param {number} eventCount
 * @returns {Promise<Outcome>}
 */
export function acknowledge(trackId, playable, eventCount) {
  return control('/ack-download', { trackId, playable }, eventCount);
}

/**
 * @param {Track} track
 * @param {number} from the first byte that is wanted
 * @param {AbortSignal} signal
 */
export function getFile(track, from, signal) {
  /** @type {Record<string, string>} */
  const headers = from > 0 ? { Range: `bytes=${from}-` } : {};
  // What is fetched is kept by the page itself; a second copy in the browser's cache helps nobody. Before
  // it come the covers, which are small and which somebody looks at.
  return request(fileUrl(track), { cache: 'no-store', headers, signal, priority: 'low' });
}

/** @param {Track} track */
function fileUrl({ trackId, version }) {
  return `/file/${trackId}?v=${encodeURIComponent(version)}`;
}

/**
 * @param {string} path
 * @param {object} body
 * @param {number} eventCount
 * @returns {Promise<Outcome>}
 */
async function control(path, body, eventCount) {
  // The stream brings what a command changed; the snapshot in the answer would be a second copy.
  const headers = { 'If-Match-Event': String(eventCount), Prefer: 'return=minimal' };
  const response = await post(path, body, headers, [409]);
  const answer = await response.json();
  return response.ok
    ? { accepted: true, eventCount: answer.eventCount }
    : { accepted: false, eventCount: answer.expectedEventCount };
}

/**
 * @param {string} path
 * @param {object} body
 * @param {Record<string, string>} headers
 * @param {number[]} [expected]
 */
function post(path, body, headers, expected) {
  const init = {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  };
  return request(path, init, expected);
}

/**
 * Begins a request for something large: it may take as long as it likes while anything comes.
 * @param {string} path
 * @param {RequestInit} init
 */
async function begin(path, init) {
  const abort = new AbortController();
  const { headers, body } = await alive(request(path, { ...init, signal: abort.signal }), abort);
  const read = async () => {
    /** @type {BlobPart[]} */
    const parts = [];
    const reader = body?.getReader();
    for (;;) {
      const piece = reader && (await alive(reader.read(), abort));
      if (!piece || piece.done) return JSON.parse(await new Blob(parts).text());
      parts.push(piece.value);
    }
  };
  return { headers, read, giveUp: () => abort.abort() };
}

/**
 * @template T
 * @param {Promise<T>} answer
 * @param {AbortController} asked given up if the answer is too long in coming
 * @returns {Promise<T>}
 */
export async function alive(answer, asked) {
  const answered = after(IDLE_MS, () => asked.abort());
  try {
    return await answer;
  } finally {
    answered();
  }
}

/**
 * @param {string} path
 * @param {RequestInit} init
 * @param {number[]} [expected] statuses beside 2xx that are no refusal
 */
async function request(path, init, expected = []) {
  const signal = init.signal ?? AbortSignal.timeout(IDLE_MS);
  const response = await fetch(path, { credentials: 'same-origin', ...init, signal });
  if (response.ok || expected.includes(response.status)) return response;
  const problem = await response.json().catch(() => ({}));
  const said = problem.detail || problem.title || `The server answered ${response.status}`;
  throw new ApiError(response.status, said, Number(response.headers.get('Retry-After')) || 0);
}
