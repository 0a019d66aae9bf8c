// Timers that fire on time while the page is hidden. Chrome (88 and later) throttles the timers of a hidden, inaudible
// page to one per second, and after five minutes to one per minute; Firefox and Safari throttle similarly. Timers of a
// dedicated worker are not throttled. Each timer here runs both on the page and in timer-worker.js, and the first of
// the two to fire counts. Neither fires while the browser has suspended the page.

/** @type {Map<number, () => void>} */
const callbacks = new Map();
let lastId = 0;
/** @type {Worker | null} */
let worker = null;

function startWorker() {
  if (typeof Worker === 'undefined') return null;
  const newWorker = new Worker(new URL('./timer-worker.js', import.meta.url));
  newWorker.onmessage = ({ data: id }) => callbacks.get(id)?.();
  return newWorker;
}

/**
 * Calls `callback` once after `ms`.
 * @param {number} ms
 * @param {() => void} callback
 * @returns {() => void} cancels the timer
 */
export function after(ms, callback) {
  worker ??= startWorker();
  lastId += 1;
  const id = lastId;
  const cancel = () => {
    if (!callbacks.delete(id)) return;
    clearTimeout(pageTimer);
    worker?.postMessage({ id, ms: null });
  };
  const fire = () => {
    cancel();
    callback();
  };
  callbacks.set(id, fire);
  const pageTimer = setTimeout(fire, ms);
  worker?.postMessage({ id, ms });
  return cancel;
}

/** @param {number} ms @returns {Promise<void>} */
export function sleep(ms) {
  return new Promise((resolve) => void after(ms, resolve));
}

/** A signal that aborts after `ms`, as `AbortSignal.timeout`, which is missing before iOS 16. @param {number} ms */
export function abortAfter(ms) {
  const controller = new AbortController();
  after(ms, () => controller.abort());
  return controller.signal;
}

/**
 * Settles as `promise` does, or rejects if `promise` is still pending after `ms`.
 * @template T
 * @param {number} ms
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export function withTimeout(ms, promise) {
  return new Promise((resolve, reject) => {
    const cancel = after(ms, () => reject(new Error(`timed out after ${ms} ms`)));
    promise.then(resolve, reject).finally(cancel);
  });
}

/** Calls `callback` every `ms` until the page is closed. @param {number} ms @param {() => void} callback */
export function every(ms, callback) {
  after(ms, () => {
    every(ms, callback);
    callback();
  });
}
