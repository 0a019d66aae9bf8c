// The service worker of secure pages. It caches the page's own files (the app shell), so that the page can start
// without the server. Each version is cached completely, in a cache of its own. The server's version is always
// requested first: the cached version is used if the server is unreachable or slow, and a page that was started from an
// outdated version gets a message. Files that were shared with the installed page are kept until the page takes them.
// Nothing else is cached here: the room and the index must be current, and the page stores tracks itself.

/**
 * The body of `/shell.json`. `onDemand`: the tables of languages, of which the cache has those that were used on this phone.
 * @typedef {{version: string, files: string[], onDemand: string[]}} Shell
 */

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));

/** The URL path of the page: `/`, or the server's base path. */
const PAGE_PATH = new URL('./', location.href).pathname;

/** Below it, each room other than the house room has its page: the same one with another base address. */
const ROOMS_PATH = `${PAGE_PATH}rooms/`;
const PAGE_BASE = '<base href="./">';
const ROOM_PAGE_BASE = '<base href="../../">';

/** Where the system's share sheet sends files (`share_target` in the manifest). The server has no such path. */
const SHARE_PATH = `${PAGE_PATH}share`;

/** The cache of shared files, until the page has taken them (js/net/shared-files.js). */
const SHARED_CACHE = `lockstep-shared-${PAGE_PATH}`;

/** A cache's name is this prefix and the version. Servers with other base paths on the same origin use other prefixes. */
const CACHE_PREFIX = `lockstep-shell-${PAGE_PATH === '/' ? '' : PAGE_PATH}`;

/** How long a navigation waits for the server's version before the page is started from the cached version. */
const VERSION_TIMEOUT_MS = 2_000;

/** Timeout of each of the two steps of an update: the version, and all files. */
const FETCH_TIMEOUT_MS = 10_000;

/** Resolves to the name of the cache from which the last page was started. @type {Promise<string | null> | null} */
let shellCacheName = null;

worker.addEventListener('install', (event) => {
  worker.skipWaiting();
  // Requests by scripts (an empty destination) bypass the worker where the browser has the static routing API (Chromium
  // 123), because starting the worker would delay the requests that measure the clock.
  /** @type {any} */ (event).addRoutes?.({ condition: { requestDestination: '' }, source: 'network' });
  event.waitUntil(updateCache());
});

worker.addEventListener('message', (event) => {
  const { language } = event.data ?? {};
  if (/^[a-z]{2}$/.test(language)) event.waitUntil(cacheTable(`js/language/tables/${language}.js`));
});

worker.addEventListener('fetch', (event) => {
  const { method, mode, destination, url } = event.request;
  const { origin, pathname } = new URL(url);
  if (method === 'POST' && origin === location.origin && pathname === SHARE_PATH) return event.respondWith(keepSharedFiles(event.request));
  if (method !== 'GET' || origin !== location.origin) return;
  if (mode === 'navigate') {
    if (pathname === PAGE_PATH || isRoomPage(pathname)) event.respondWith(servePage(event, pathname));
  } else if (destination !== '') {
    event.respondWith(serveFile(event.request));
  }
});

/** Keeps the files of a share, and opens the page, which uploads them. @param {Request} request */
async function keepSharedFiles(request) {
  const cache = await caches.open(SHARED_CACHE);
  const files = (await request.formData()).getAll('files').filter((value) => value instanceof File);
  await Promise.all(
    files.map((file, i) => cache.put(`./shared/${i}`, new Response(file, { headers: { 'File-Name': encodeURIComponent(file.name), 'Content-Type': file.type } }))),
  );
  return Response.redirect('./?shared', 303);
}

/**
 * Responds to a navigation with the server's version, or with the cached version if the server is unreachable or slow.
 * @param {FetchEvent} event
 * @param {string} pathname
 */
async function servePage(event, pathname) {
  const existingCacheName = await findCacheName();
  const update = updateCache();
  const timeout = new Promise((resolve) => setTimeout(resolve, VERSION_TIMEOUT_MS, existingCacheName));
  shellCacheName = Promise.race(existingCacheName ? [update, timeout] : [update]).catch(() => existingCacheName);
  // Safari has no `resultingClientId` before 16: its page learns of a new version at its next start.
  event.waitUntil(reportNewVersion(event.resultingClientId ?? '', await shellCacheName, update));
  const page = await findResponse(await shellCacheName, PAGE_PATH);
  if (!page) return fetch(event.request);
  return isRoomPage(pathname) ? roomPage(page) : page;
}

/** @param {string} pathname */
function isRoomPage(pathname) {
  return pathname.startsWith(ROOMS_PATH) && /^[^/]+\/$/.test(pathname.slice(ROOMS_PATH.length));
}

/** @param {Response} page */
async function roomPage(page) {
  const headers = new Headers(page.headers);
  // The body is no longer compressed.
  for (const name of ['Content-Encoding', 'Content-Length']) headers.delete(name);
  return new Response((await page.text()).replace(PAGE_BASE, ROOM_PAGE_BASE), { headers });
}

/**
 * Posts the message `newer` to a page that was started from an older version, once the server's version is cached.
 * @param {string} clientId
 * @param {string | null} pageCacheName name of the cache from which the page was started
 * @param {Promise<string | null>} update resolves to the name of the cache of the server's version
 */
async function reportNewVersion(clientId, pageCacheName, update) {
  const newestCacheName = await update.catch(() => pageCacheName);
  if (newestCacheName !== pageCacheName) (await worker.clients.get(clientId))?.postMessage('newer');
}

/** A signal that aborts after `ms`, as `AbortSignal.timeout`, which is missing before iOS 16. @param {number} ms */
function abortAfter(ms) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), ms);
  return controller.signal;
}

/** Responds with a file of the version that the page was started from. @param {Request} request */
async function serveFile(request) {
  // The browser may have restarted this worker since the page was started.
  shellCacheName ??= findCacheName();
  return (await findResponse(await shellCacheName, request)) ?? fetch(request);
}

/** @param {string | null} cacheName @param {RequestInfo} request */
async function findResponse(cacheName, request) {
  return cacheName === null ? undefined : caches.match(request, { cacheName });
}

/**
 * Caches the server's version, unless it is cached already, and deletes all other versions.
 * @returns {Promise<string | null>} the name of the cache of the server's version; `null` if the server at this origin is
 *   not a Lockstep server
 */
async function updateCache() {
  const response = await fetch('./shell.json', { cache: 'no-store', signal: abortAfter(FETCH_TIMEOUT_MS) });
  if (response.status === 404) {
    await deleteCachesExcept('');
    return null;
  }
  // Other errors may come from a proxy that cannot reach the server, so the cached versions are not deleted.
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  /** @type {Shell} */
  const { version, files, onDemand } = await response.json();
  const cacheName = CACHE_PREFIX + version;
  const cache = await caches.open(cacheName);
  // `addAll` stores all files or none, so a cache that contains one file is complete.
  if (!(await cache.match(PAGE_PATH))) {
    const signal = abortAfter(FETCH_TIMEOUT_MS);
    const paths = [...files, ...(await cachedPaths(onDemand))];
    await cache.addAll(paths.map((path) => new Request(`.${path}`, { cache: 'no-cache', signal })));
  }
  await deleteCachesExcept(cacheName);
  return cacheName;
}

/** The paths of which any version of this server's page has the file in its cache. @param {string[]} paths */
async function cachedPaths(paths) {
  const cacheNames = (await caches.keys()).filter(isOwnCache);
  const areCached = await Promise.all(
    paths.map(async (path) => (await Promise.all(cacheNames.map((cacheName) => caches.match(`.${path}`, { cacheName })))).some(Boolean)),
  );
  return paths.filter((_, i) => areCached[i]);
}

/** Caches the table of a language, which a page has loaded. @param {string} path */
async function cacheTable(path) {
  for (const name of (await caches.keys()).filter(isOwnCache)) {
    const cache = await caches.open(name);
    if (!(await cache.match(path))) await cache.add(new Request(path, { cache: 'no-cache', signal: abortAfter(FETCH_TIMEOUT_MS) })).catch(() => {});
  }
}

/** Resolves to the name of the cache; while a newer version is being cached, to the name of the older cache. */
async function findCacheName() {
  return (await caches.keys()).find(isOwnCache) ?? null;
}

/**
 * Whether a cache holds a version of this server's page. A `/` after the prefix belongs to a server with a base path below
 * this one.
 * @param {string} name
 */
function isOwnCache(name) {
  return name.startsWith(CACHE_PREFIX) && !name.slice(CACHE_PREFIX.length).includes('/');
}

/** Deletes the caches of all other versions. @param {string} keptCacheName empty to keep none */
async function deleteCachesExcept(keptCacheName) {
  const otherNames = (await caches.keys()).filter((key) => isOwnCache(key) && key !== keptCacheName);
  await Promise.all(otherNames.map((key) => caches.delete(key)));
}
