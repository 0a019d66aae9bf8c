// Uploads of files to the server, by the protocol tus 1.0.0 (https://tus.io/protocols/resumable-upload).

import { request } from './http.js';
import { after } from '../timer.js';

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').TrackId} TrackId */

const TUS_HEADERS = { 'Tus-Resumable': '1.0.0' };

/**
 * Timeout of a request that sends bytes, which may be slow because other phones come first. A lost connection is noticed earlier, by the
 * event stream.
 */
const SLICE_TIMEOUT_MS = 60_000;

/**
 * Begins an upload.
 * @param {{name: string, size: number, title: string}} file `title`: for a file without a title in its tags; empty if none
 * @param {AbortSignal} signal
 * @returns {Promise<string>} the id of the upload
 */
export async function createUpload({ name, size, title }, signal) {
  const metadata = `filename ${base64(name)}${title && `,title ${base64(title)}`}`;
  const headers = { ...TUS_HEADERS, 'Upload-Length': String(size), 'Upload-Metadata': metadata };
  const response = await withTimeout(signal, (timed) => request('/uploads', { method: 'POST', headers, signal: timed }));
  const id = uploadIdIn(response.headers.get('Location'));
  if (id === null) throw new Error('the answer has no address of the upload');
  return id;
}

/**
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {Promise<number>} how many bytes the server has
 */
export async function getUploadOffset(id, signal) {
  const init = { method: 'HEAD', headers: TUS_HEADERS, cache: /** @type {const} */ ('no-store') };
  const response = await withTimeout(signal, (timed) => request(`/uploads/${id}`, { ...init, signal: timed }));
  return offsetIn(response);
}

/**
 * Sends the bytes that follow those that the server has.
 * @param {string} id
 * @param {number} offset of the first byte
 * @param {Blob} slice
 * @param {AbortSignal} signal
 * @returns {Promise<{offset: number, trackId: TrackId | null}>} how many bytes the server has now; the track, if these were the last ones
 */
export async function sendUploadSlice(id, offset, slice, signal) {
  const headers = { ...TUS_HEADERS, 'Content-Type': 'application/offset+octet-stream', 'Upload-Offset': String(offset) };
  // A Blob with a type of its own would replace the header in old versions of Safari.
  const body = slice.slice(0, slice.size, headers['Content-Type']);
  const response = await withTimeout(signal, (timed) => request(`/uploads/${id}`, { method: 'PATCH', headers, body, signal: timed }));
  return { offset: offsetIn(response), trackId: response.headers.get('Lockstep-Track') };
}

/** Ends an upload; the server removes its bytes. @param {string} id @returns {Promise<void>} */
export async function cancelUpload(id) {
  await request(`/uploads/${id}`, { method: 'DELETE', headers: TUS_HEADERS });
}

/** The uploads that are tracks now. @returns {Promise<{trackId: TrackId, name: string, by: MemberId, size: number}[]>} */
export async function getUploads() {
  return (await request('/uploads', { cache: 'no-store' })).json();
}

/** Gives a track that this phone has uploaded a title. @param {TrackId} trackId @param {string} title @returns {Promise<void>} */
export async function setUploadTitle(trackId, title) {
  await request(`/uploads/by-track/${trackId}/title`, { method: 'PUT', body: JSON.stringify({ title }) });
}

/** Removes a track that was uploaded from the library. @param {TrackId} trackId @returns {Promise<void>} */
export async function removeUploadedTrack(trackId) {
  await request(`/uploads/by-track/${trackId}`, { method: 'DELETE' });
}

/**
 * The id in the address of an upload. The rest of the address is ignored: it has the server's base path, which a proxy may have changed.
 * @param {string | null} location
 */
export function uploadIdIn(location) {
  return /\/uploads\/([\w-]+)$/.exec(location ?? '')?.[1] ?? null;
}

/** @param {Response} response */
function offsetIn(response) {
  const offset = Number(response.headers.get('Upload-Offset') ?? NaN);
  if (!Number.isSafeInteger(offset)) throw new Error('the answer does not tell how many bytes the server has');
  return offset;
}

/** Base64 of the text in UTF-8. @param {string} text */
export function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/**
 * Runs a request that ends with `signal` or after the timeout.
 * @template T
 * @param {AbortSignal} signal
 * @param {(timed: AbortSignal) => Promise<T>} run
 * @returns {Promise<T>}
 */
async function withTimeout(signal, run) {
  const controller = new AbortController();
  const abort = () => controller.abort();
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  const cancelTimeout = after(SLICE_TIMEOUT_MS, abort);
  try {
    return await run(controller.signal);
  } finally {
    cancelTimeout();
    signal.removeEventListener('abort', abort);
  }
}
