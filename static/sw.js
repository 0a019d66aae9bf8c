// The service worker, on pages that are secure: keeps the page's own files, so that the page starts
// while the server is away. They are kept whole, all of one version, and only a server that is away
// makes them be used without asking it first. Nothing else goes through here: the room and the index
// would be stale, and tracks are kept by the page.

/** @typedef {{version: string, files: string[]}} Shell what `/shell.json` says */

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));

/** Followed by the version. */
const PREFIX = 'lockstep-shell-';

/** A server that says nothing for so long is away; somebody looks at an empty page meanwhile. */
const AWAY_MS = 2_000;

/** So long may a new version take to be fetched; then the old one is better than an empty page. */
const FETCH_MS = 10_000;

/** @type {Promise<Cache | null> | null} what the last page was started from */
let shell = null;

worker.addEventListener('install', (event) => {
  worker.skipWaiting();
  // What the page's script asks for goes straight to the server: where the browser can be told so,
  // the clock's probes are not held up by the start of this worker.
  /** @type {any} */ (event).addRoutes?.({ condition: { requestDestination: '' }, source: 'network' });
  event.waitUntil(newest());
});

worker.addEventListener('fetch', (event) => {
  const { method, mode, destination, url } = event.request;
  const { origin, pathname } = new URL(url);
  if (method !== 'GET' || origin !== location.origin) return;
  if (mode === 'navigate') {
    if (pathname === '/') event.respondWith(start(event.request));
  } else if (destination !== '') {
    event.respondWith(part(event.request));
  }
});

/**
 * The page itself, in the server's version, or in the one that is kept if the server is away.
 * @param {Request} request
 */
async function start(request) {
  shell = newest().catch(kept);
  return (await (await shell)?.match('/')) ?? fetch(request);
}

/**
 * What the page is made of, of the version that it was started in.
 * @param {Request} request
 */
async function part(request) {
  // Between two requests the browser may end the worker, and start it anew.
  shell ??= kept();
  return (await (await shell)?.match(request)) ?? fetch(request);
}

/**
 * The server's version, fetched if it is not the one that is kept.
 * @returns {Promise<Cache | null>} `null` if who answers is another server than that of this page
 */
async function newest() {
  const response = await fetch('/shell.json', { cache: 'no-store', signal: AbortSignal.timeout(AWAY_MS) });
  if (!response.ok) {
    await forget('');
    return null;
  }
  /** @type {Shell} */
  const { version, files } = await response.json();
  const name = PREFIX + version;
  const cache = await caches.open(name);
  // All come or none does, so one stands for all.
  if (!(await cache.match('/'))) {
    const signal = AbortSignal.timeout(FETCH_MS);
    await cache.addAll(files.map((path) => new Request(path, { cache: 'no-cache', signal })));
  }
  await forget(name);
  return cache;
}

/** The version that is kept: while another is being fetched, that is the older one. */
async function kept() {
  const name = (await caches.keys()).find((key) => key.startsWith(PREFIX));
  return name === undefined ? null : caches.open(name);
}

/**
 * Lets go of every version but one.
 * @param {string} name
 */
async function forget(name) {
  const others = (await caches.keys()).filter((key) => key.startsWith(PREFIX) && key !== name);
  await Promise.all(others.map((key) => caches.delete(key)));
}
