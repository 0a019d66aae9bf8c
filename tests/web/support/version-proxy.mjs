// An HTTP proxy that makes the server look like another version: it forwards all requests and changes the version in the page and in
// /shell.json, the version response.

import { once } from 'node:events';
import { createServer, request } from 'node:http';

/** @param {string} serverUrl */
export async function openVersionProxy(serverUrl) {
  const { hostname, port } = new URL(serverUrl);
  /** Prefix of the reported version; empty: the server's own version. */
  let versionPrefix = '';
  /** @type {string | null} */
  let otherAppHtml = null;
  /** @type {string[]} */
  let requestedPaths = [];
  let isResponding = true;
  /** The version response waits for this promise. @type {Promise<unknown>} */
  let versionDelay = Promise.resolve();

  const proxy = createServer(async (incoming, outgoing) => {
    const { method, headers, url: path = '/' } = incoming;
    requestedPaths.push(path);
    if (!isResponding) return;
    if (path === '/shell.json') await versionDelay;
    if (otherAppHtml !== null) {
      outgoing.writeHead(path === '/' ? 200 : 404, { 'content-type': 'text/html' }).end(otherAppHtml);
      return;
    }
    const isAltered = versionPrefix !== '' && ['/', '/shell.json'].includes(path);
    const forwardedHeaders = isAltered ? { ...headers, 'accept-encoding': 'identity', 'if-none-match': '' } : headers;
    const forwarded = request({ hostname, port, method, path, headers: forwardedHeaders }, async (response) => {
      outgoing.on('close', () => response.destroy());
      if (!isAltered) {
        outgoing.writeHead(response.statusCode ?? 502, response.headers);
        response.pipe(outgoing);
        return;
      }
      const text = (await response.setEncoding('utf8').toArray()).join('');
      const body = text.replace('<title>Lockstep', `<title>Lockstep ${versionPrefix}`).replace('"version":"', `"version":"${versionPrefix}`);
      const { 'content-length': _, etag: __, ...otherHeaders } = response.headers;
      outgoing.writeHead(200, otherHeaders).end(body);
    });
    forwarded.on('error', () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const proxyPort = /** @type {import('node:net').AddressInfo} */ (proxy.address()).port;

  return {
    url: (host = 'localhost') => `http://${host}:${proxyPort}/`,
    /** From now on, prefixes the reported version and the page's title with `name`. */
    reportVersion: (/** @type {string} */ name) => (versionPrefix = name),
    /** From now on, serves an unrelated page at this address. */
    serveOtherApp: (/** @type {string} */ html) => (otherAppHtml = html),
    /** From now on, accepts requests and never responds. */
    stopResponding: () => (isResponding = false),
    /** Delays the version response until the returned function is called. */
    delayVersionResponse: () => {
      let release = () => {};
      versionDelay = new Promise((resolve) => (release = () => resolve(undefined)));
      return () => release();
    },
    /** Returns the paths requested since the last call. */
    takeRequestedPaths: () => requestedPaths.splice(0),
    /** Refuses connections until `start`. */
    stop: async () => {
      proxy.close();
      proxy.closeAllConnections();
      if (proxy.listening) await once(proxy, 'close');
    },
    start: async () => {
      proxy.listen(proxyPort, '127.0.0.1');
      await once(proxy, 'listening');
    },
  };
}
