// The origin of this server's insecure page (http), or of this page if the server has no insecure page. Guests are
// invited to the insecure page, because it loads on all phones, also on those that do not trust the certificate of the
// secure page.

import { getSecurePageInfo } from '../net/api.js';
import { insecureOrigin } from '../net/secure-page.js';

/** @returns {Promise<string>} @throws if the server cannot be reached */
export async function insecurePageOrigin() {
  if (location.protocol !== 'https:') return location.origin;
  const info = await getSecurePageInfo();
  // Behind a reverse proxy, the secure page is the only one, and phones trust its certificate.
  return info.httpPort === null ? location.origin : insecureOrigin(info, location.hostname);
}
