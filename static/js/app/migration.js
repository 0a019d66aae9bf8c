// Migrates this phone from the insecure page to the secure page, and shows in the app state whether tracks are being
// copied.

import { migrateTo } from '../net/migration-source.js';
import { openStorage } from '../tracks/storage.js';

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {() => void} options.endForMigration
 * @returns {(origin: string) => void} migrates to the page at `origin`; must be called in a user gesture
 */
export function createMigration({ store, endForMigration }) {
  return (origin) =>
    migrateTo(origin, {
      openStorage,
      getSettings: () => store.get().settings,
      onStarted: (trackCount) => {
        store.update({ migration: trackCount > 0 ? { copied: 0, total: trackCount } : null });
        endForMigration();
      },
      onDone: () => store.update({ migration: null }),
    });
}
