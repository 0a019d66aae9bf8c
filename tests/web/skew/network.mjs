// A network between one phone and the server: slow and uneven each way, but in order, as TCP is. It can be cut,
// as a radio is: nothing comes through any more, and neither side is told.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** @typedef {{delayMs: number, jitterMs: number}} Slowness each way: at least `delayMs`, and at most `jitterMs` more */
/** @typedef {Awaited<ReturnType<typeof openNetwork>>} Network */

/**
 * @param {string} address the server's page
 * @param {Slowness} slowness
 */
export async function openNetwork(address, { delayMs, jitterMs }) {
  const { hostname, port } = new URL(address);
  /** @type {Set<{dead: boolean, end: () => void}>} */
  const lines = new Set();
  let isCut = false;

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (phone) => {
    const far = connect({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true, noDelay: true });
    const line = {
      dead: isCut,
      end: () => {
        lines.delete(line);
        for (const socket of [phone, far]) socket.destroy();
      },
    };
    lines.add(line);
    carry(phone, far, line);
    carry(far, phone, line);
  });

  /**
   * @param {import('node:net').Socket} from
   * @param {import('node:net').Socket} to
   * @param {{dead: boolean, end: () => void}} line
   */
  function carry(from, to, line) {
    let before = Promise.resolve();
    const later = (/** @type {() => void} */ act) => {
      const dueMs = performance.now() + delayMs + Math.random() * jitterMs;
      before = before.then(async () => {
        const waitMs = dueMs - performance.now();
        if (waitMs > 0) await sleep(waitMs);
        if (!line.dead) act();
      });
    };
    from.on('data', (data) => later(() => to.write(data)));
    from.on('end', () => later(() => to.end()));
    from.on('close', () => later(line.end));
    from.on('error', () => {});
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const own = /** @type {import('node:net').AddressInfo} */ (server.address()).port;

  return {
    url: `http://${hostname}:${own}/`,
    cut: () => {
      isCut = true;
      for (const line of lines) line.dead = true;
    },
    /** What was cut is broken off now, and both sides learn of it. */
    mend: () => {
      isCut = false;
      for (const line of lines) if (line.dead) line.end();
    },
    end: () => {
      server.close();
      for (const line of lines) line.end();
    },
  };
}
