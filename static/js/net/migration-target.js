// Migration to the secure page, on the secure page: copies tracks and settings from the insecure page that opened this
// one (migration-source.js).

import { isComplete } from '../tracks/cache-policy.js';
import { readStoredEntry } from '../tracks/stored-entry.js';
import { withTimeout } from '../timer.js';
import { MIGRATION_HASH } from './migration-source.js';

/** @typedef {import('./migration-source.js').MigrationResponse} MigrationResponse */
/** @typedef {import('./migration-source.js').MigrationRequest} MigrationRequest */
/** @typedef {import('../types.js').CacheEntry} CacheEntry */
/** @typedef {import('../types.js').MigrationProgress} MigrationProgress */
/** @typedef {import('../tracks/storage.js').TrackStorage} TrackStorage */

/**
 * Requests one part from the opener; resolves to `null` if the opener cannot read the part.
 * @typedef {(entry: CacheEntry, partIndex: number) => Promise<ArrayBuffer | null>} FetchPart
 */

const RESPONSE_TIMEOUT_MS = 5_000;

/** Whether this page was opened as the target of a migration. */
export function isMigrationTarget() {
  return location.hash === MIGRATION_HASH && window.opener !== null;
}

/**
 * Copies the tracks of the opener, which is a page at `origin`. Then the opener deletes all of its tracks.
 * @param {string} origin
 * @param {TrackStorage} storage
 * @param {(progress: MigrationProgress) => void} onProgress
 * @returns {Promise<object>} the opener's settings
 * @throws if the opener does not send its settings and the list of its tracks (the opener then keeps its tracks), or
 *   does not confirm the deletion
 */
export async function migrateFrom(origin, storage, onProgress) {
  // Removes the hash, so that a reload does not repeat the migration: the opener may be closed by then.
  history.replaceState(null, '', location.pathname);
  const { settings, entries } = await requestFromOpener(origin, { type: 'list' });
  if (typeof settings !== 'object' || settings === null || !Array.isArray(entries)) throw new Error('the old page could not read its storage');
  /** @type {FetchPart} */
  const fetchPart = async (entry, partIndex) => (await requestFromOpener(origin, { type: 'part', entry, part: partIndex })).bytes ?? null;
  await copyTracks(entries.map(readStoredEntry).filter(isComplete), storage, fetchPart, onProgress);
  await requestFromOpener(origin, { type: 'done' });
  return settings;
}

/**
 * Copies the tracks that this page does not have, the most recently used first. The copying ends at the first track
 * that fails, because the usual causes affect the other tracks too: the opener was closed, or the storage is full.
 * @param {CacheEntry[]} entries
 * @param {TrackStorage} storage
 * @param {FetchPart} fetchPart
 * @param {(progress: MigrationProgress) => void} onProgress
 */
export async function copyTracks(entries, storage, fetchPart, onProgress) {
  const storedTrackIds = new Set((await storage.list()).map(({ trackId }) => trackId));
  const missingEntries = entries.filter(({ trackId }) => !storedTrackIds.has(trackId)).sort((a, b) => b.usedAtMs - a.usedAtMs);
  for (const [copied, entry] of missingEntries.entries()) {
    onProgress({ copied, total: missingEntries.length });
    try {
      await copyTrack(entry, storage, fetchPart);
    } catch {
      await storage.remove(entry.trackId);
      return;
    }
  }
}

/** @param {CacheEntry} entry @param {TrackStorage} storage @param {FetchPart} fetchPart */
async function copyTrack(entry, storage, fetchPart) {
  if (!/^[0-9a-f]{16}$/.test(entry.trackId)) throw new Error('invalid track id');
  let receivedBytes = 0;
  for (let partIndex = 0; partIndex < entry.partCount; partIndex += 1) {
    const bytes = await fetchPart(entry, partIndex);
    if (!bytes) throw new Error('a part is missing');
    receivedBytes += bytes.byteLength;
    await storage.append({ ...entry, partCount: partIndex + 1, receivedBytes }, bytes);
  }
  if (receivedBytes !== entry.size) throw new Error('bytes are missing');
}

/** @param {string} origin @param {MigrationRequest} request @returns {Promise<MigrationResponse>} */
function requestFromOpener(origin, request) {
  const { port1, port2 } = new MessageChannel();
  const response = new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data);
  });
  window.opener.postMessage(request, origin, [port2]);
  return withTimeout(RESPONSE_TIMEOUT_MS, response);
}
