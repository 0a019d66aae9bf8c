// Migration to the secure page (“new page”), on the insecure page (“old page”). The new page has another origin and
// therefore its own storage, so the old page opens the new page in a new tab and sends tracks and settings to that tab.
// The pairing token needs no copy, because cookies do not depend on the scheme or port. Where no tab can be opened, the
// new page downloads the tracks again.

import { isComplete } from '../tracks/cache-policy.js';
import { isTrusted } from './secure-page.js';

/** @typedef {import('../types.js').CacheEntry} CacheEntry */
/** @typedef {import('../tracks/storage.js').TrackStorage} TrackStorage */

/**
 * The messages between the two pages. The new page sends requests by `postMessage` with a port for the response. `list`
 * requests the settings and the entries of the stored tracks, `part` the bytes of one part (by index), and `done` the
 * deletion of all stored tracks. A request that fails on the old page has an empty response.
 * @typedef {{type: 'list'} | {type: 'part', entry: CacheEntry, part: number} | {type: 'done'}} MigrationRequest
 * @typedef {{settings?: unknown, entries?: CacheEntry[], bytes?: ArrayBuffer | null}} MigrationResponse
 */

/** Fragment of the URL at which the new page is opened. */
export const MIGRATION_HASH = '#moving';

/** localStorage key of the secure page's origin, set when this phone begins a migration. */
const STORAGE_KEY = 'lockstep.moved';

/** A new page that has sent a request, and no further one for this time, counts as finished or closed. */
const IDLE_TIMEOUT_MS = 30_000;

/**
 * Opens the page at `origin` in a new tab and answers the requests of that page. Must be called in a user gesture:
 * browsers block new tabs otherwise.
 * @param {string} origin
 * @param {object} options
 * @param {() => Promise<TrackStorage>} options.openStorage
 * @param {() => unknown} options.getSettings
 * @param {(trackCount: number) => void} options.onStarted called when the new page has received the list of tracks
 * @param {() => void} options.onDone called when the new page has finished, or counts as finished
 */
export function migrateTo(origin, { openStorage, getSettings, onStarted, onDone }) {
  saveMigrationOrigin(origin);
  const newTab = window.open(`${origin}${location.pathname}${MIGRATION_HASH}`);
  if (!newTab) return location.assign(`${origin}${location.pathname}`);
  /** @type {Promise<TrackStorage> | null} */
  let storage = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let idleTimer;
  addEventListener('message', async ({ source, origin: senderOrigin, data, ports: [port] }) => {
    if (source !== newTab || senderOrigin !== origin || !port) return;
    /** @type {MigrationRequest} */
    const request = data;
    clearTimeout(idleTimer);
    idleTimer = setTimeout(onDone, IDLE_TIMEOUT_MS);
    const openedStorage = await (storage ??= openStorage());
    /** @type {{response: MigrationResponse, transfer?: Transferable[]}} */
    const { response, transfer = [] } = await respondTo(request, openedStorage, getSettings).catch(() => ({ response: {} }));
    port.postMessage(response, transfer);
    // Called even if the list could not be read, because the new page then starts without copying tracks.
    if (request.type === 'list') onStarted((response.entries ?? []).filter(isComplete).length);
    if (request.type === 'done') onDone();
  });
}

/**
 * @param {MigrationRequest} request
 * @param {TrackStorage} storage
 * @param {() => unknown} getSettings
 * @returns {Promise<{response: MigrationResponse, transfer?: Transferable[]}>}
 */
async function respondTo(request, storage, getSettings) {
  if (request.type === 'list') return { response: { settings: getSettings(), entries: await storage.list() } };
  if (request.type === 'part') {
    const bytes = await (await storage.readPart(request.entry, request.part)).arrayBuffer();
    return { response: { bytes }, transfer: [bytes] };
  }
  // `done`: the new page has copied the tracks for which it has space. Both copies would take up space on this phone.
  await storage.clear();
  return { response: {} };
}

/** @param {string} origin */
function saveMigrationOrigin(origin) {
  try {
    localStorage.setItem(STORAGE_KEY, origin);
  } catch {
    // Without localStorage, `redirectIfMigrated` does not redirect later visits.
  }
}

/**
 * Redirects to the secure page if this phone has migrated and opens the insecure page again, for instance by the QR
 * code.
 * @throws if the browser refuses localStorage
 */
export async function redirectIfMigrated() {
  const origin = localStorage.getItem(STORAGE_KEY);
  if (origin && !isSecureContext && (await isTrusted(origin))) location.replace(`${origin}${location.pathname}`);
}
