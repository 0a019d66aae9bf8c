// The start of the page. Runs once main.js has constructed all modules.

import { redirectIfMigrated } from '../net/migration-source.js';
import { registerServiceWorker } from '../net/service-worker.js';

/**
 * @param {object} options
 * @param {boolean} options.isMigrationTarget whether this page first copies tracks from the page that opened it
 * @param {Promise<unknown>} options.trackCache settles after the tracks have been copied
 * @param {() => Promise<void>} options.startSession
 * @param {() => boolean} options.mayReload whether a reload loses nothing that the user has done
 */
export function startPage({ isMigrationTarget, trackCache, startSession, mayReload }) {
  // A page that copies tracks enters the room only afterwards: barriers would make the other listeners wait for this
  // phone. The other pages do not wait for the storage, so that the Join view appears at once.
  if (isMigrationTarget) trackCache.then(startSession, startSession);
  else startSession();
  // Rejects where the browser refuses localStorage: the page is then not redirected, even if this phone has migrated.
  redirectIfMigrated().catch(() => {});
  registerServiceWorker(mayReload);
}
