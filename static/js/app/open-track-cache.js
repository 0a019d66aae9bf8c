// Opens the track cache. A page that was opened by a migration first imports the settings and tracks of the old page.

import { importStorage } from './storage-import.js';
import { insecurePageOrigin } from './insecure-page-origin.js';
import { migrateFrom } from '../net/migration-target.js';
import { openStorage } from '../tracks/storage.js';
import { createTrackCache } from '../tracks/track-cache.js';

/**
 * @param {object} options
 * @param {boolean} options.isMigrationTarget whether this page was opened by a migration
 * @param {import('../store.js').Store} options.store
 * @param {(change: Partial<import('../types.js').Settings>) => void} options.changeSettings
 * @param {Parameters<typeof createTrackCache>[1]} options.cacheOptions
 */
export async function openTrackCache({ isMigrationTarget, store, changeSettings, cacheOptions }) {
  const storage = await openStorage();
  if (isMigrationTarget) {
    /** @type {Parameters<typeof importStorage>[0]['runMigration']} */
    const runMigration = async (onProgress) => migrateFrom(await insecurePageOrigin(), storage, onProgress);
    await importStorage({ store, runMigration, changeSettings });
  }
  return createTrackCache(storage, cacheOptions);
}
