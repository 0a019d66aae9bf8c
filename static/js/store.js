// The one place where the app's state is held. Whoever changes it says so here; whoever shows it or
// acts on it listens here.

import { after } from './timer.js';

/** @typedef {import('./types.js').AppState} AppState */
/** @typedef {(state: AppState, before: AppState) => void} Subscriber */

/**
 * @typedef {object} Store
 * @property {() => AppState} get
 * @property {(change: Partial<AppState>) => void} update
 * @property {(subscriber: Subscriber) => void} subscribe
 * @property {(condition: (state: AppState) => boolean, limitMs: number) => Promise<boolean>} until
 */

/**
 * @param {AppState} initial
 * @returns {Store}
 */
export function createStore(initial) {
  let state = initial;
  /** @type {Set<Subscriber>} */
  const subscribers = new Set();

  /** @type {Store['update']} */
  function update(change) {
    const before = state;
    state = { ...state, ...change };
    for (const subscriber of [...subscribers]) subscriber(state, before);
  }

  /** @type {Store['until']} */
  function until(condition, limitMs) {
    if (condition(state)) return Promise.resolve(true);
    return new Promise((resolve) => {
      const done = (/** @type {boolean} */ met) => {
        cancel();
        subscribers.delete(look);
        resolve(met);
      };
      const look = (/** @type {AppState} */ now) => {
        if (condition(now)) done(true);
      };
      const cancel = after(limitMs, () => done(false));
      subscribers.add(look);
    });
  }

  return {
    get: () => state,
    update,
    subscribe: (subscriber) => void subscribers.add(subscriber),
    until,
  };
}
