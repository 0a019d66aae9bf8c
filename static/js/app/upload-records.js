// The unfinished uploads of this phone in IndexedDB, so that they continue after a reload.

import { createDatabase } from '../tracks/database.js';

const DATABASE_NAME = 'lockstep-uploads';
const STORE = 'uploads';

/**
 * `file`: absent if the browser cannot store files. `id`: the upload's id on the server; `null` before the upload has begun. `title`: as typed.
 * @typedef {{key: string, id: string | null, name: string, size: number, lastModified: number, title?: string, file?: File}} UploadRecord
 */

/** @typedef {ReturnType<typeof createUploadRecords>} UploadRecords */

export function createUploadRecords() {
  const transact = createDatabase(DATABASE_NAME, (db) => db.createObjectStore(STORE, { keyPath: 'key' }));

  /** @param {UploadRecord} record */
  const write = (record) => transact('readwrite', (store) => void store(STORE).put(record));

  return {
    /** @returns {Promise<UploadRecord[]>} in the order in which they were added; none where IndexedDB fails */
    load: () => transact('readonly', (store) => store(STORE).getAll()).catch(() => []),

    /** Where the browser fails to store the file, the record is stored without it. @param {UploadRecord} record @returns {Promise<void>} */
    save: async ({ file, ...record }) => {
      // Without IndexedDB, an upload ends with the page.
      await write(file ? { ...record, file } : record).catch(() => write(record)).catch(() => {});
    },

    /** @param {string} key @returns {Promise<void>} */
    remove: (key) => transact('readwrite', (store) => void store(STORE).delete(key)).catch(() => {}),
  };
}

/** Whether the browser can read the file: a phone may have removed it, and stored files may have lost their content. @param {File} file */
export async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
