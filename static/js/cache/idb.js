// A database of IndexedDB. Its connection may be cut at any time: iOS does that to pages in the background,
// and so does whoever clears what the browser keeps. It is opened when it is first needed, and again when it
// fails.

import { within } from '../timer.js';

/** Some browsers never answer, and others no more once the page was in the background. */
const ANSWER_MS = 10_000;

/**
 * Makes requests, the last of which is what is asked for, if anything is.
 * @template T
 * @typedef {(store: (name: string) => IDBObjectStore) => IDBRequest<T> | void} Work
 */

/**
 * @param {string} name
 * @param {(db: IDBDatabase) => void} create makes the stores of a new database
 */
export function createDatabase(name, create) {
  /** @type {Promise<IDBDatabase> | null} */
  let opening = null;

  async function open() {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => create(request.result);
    return result(request);
  }

  /**
   * @template T
   * @param {Promise<IDBDatabase>} opened
   * @param {IDBTransactionMode} mode
   * @param {Work<T>} work
   * @returns {Promise<T>}
   */
  async function attempt(opened, mode, work) {
    const db = await opened;
    const transaction = db.transaction([...db.objectStoreNames], mode);
    const request = work((store) => transaction.objectStore(store));
    await completion(transaction);
    return /** @type {IDBRequest<T>} */ (request)?.result;
  }

  /** @param {Promise<IDBDatabase>} opened */
  function drop(opened) {
    if (opening === opened) opening = null;
    opened.then((db) => db.close()).catch(() => {});
  }

  /**
   * All of `work` in one transaction; if it fails, once more on a new connection.
   * @template T
   * @param {IDBTransactionMode} mode
   * @param {Work<T>} work
   * @returns {Promise<T>}
   */
  return async (mode, work) => {
    for (let again = true; ; again = false) {
      const opened = (opening ??= open());
      try {
        return await within(ANSWER_MS, attempt(opened, mode, work));
      } catch (error) {
        drop(opened);
        if (!again) throw error;
      }
    }
  };
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * @param {IDBTransaction} transaction
 * @returns {Promise<void>}
 */
function completion(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error('the connection is gone'));
  });
}
