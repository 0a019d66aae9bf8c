// The address that guests open.

import { insecurePageOrigin } from './insecure-page-origin.js';
import { getQrUrl } from '../net/api.js';

/** The address in the server's QR code: this page's own may be reachable by this device only, as `localhost`. @returns {Promise<string>} */
export async function guestUrl() {
  const url = await getQrUrl().catch(() => null);
  if (url !== null) return new URL(url).href;
  // Without the server, or with an address too long for a QR code.
  const origin = await insecurePageOrigin().catch(() => location.origin);
  return `${origin}${new URL('./', location.href).pathname}`;
}

/** An address as people type it. @param {string} url */
export function shortAddress(url) {
  const { host, pathname } = new URL(url);
  return host + (pathname === '/' ? '' : pathname);
}
