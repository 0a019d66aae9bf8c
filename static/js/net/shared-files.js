// Files that the system's share sheet has passed to the installed page (`share_target` in the manifest). The service worker keeps them
// in a cache of its own until the page takes them.

/** The query of the page's address after files were shared. */
const SHARED_QUERY = '?shared';

/**
 * Takes the files that were shared, and removes them from the cache and the query from the page's address.
 * @returns {Promise<File[]>} none if the page was opened otherwise
 */
export async function takeSharedFiles() {
  if (location.search !== SHARED_QUERY || !isSecureContext || !('caches' in self)) return [];
  history.replaceState(history.state, '', location.pathname + location.hash);
  const name = sharedCacheName(location.pathname);
  const cache = await caches.open(name);
  const files = await Promise.all((await cache.keys()).map(async (request) => fileFrom(await cache.match(request))));
  await caches.delete(name);
  return files.flat();
}

/** As in sw.js. @param {string} pagePath */
function sharedCacheName(pagePath) {
  return `lockstep-shared-${pagePath}`;
}

/** @param {Response | undefined} response @returns {Promise<File[]>} */
async function fileFrom(response) {
  if (!response) return [];
  const name = decodeURIComponent(response.headers.get('File-Name') ?? '');
  return [new File([await response.blob()], name, { type: response.headers.get('Content-Type') ?? '' })];
}
