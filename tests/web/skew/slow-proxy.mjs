// A TCP proxy between a phone and the server that adds latency and jitter in each direction and keeps the order of the data. It can be
// cut like a lost radio link: no data passes, and neither side is notified.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** @typedef {{delayMs: number, jitterMs: number}} Latency in each direction: `delayMs` plus a random part of `jitterMs` */
/** @typedef {Awaited<ReturnType<typeof openSlowProxy>>} SlowProxy */

/**
 * @param {string} serverUrl
 * @param {Latency} latency
 */
export async function openSlowProxy(serverUrl, { delayMs, jitterMs }) {
  const { hostname, port } = new URL(serverUrl);
  /** @type {Set<{isCut: boolean, destroy: () => void}>} */
  const connections = new Set();
  let isCut = false;

  const listener = createServer({ allowHalfOpen: true, noDelay: true }, (phone) => {
    const server = connect({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true, noDelay: true });
    const connection = {
      isCut,
      destroy: () => {
        connections.delete(connection);
        for (const socket of [phone, server]) socket.destroy();
      },
    };
    connections.add(connection);
    forward(phone, server, connection);
    forward(server, phone, connection);
  });

  /**
   * @param {import('node:net').Socket} from
   * @param {import('node:net').Socket} to
   * @param {{isCut: boolean, destroy: () => void}} connection
   */
  function forward(from, to, connection) {
    let previous = Promise.resolve();
    const schedule = (/** @type {() => void} */ action) => {
      const dueMs = performance.now() + delayMs + Math.random() * jitterMs;
      previous = previous.then(async () => {
        const waitMs = dueMs - performance.now();
        if (waitMs > 0) await sleep(waitMs);
        if (!connection.isCut) action();
      });
    };
    from.on('data', (data) => schedule(() => to.write(data)));
    from.on('end', () => schedule(() => to.end()));
    from.on('close', () => schedule(connection.destroy));
    from.on('error', () => {});
  }

  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const proxyPort = /** @type {import('node:net').AddressInfo} */ (listener.address()).port;

  return {
    url: `http://${hostname}:${proxyPort}/`,
    /** Cuts all current and future connections. */
    cut: () => {
      isCut = true;
      for (const connection of connections) connection.isCut = true;
    },
    /** Lets new connections pass and closes the cut ones, so that both sides notice. */
    restore: () => {
      isCut = false;
      for (const connection of connections) if (connection.isCut) connection.destroy();
    },
    close: () => {
      listener.close();
      for (const connection of connections) connection.destroy();
    },
  };
}
