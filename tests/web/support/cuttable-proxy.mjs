// A TCP proxy between phones and a server that can be cut like a lost radio link: no data passes, and neither side is notified.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** @param {string} serverUrl */
export async function openCuttableProxy(serverUrl) {
  const { hostname, port } = new URL(serverUrl);
  /** @type {Set<{path: string, isCut: boolean, destroy: () => void}>} */
  const connections = new Set();
  let isCut = false;

  const listener = createServer((phone) => {
    const server = connect(Number(port), '127.0.0.1');
    const connection = { path: '', isCut, destroy: () => [phone, server].forEach((socket) => socket.destroy()) };
    connections.add(connection);
    phone.on('data', (data) => {
      // A connection carries several requests; the path of the latest one counts.
      connection.path = /^[A-Z]+ (\S+)/.exec(data.toString('latin1'))?.[1] ?? connection.path;
      if (!connection.isCut) server.write(data);
    });
    server.on('data', (data) => {
      if (!connection.isCut) phone.write(data);
    });
    for (const socket of [phone, server]) {
      socket.on('error', () => {});
      socket.on('close', () => {
        connections.delete(connection);
        if (!connection.isCut) connection.destroy();
      });
    }
  });
  /** @param {string} path */
  function cutPath(path) {
    const matching = [...connections].filter((connection) => connection.path.startsWith(path));
    for (const connection of matching) connection.isCut = true;
    return matching.length;
  }

  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');

  return {
    url: `http://${hostname}:${listener.address().port}/`,
    /** Cuts the connections whose latest request path begins with `path`; returns their number. */
    cutPath,
    /** Cuts all current and future connections. */
    cut: () => {
      isCut = true;
      cutPath('');
    },
    /** Lets new connections pass and resets the cut ones, so that both sides notice. */
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
