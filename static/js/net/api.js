// The server's HTTP endpoints, one function each.

import { ApiError, post, request, requestLargeJson } from './http.js';
import { currentRoomId, roomPath } from './room-address.js';

/** @typedef {import('../types.js').Command} Command */
/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('./room-address.js').RoomId} RoomId */
/** @typedef {import('../types.js').Snapshot} Snapshot */
/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * The response to a control command. `eventCount` is the room's event count after the command or, if the server refused
 * the command because it was made for an older event count, the room's present event count.
 * @typedef {{accepted: boolean, eventCount: number}} CommandResult
 */

/** @param {RoomId} [roomId] @returns {Promise<{snapshot: Snapshot, memberId: MemberId | null}>} */
export async function getSnapshot(roomId = currentRoomId()) {
  const { headers, read } = await requestLargeJson(roomPath('/snapshot', roomId), { cache: 'no-store' });
  return { snapshot: await read(), memberId: headers.get('Lockstep-Member') };
}

/**
 * @param {string | null} knownEtag the `ETag` of the index that the page has
 * @returns {Promise<{etag: string | null, tracks: Track[]} | null>} `null` if the index has not changed
 */
export async function getIndex(knownEtag) {
  const { headers, read, abort } = await requestLargeJson('/index', { cache: 'no-cache' });
  const etag = headers.get('ETag');
  if (etag === null || etag !== knownEtag) return { etag, tracks: await read() };
  abort();
  return null;
}

/**
 * What was played, newest first.
 * @param {number} limit
 * @param {import('../types.js').HistoryEntry['id']} [before] only entries that are older than this one
 * @returns {Promise<import('../types.js').HistoryEntry[]>}
 */
export async function getHistory(limit, before) {
  const older = before === undefined ? '' : `&before=${encodeURIComponent(before)}`;
  return (await request(roomPath(`/history?limit=${limit}${older}`), { cache: 'no-store' })).json();
}

/** @returns {Promise<import('../types.js').Playlist[]>} */
export async function getPlaylists() {
  return (await request('/playlists', { cache: 'no-cache' })).json();
}

/** @returns {Promise<import('./secure-page.js').SecurePageInfo>} */
export async function getSecurePageInfo() {
  return (await request('/secure', { cache: 'no-store' })).json();
}

/** @returns {Promise<string | null>} the address in the QR code */
export async function getQrUrl() {
  return (await request(roomPath('/qr'), { method: 'HEAD', cache: 'no-store' })).headers.get('Lockstep-Url');
}

/** @returns {Promise<string | null>} the pairing code; `null` if the server does not reveal the code to this phone */
export async function getPairingCode() {
  try {
    const { code } = await (await request(roomPath('/code'), { cache: 'no-store' })).json();
    return code;
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return null;
    throw error;
  }
}

/** @returns {Promise<string>} the new pairing code, which replaces the earlier one */
export async function renewPairingCode() {
  const { code } = await (await request(roomPath('/code/renew'), { method: 'POST' })).json();
  return code;
}

/** @param {string} code @param {string} clientName @returns {Promise<{memberId: MemberId, snapshot: Snapshot}>} */
export async function pair(code, clientName) {
  return (await post(roomPath('/pair'), { code, clientName })).json();
}

/** @param {string} clientName @returns {Promise<void>} */
export async function rename(clientName) {
  await post('/rename', { clientName });
}

/** @param {MemberId} memberId @returns {Promise<void>} */
export async function unpair(memberId) {
  await post('/unpair', { memberId });
}

/** @returns {Promise<void>} */
export async function leave() {
  await request('/leave', { method: 'POST' });
}

/** @param {import('../types.js').SyncReport} report @returns {Promise<void>} */
export async function reportSync(report) {
  await post(roomPath('/sync'), report);
}

/**
 * @param {Record<MemberId, number>} delays speaker delays in milliseconds
 * @param {import('../types.js').ComparedSpeakers} [compared] the comparison that found the delays
 * @returns {Promise<number>} the event count of the room that contains the delays
 */
export async function postDelays(delays, compared) {
  const { eventCount } = await (await post(roomPath('/tune'), { delays, compared })).json();
  return eventCount;
}

/** @param {import('../types.js').LoudnessReport} report @returns {Promise<void>} */
export async function reportLoudness(report) {
  await post('/loudness', report);
}

/**
 * @param {MemberId} memberId
 * @param {number} trimDb
 * @returns {Promise<number>} the event count of the room that contains the trim
 */
export async function postTrim(memberId, trimDb) {
  const { eventCount } = await (await post(roomPath('/trim'), { memberId, trimDb })).json();
  return eventCount;
}

/** @param {import('../types.js').TestSoundSchedule['kind']} kind @returns {Promise<void>} */
export async function requestTestSound(kind) {
  await post(roomPath('/tuning'), { kind });
}

/**
 * @param {AbortSignal} [signal]
 * @returns {Promise<{receivedMs: number, serverMs: number}>} when the request arrived and when the response left, on
 *   the server clock
 */
export async function getClock(signal) {
  return (await request('/clock', { cache: 'no-store', signal })).json();
}

/**
 * Opens the event stream. The response body does not end while the connection and the server are up.
 * @param {string} query
 * @param {AbortSignal} signal
 */
export function getEvents(query, signal) {
  const headers = { Accept: 'text/event-stream' };
  return request(roomPath(`/events${query}`), { cache: 'no-store', headers, signal });
}

/**
 * Sends a control command for the room state numbered `eventCount`.
 * @param {Command} command
 * @param {number} eventCount
 * @param {AbortSignal} [signal]
 * @returns {Promise<CommandResult>}
 */
export function sendCommand({ name, restores, rules, ...body }, eventCount, signal) {
  return postCommand(`/${name}`, { ...body, ...rules }, eventCount, signal);
}

/**
 * Reports that this phone can start the track at once (`playable`), or cannot play the track.
 * @param {{trackId: TrackId, playable: boolean, durationSec?: number}} ack `durationSec`: the length of the decoded
 *   track, if that length contradicts the index
 * @param {number} eventCount
 * @returns {Promise<CommandResult>}
 */
export function acknowledge(ack, eventCount) {
  return postCommand('/ack-download', ack, eventCount);
}

/**
 * @param {Track} track
 * @param {number} firstByte index of the first byte to fetch
 * @param {AbortSignal} signal
 */
export function getFile(track, firstByte, signal) {
  /** @type {Record<string, string>} */
  const headers = firstByte > 0 ? { Range: `bytes=${firstByte}-` } : {};
  // The page stores tracks itself, so a copy in the browser's HTTP cache would waste space. Covers, which are small and
  // visible, have priority.
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
 * @param {AbortSignal} [signal]
 * @returns {Promise<CommandResult>}
 */
async function postCommand(path, body, eventCount, signal) {
  // The event stream delivers the changes, so the response need not contain a snapshot.
  const headers = { 'If-Match-Event': String(eventCount), Prefer: 'return=minimal' };
  const response = await post(roomPath(path), body, headers, [409], signal);
  const result = await response.json();
  return response.ok
    ? { accepted: true, eventCount: result.eventCount }
    : { accepted: false, eventCount: result.expectedEventCount };
}
