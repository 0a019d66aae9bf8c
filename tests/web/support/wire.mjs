// A wire between phones and a server that can go dead as a radio does: nothing comes through any
// more, and neither side is told.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** @param {string} address the server's page */
export async function openWire(address) {
  const { hostname, port } = new URL(address);
  /** @type {Set<{path: string, dead: boolean, end: () => void}>} */
  const lines = new Set();
  let cut = false;

  const server = createServer((phone) => {
    const far = connect(Number(port), '127.0.0.1');
    const line = { path: '', dead: cut, end: () => [phone, far].forEach((socket) => socket.destroy()) };
    lines.add(line);
    phone.on('data', (data) => {
      // One connection carries one request after the other; the last one counts.
      line.path = /^[A-Z]+ (\S+)/.exec(data.toString('latin1'))?.[1] ?? line.path;
      if (!line.dead) far.write(data);
    });
    far.on('data', (data) => {
      if (!line.dead) phone.write(data);
    });
    for (const socket of [phone, far]) {
      socket.on('error', () => {});
      socket.on('close', () => {
        lines.delete(line);
        if (!line.dead) line.end();
      });
    }
  });
  /** @param {string} path */
  function hush(path) {
    const chosen = [...lines].filter((line) => line.path.startsWith(path));
    for (const line of chosen) line.dead = true;
    return chosen.length;
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://${hostname}:${server.address().port}/`,
    /** Lets the lines that carry `path` go dead, and says how many those are. */
    hush,
    /** Lets all lines go dead, and those that are yet to come. */
    cut: () => {
      cut = true;
      hush('');
    },
    /** From now on new lines are alive; those that died are broken off, and both sides learn of it. */
    mend: () => {
      cut = false;
      for (const line of lines) if (line.dead) line.end();
    },
    close: () => {
      server.close();
      for (const line of lines) line.end();
    },
  };
}
