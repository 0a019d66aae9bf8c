// Downloads one track into the cache. The download of an incomplete track is resumed at the first missing byte.

import { getFile } from '../net/api.js';
import { withIdleTimeout } from '../net/http.js';
import { isComplete } from './cache-policy.js';
import { PART_BYTES } from './storage.js';

/** @typedef {import('./track-cache.js').TrackCache} TrackCache */
/** @typedef {import('../types.js').CacheEntry} CacheEntry */
/** @typedef {import('../types.js').Track} Track */

/**
 * @typedef {object} FetchProgress
 * @property {(storedBytes: number) => void} onStart Called before the request is sent, with the number of bytes that are
 *   stored already.
 * @property {(receivedBytes: number) => void} onBytes Called for each chunk with the total, including the bytes stored
 *   before.
 */

/**
 * @param {TrackCache} cache
 * @param {Track} track
 * @param {AbortSignal} signal
 * @param {FetchProgress} progress
 * @returns {Promise<void>} resolves when the track is stored completely, or when `signal` was aborted before the request
 * @throws if the download fails or is incomplete; the bytes received are stored nevertheless, unless they are too many
 */
export async function fetchTrack(cache, track, signal, { onStart, onBytes }) {
  let download = await cache.begin(track);
  if (signal.aborted) return;
  const firstMissingByte = download.entry.receivedBytes + download.tail.size;
  onStart(firstMissingByte);
  const requestController = new AbortController();
  signal.addEventListener('abort', () => requestController.abort());
  let entry;
  try {
    const response = await withIdleTimeout(getFile(track, firstMissingByte, requestController.signal), requestController);
    if (firstMissingByte > 0 && response.status !== 206) {
      // The server ignores the range and sends the whole file.
      await cache.remove(track.trackId);
      download = await cache.begin(track);
    }
    entry = await storeBody(response, cache, download, requestController, onBytes);
  } finally {
    // An unread response body would keep its connection open.
    requestController.abort();
  }
  if (!isComplete(entry)) {
    if (entry.receivedBytes > entry.size) await cache.remove(track.trackId);
    throw new Error(`received ${entry.receivedBytes} of ${entry.size} bytes`);
  }
}

/**
 * Stores the body in parts of `PART_BYTES`. Bytes received before a failure are stored too.
 * @param {Response} response
 * @param {TrackCache} cache
 * @param {{entry: CacheEntry, tail: Blob}} download as `begin` of the cache returns it
 * @param {AbortController} requestController
 * @param {FetchProgress['onBytes']} onBytes
 * @returns {Promise<CacheEntry>}
 */
async function storeBody(response, cache, { entry, tail }, requestController, onBytes) {
  if (!response.body) throw new Error('the response has no body');
  const reader = response.body.getReader();
  /** @type {BlobPart[]} */
  let chunks = [tail];
  let pendingBytes = tail.size;

  async function storePending() {
    if (pendingBytes === 0) return;
    const part = await new Blob(chunks).arrayBuffer();
    chunks = [];
    pendingBytes = 0;
    entry = await cache.append(entry, part);
  }

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  async function addBytes(bytes) {
    for (let start = 0; start < bytes.byteLength; ) {
      const chunk = bytes.subarray(start, start + PART_BYTES - pendingBytes);
      chunks.push(chunk);
      pendingBytes += chunk.byteLength;
      start += chunk.byteLength;
      if (pendingBytes === PART_BYTES) await storePending();
    }
  }

  if (pendingBytes === PART_BYTES) await storePending();
  try {
    for (;;) {
      const { done, value } = await withIdleTimeout(reader.read(), requestController);
      if (done) break;
      onBytes(entry.receivedBytes + pendingBytes + value.byteLength);
      await addBytes(value);
    }
  } finally {
    await storePending();
  }
  return entry;
}
