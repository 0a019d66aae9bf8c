// The store: the page's state in one immutable object. Subscribers are notified of all changes in the order of the
// updates.

import { after } from './timer.js';

/** @typedef {import('./types.js').AppState} AppState */
/** @typedef {(state: AppState, previous: AppState) => void} Subscriber */

/**
 * @typedef {object} Store
 * @property {() => AppState} get
 * @property {(change: Partial<AppState>) => void} update Sets the state at once. An update that a subscriber makes is
 *   delivered after the change that the subscriber was called for has reached all subscribers.
 * @property {(subscriber: Subscriber) => void} subscribe
 * @property {(condition: (state: AppState) => boolean, timeoutMs: number) => Promise<boolean>} waitFor Resolves with
 *   `true` once the condition holds, and with `false` after the timeout.
 */

/** @param {AppState} initialState @returns {Store} */
export function createStore(initialState) {
  let state = initialState;
  /** @type {Set<Subscriber>} */
  const subscribers = new Set();
  /** Changes that are not delivered yet, each with the subscribers at the time of the change. */
  /** @type {{state: AppState, previous: AppState, recipients: Subscriber[]}[]} */
  const undelivered = [];
  let isDelivering = false;

  /** @type {Store['update']} */
  function update(change) {
    const previous = state;
    state = { ...state, ...change };
    undelivered.push({ state, previous, recipients: [...subscribers] });
    if (!isDelivering) deliver();
  }

  /** Throws the first error of a subscriber, after all changes have been delivered to the other subscribers. */
  function deliver() {
    isDelivering = true;
    /** @type {unknown[]} */
    const errors = [];
    for (let change = undelivered.shift(); change; change = undelivered.shift()) {
      for (const subscriber of change.recipients) {
        if (!subscribers.has(subscriber)) continue;
        try {
          subscriber(change.state, change.previous);
        } catch (error) {
          errors.push(error);
        }
      }
    }
    isDelivering = false;
    if (errors.length > 0) throw errors[0];
  }

  /** @type {Store['waitFor']} */
  function waitFor(condition, timeoutMs) {
    if (condition(state)) return Promise.resolve(true);
    return new Promise((resolve) => {
      const finish = (/** @type {boolean} */ isMet) => {
        cancelTimeout();
        subscribers.delete(check);
        resolve(isMet);
      };
      const check = (/** @type {AppState} */ newState) => {
        if (condition(newState)) finish(true);
      };
      const cancelTimeout = after(timeoutMs, () => finish(false));
      subscribers.add(check);
    });
  }

  return {
    get: () => state,
    update,
    subscribe: (subscriber) => void subscribers.add(subscriber),
    waitFor,
  };
}
