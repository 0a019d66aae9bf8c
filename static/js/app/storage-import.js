// Imports settings and tracks from the insecure page that opened this one (see net/migration-target.js).

import { parseSettings } from '../settings.js';

/** @typedef {import('../types.js').MigrationProgress} MigrationProgress */
/** @typedef {import('../types.js').Settings} Settings */

/**
 * After a failed import, the phone keeps this page's settings and downloads the tracks that were not copied.
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {(onProgress: (progress: MigrationProgress) => void) => Promise<unknown>} options.runMigration copies the
 *   insecure page's tracks and resolves to that page's settings
 * @param {(settings: Settings) => void} options.changeSettings
 */
export async function importStorage({ store, runMigration, changeSettings }) {
  try {
    const settings = await runMigration((migration) => store.update({ view: 'migrating', migration }));
    changeSettings(parseSettings(settings));
  } catch {
    // The insecure page was closed or could not read or clear its storage, or its origin could not be requested from the
    // server.
  }
  store.update({ view: 'starting', migration: null });
}
