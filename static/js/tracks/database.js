// One IndexedDB database, opened on first use and reopened after a failure. Browsers close the connection when the user
// clears site data, and Safari on iOS loses the connection of pages in the background (WebKit bug 197050: “Connection
// to Indexed Database server lost”, reported for iOS 12.2 to 17.4).

import { withTimeout } from '../timer.js';

/**
 * In Safari a request may stay pending forever after the page was in the background, or on first use (WebKit bug
 * 226547, iOS 14.6).
 */
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * Issues requests against the object stores of one transaction; the result is that of the returned request, if any.
 * @template T
 * @typedef {(objectStore: (name: string) => IDBObjectStore) => IDBRequest<T> | void} IssueRequests
 */

/** @param {string} name @param {(db: IDBDatabase) => void} createStores */
export function createDatabase(name, createStores) {
  /** @type {Promise<IDBDatabase> | null} */
  let connection = null;

  async function connect() {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => createStores(request.result);
    return resultOf(request);
  }

  /**
   * @template T
   * @param {Promise<IDBDatabase>} connectionPromise
   * @param {IDBTransactionMode} mode
   * @param {IssueRequests<T>} issueRequests
   * @returns {Promise<T>}
   */
  async function runTransaction(connectionPromise, mode, issueRequests) {
    const database = await connectionPromise;
    const transaction = database.transaction([...database.objectStoreNames], mode);
    const request = issueRequests((storeName) => transaction.objectStore(storeName));
    await completionOf(transaction);
    return /** @type {IDBRequest<T>} */ (request)?.result;
  }

  /** @param {Promise<IDBDatabase>} connectionPromise */
  function disconnect(connectionPromise) {
    if (connection === connectionPromise) connection = null;
    connectionPromise.then((database) => database.close()).catch(() => {});
  }

  /**
   * Runs all requests in one transaction. A failed transaction is retried once on a new connection.
   * @template T
   * @param {IDBTransactionMode} mode
   * @param {IssueRequests<T>} issueRequests
   * @returns {Promise<T>}
   */
  return async function transact(mode, issueRequests) {
    for (let isFirstAttempt = true; ; isFirstAttempt = false) {
      const connectionPromise = (connection ??= connect());
      try {
        return await withTimeout(REQUEST_TIMEOUT_MS, runTransaction(connectionPromise, mode, issueRequests));
      } catch (error) {
        disconnect(connectionPromise);
        if (!isFirstAttempt) throw error;
      }
    }
  };
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function resultOf(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @param {IDBTransaction} transaction @returns {Promise<void>} */
function completionOf(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error('the connection to IndexedDB was closed'));
  });
}
