// The event stream: opened, watched, opened again. What its messages mean is not known here.
//
// It is read by `fetch` and not by EventSource, which keeps the server's heartbeat (a comment) to
// itself: only by that can a stream that died in silence be told from a room where nothing happens.

import { getEvents } from './api.js';
import { createEventParser } from './sse.js';
import { after } from './timer.js';

/** @typedef {import('./types.js').Message} Message */

/** Waits before the first, second, … try to reopen. */
const BACKOFF_MS = [500, 1_000, 2_000, 4_000];

/** Two heartbeats of 5 s, and some reserve: a stream that brings nothing for so long is dead. */
const SILENCE_MS = 11_000;

/**
 * @param {object} options
 * @param {() => string} options.query what the server is to know of this phone, anew for each try
 * @param {() => Promise<void>} options.onOpen What it brings waits for this.
 * @param {(message: Message) => void} options.onMessage
 * @param {() => Promise<boolean>} options.onLost says whether to try again
 */
export function createStream({ query, onOpen, onMessage, onLost }) {
  /** @type {AbortController | null} */
  let current = null;
  let cancel = () => {};
  let tries = 0;
  let turn = 0;
  let wanted = false;

  async function open() {
    drop();
    wanted = true;
    const own = new AbortController();
    current = own;
    try {
      await follow(own);
    } catch {
      // Why it ended does not matter: whoever is told of the loss finds out what the server says.
    }
    if (own === current) lost();
  }

  /**
   * Passes on what the stream brings, until it ends.
   * @param {AbortController} own
   */
  async function follow(own) {
    const alive = watch(own);
    try {
      const { body } = await getEvents(query(), own.signal);
      if (!body) return;
      alive();
      tries = 0;
      await onOpen();
      if (own !== current) return;
      const parse = createEventParser();
      const reader = body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done || own !== current) return;
        alive();
        parse(value).forEach(deliver);
      }
    } finally {
      own.abort();
    }
  }

  /** @param {string} data */
  function deliver(data) {
    try {
      onMessage(JSON.parse(data));
    } catch (error) {
      // A fault of the page's own is no fault of the connection.
      reportError(error);
    }
  }

  /**
   * Ends a stream that says nothing for too long.
   * @param {AbortController} own
   * @returns {() => void} to be called for each sign of life
   */
  function watch(own) {
    let heard = () => {};
    const alive = () => {
      heard();
      heard = after(SILENCE_MS, () => own.abort());
    };
    own.signal.addEventListener('abort', () => heard());
    alive();
    return alive;
  }

  function drop() {
    turn += 1;
    cancel();
    const last = current;
    current = null;
    last?.abort();
  }

  async function lost() {
    drop();
    const own = turn;
    const again = await onLost();
    if (!again || own !== turn) return;
    cancel = after(BACKOFF_MS[Math.min(tries, BACKOFF_MS.length - 1)] ?? 0, open);
    tries += 1;
  }

  return {
    open,
    close: () => {
      wanted = false;
      drop();
    },
    /** To be called when the network gives reason to think that the stream is dead but silent. */
    suspect: () => {
      if (current) lost();
    },
    /** Tries at once what would be tried later, or is being tried in vain. */
    hurry: () => {
      if (!current && wanted) {
        tries = 0;
        open();
      }
    },
  };
}
