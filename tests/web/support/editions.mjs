// A server in front of the server, that can pass for one of another version: it hands everything on,
// and writes the edition into the page and into the version that the page goes by.

import { once } from 'node:events';
import { createServer, request } from 'node:http';

/** @param {string} address the server's page */
export async function openEditions(address) {
  const { hostname, port } = new URL(address);
  let edition = '';
  /** @type {string | null} */
  let another = null;
  /** @type {string[]} */
  let asked = [];
  let silent = false;
  /** @type {Promise<unknown>} */
  let held = Promise.resolve();

  const server = createServer(async (incoming, outgoing) => {
    const { method, headers, url: path = '/' } = incoming;
    asked.push(path);
    if (silent) return;
    if (path === '/shell.json') await held;
    if (another !== null) {
      outgoing.writeHead(path === '/' ? 200 : 404, { 'content-type': 'text/html' }).end(another);
      return;
    }
    const altered = edition !== '' && ['/', '/shell.json'].includes(path);
    const plain = altered ? { ...headers, 'accept-encoding': 'identity', 'if-none-match': '' } : headers;
    const onward = request({ hostname, port, method, path, headers: plain }, async (answer) => {
      outgoing.on('close', () => answer.destroy());
      if (!altered) {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
        return;
      }
      const text = (await answer.setEncoding('utf8').toArray()).join('');
      const body = text.replace('<title>Lockstep', `<title>Lockstep ${edition}`).replace('"version":"', `"version":"${edition}`);
      const { 'content-length': _, etag: __, ...others } = answer.headers;
      outgoing.writeHead(200, others).end(body);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const own = /** @type {import('node:net').AddressInfo} */ (server.address()).port;

  return {
    url: (host = 'localhost') => `http://${host}:${own}/`,
    /** From now on it is the server of another edition. */
    become: (/** @type {string} */ name) => (edition = name),
    /** From now on another app has this address: a page, and nothing else. */
    moveOut: (/** @type {string} */ html) => (another = html),
    /** From now on it takes whatever it is asked, and answers nothing. */
    fallSilent: () => (silent = true),
    /** Keeps to itself of which edition it is, until what is returned is called. */
    hesitate: () => {
      let go = () => {};
      held = new Promise((resolve) => (go = () => resolve(undefined)));
      return () => go();
    },
    /** What was asked for since the last time. */
    asked: () => asked.splice(0),
    /** Nobody answers any more. */
    away: async () => {
      server.closeAllConnections();
      server.close();
      if (server.listening) await once(server, 'close');
    },
    back: async () => {
      server.listen(own, '127.0.0.1');
      await once(server, 'listening');
    },
  };
}
