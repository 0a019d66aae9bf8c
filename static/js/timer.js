// Timers that come on time while the page is hidden. Chrome lets the timers of a hidden page fire once
// a second, after five minutes once a minute, and a page in which music is merely about to play counts
// as silent; Firefox and Safari do much the same. A worker's timers are left alone. So each timer here
// runs in both places, and the first to come counts. (A page that is suspended altogether has neither.)

/** @type {Map<number, () => void>} */
const waiting = new Map();
let lastId = 0;
/** @type {Worker | null} */
let worker = null;

function start() {
  if (typeof Worker === 'undefined') return null;
  const started = new Worker(new URL('./timer-worker.js', import.meta.url));
  started.onmessage = ({ data }) => waiting.get(data)?.();
  return started;
}

/**
 * @param {number} ms
 * @param {() => void} then
 * @returns {() => void} to be called if it is not to come after all
 */
export function after(ms, then) {
  worker ??= start();
  lastId += 1;
  const id = lastId;
  const cancel = () => {
    if (!waiting.delete(id)) return;
    clearTimeout(own);
    worker?.postMessage({ id, ms: null });
  };
  const fire = () => {
    cancel();
    then();
  };
  waiting.set(id, fire);
  const own = setTimeout(fire, ms);
  worker?.postMessage({ id, ms });
  return cancel;
}

/**
 * @param {number} ms
 * @returns {Promise<void>}
 */
export function sleep(ms) {
  return new Promise((resolve) => void after(ms, resolve));
}

/**
 * What comes of `answer`, or a rejection if nothing has come of it after so long.
 * @template T
 * @param {number} ms
 * @param {Promise<T>} answer
 * @returns {Promise<T>}
 */
export function within(ms, answer) {
  return new Promise((resolve, reject) => {
    const cancel = after(ms, () => reject(new Error('no answer')));
    answer.then(resolve, reject).finally(cancel);
  });
}

/**
 * Calls `then` again and again, for as long as the page lives.
 * @param {number} ms
 * @param {() => void} then
 */
export function every(ms, then) {
  after(ms, () => {
    every(ms, then);
    then();
  });
}
