// The insecure page (http) and the secure page (https) of one server: their origins, and whether this phone trusts the
// secure page's certificate.

import { abortAfter } from '../timer.js';

/**
 * The body of `GET /secure`.
 * @typedef {object} SecurePageInfo
 * @property {number | null} port https port; `null` if the server has no https page.
 * @property {number | null} httpPort http port of the insecure page; `null` if the server has none.
 * @property {string | null} authority Name of the certificate authority to install; `null` if the
 *   certificate was issued by an authority that browsers trust already.
 */

/** A request fails at once if the certificate is not trusted; the timeout is for an unreachable server. */
const CHECK_TIMEOUT_MS = 3_000;

/** @param {SecurePageInfo} info @param {string} hostname */
export function secureOrigin({ port }, hostname) {
  return originOf('https', hostname, port ?? 443);
}

/** @param {SecurePageInfo} info @param {string} hostname */
export function insecureOrigin({ httpPort }, hostname) {
  return originOf('http', hostname, httpPort ?? 80);
}

/** @param {string} scheme @param {string} hostname @param {number} port */
function originOf(scheme, hostname, port) {
  return new URL(`${scheme}://${hostname}:${port}`).origin;
}

/**
 * Whether the page at `origin` can be reached and the browser accepts its certificate. A cross-origin request without
 * CORS shows only whether there was a response.
 * @param {string} origin
 */
export async function isTrusted(origin) {
  const signal = abortAfter(CHECK_TIMEOUT_MS);
  try {
    await fetch(new URL('./secure', `${origin}${location.pathname}`), { mode: 'no-cors', cache: 'no-store', credentials: 'omit', signal });
    return true;
  } catch {
    return false;
  }
}
