// The service worker, on pages that are secure: keeps the page's own files, so that the page starts
// while the server is away. They are kept whole, all of one version, and only a server that is away, or
// that slow, makes them be used without its word; a page that turns out to be of an older version then is
// told so. Nothing else goes through here: the room and the index
// would be stale, and tracks are kept by the page.

/** @typedef {{version: string, files: string[]}} Shell what `/shell.json` says */

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));

/** Followed by the version. */
const PREFIX = 'lockstep-shell-';

/** A server that says nothing for so long is as good as away; somebody looks at an empty page meanwhile. */
const AWAY_MS = 2_000;

/** So long may a new version take to be fetched; then the old one is better than an empty page. */
const FETCH_MS = 10_000;

/** @type {Promise<string | null> | null} the cache that the last page was started from */
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
    if (pathname === '/') event.respondWith(start(event));
  } else if (destination !== '') {
    event.respondWith(part(event.request));
  }
});

/**
 * The page itself, in the server's version, or in the one that is kept if the server is away.
 * @param {FetchEvent} event
 */
async function start(event) {
  const old = await kept();
  const fresh = newest();
  const late = new Promise((resolve) => setTimeout(resolve, AWAY_MS, old));
  shell = Promise.race(old ? [fresh, late] : [fresh]).catch(() => old);
  event.waitUntil(tell(event.resultingClientId, await shell, fresh));
  return (await among(await shell, '/')) ?? fetch(event.request);
}

/**
 * Tells a page that is of an older version than the server's, once the newer one is kept.
 * @param {string} page
 * @param {string | null} started the cache that it was started from
 * @param {Promise<string | null>} fresh
 */
async function tell(page, started, fresh) {
  const newer = await fresh.catch(() => started);
  if (newer !== started) (await worker.clients.get(page))?.postMessage('newer');
}

/**
 * What the page is made of, of the version that it was started in.
 * @param {Request} request
 */
async function part(request) {
  // Between two requests the browser may end the worker, and start it anew.
  shell ??= kept();
  return (await among(await shell, request)) ?? fetch(request);
}

/**
 * @param {string | null} cacheName
 * @param {RequestInfo} request
 */
async function among(cacheName, request) {
  return cacheName === null ? undefined : caches.match(request, { cacheName });
}

/**
 * The server's version, fetched if it is not the one that is kept.
 * @returns {Promise<string | null>} its cache; `null` if who answers is another server than that of this page
 */
async function newest() {
  const response = await fetch('/shell.json', { cache: 'no-store', signal: AbortSignal.timeout(FETCH_MS) });
  if (response.status === 404) {
    await forget('');
    return null;
  }
  // It may stand for a server that is away, as a proxy does.
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
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
  return name;
}

/** The cache that is kept: while another version is being fetched, that of the older one. */
async function kept() {
  return (await caches.keys()).find((key) => key.startsWith(PREFIX)) ?? null;
}

/**
 * Lets go of every version but one.
 * @param {string} name
 */
async function forget(name) {
  const others = (await caches.keys()).filter((key) => key.startsWith(PREFIX) && key !== name);
  await Promise.all(others.map((key) => caches.delete(key)));
}
