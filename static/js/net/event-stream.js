// Opens the event stream, detects a dead connection by missing heartbeats, and reconnects with back-off.
//
// The stream is read by `fetch`: EventSource does not expose the server's heartbeat, which is a comment line, and
// without the heartbeat a dead connection looks like a room without events.

import { getEvents } from './api.js';
import { createEventParser } from './sse.js';
import { after } from '../timer.js';

/** @typedef {import('../types.js').EventMessage} EventMessage */

/** Delay before the first, second, … attempt to reconnect. */
const BACKOFF_MS = [500, 1_000, 2_000, 4_000];

/** The server sends a heartbeat every 5 s: a stream without a byte for two intervals, and 1 s of tolerance, is dead. */
const IDLE_TIMEOUT_MS = 11_000;

/**
 * @param {object} options
 * @param {() => string} options.query the query string of the request, computed for each connection
 * @param {() => Promise<void>} options.onOpen the first message is delivered after the returned promise has
 *   resolved
 * @param {(message: EventMessage) => void} options.onMessage
 * @param {(error: unknown) => Promise<boolean>} options.onLost called when the connection has ended or is given up, with the error
 *   of the request, if there was one; resolves to whether
 *   to reconnect
 */
export function createEventStream({ query, onOpen, onMessage, onLost }) {
  /** Aborts the open or opening connection; `null` while there is no connection. */
  /** @type {AbortController | null} */
  let currentController = null;
  let cancelReconnect = () => {};
  let attemptCount = 0;
  /** Increases with each disconnect: an attempt to reconnect ends if `generation` has changed in the meantime. */
  let generation = 0;
  let shouldBeOpen = false;

  async function open() {
    disconnect();
    shouldBeOpen = true;
    const controller = new AbortController();
    currentController = controller;
    /** @type {unknown} */
    let error = null;
    try {
      await receive(controller);
    } catch (cause) {
      error = cause;
    }
    if (controller === currentController) reconnect(error);
  }

  /** Requests the stream and delivers its messages until the stream ends. @param {AbortController} controller */
  async function receive(controller) {
    const restartIdleTimeout = createIdleTimeout(controller);
    try {
      const { body } = await getEvents(query(), controller.signal);
      if (!body) return;
      restartIdleTimeout();
      attemptCount = 0;
      await onOpen();
      if (controller !== currentController) return;
      const parse = createEventParser();
      // Firefox has no TextDecoderStream before 105.
      const decoder = new TextDecoder();
      const reader = body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done || controller !== currentController) return;
        restartIdleTimeout();
        parse(decoder.decode(value, { stream: true })).forEach(deliver);
      }
    } finally {
      controller.abort();
    }
  }

  /** @param {string} data one message as JSON */
  function deliver(data) {
    try {
      onMessage(JSON.parse(data));
    } catch (error) {
      // An error in the page's own code must not end the connection.
      reportError(error);
    }
  }

  function disconnect() {
    generation += 1;
    cancelReconnect();
    const lastController = currentController;
    currentController = null;
    lastController?.abort();
  }

  /** @param {unknown} [error] */
  async function reconnect(error = null) {
    disconnect();
    const ownGeneration = generation;
    const mayReconnect = await onLost(error);
    if (!mayReconnect || ownGeneration !== generation) return;
    cancelReconnect = after(BACKOFF_MS[Math.min(attemptCount, BACKOFF_MS.length - 1)] ?? 0, open);
    attemptCount += 1;
  }

  return {
    open,
    close: () => {
      shouldBeOpen = false;
      disconnect();
    },
    /** Replaces a connection that is probably dead, after the back-off. */
    replaceConnection: () => {
      if (currentController) reconnect();
    },
    /** Skips the back-off before the next attempt to reconnect. */
    reconnectNow: () => {
      if (currentController || !shouldBeOpen) return;
      attemptCount = 0;
      open();
    },
  };
}

/**
 * Aborts the connection after a time without a byte.
 * @param {AbortController} controller
 * @returns {() => void} to be called for each chunk: restarts the timeout
 */
function createIdleTimeout(controller) {
  let cancel = () => {};
  const restart = () => {
    cancel();
    cancel = after(IDLE_TIMEOUT_MS, () => controller.abort());
  };
  controller.signal.addEventListener('abort', () => cancel());
  restart();
  return restart;
}
