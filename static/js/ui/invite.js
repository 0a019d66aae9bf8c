// How the next guest gets in: the QR code, the address and the code, and the share sheet where the
// browser has one (only on secure pages).

import { byId, setText } from './dom.js';
import { createSheet } from './sheets.js';

/**
 * @param {() => Promise<string | null>} getCode
 * @param {() => Promise<string>} getOrigin of the page that a guest is to open
 */
export function createInvite(getCode, getOrigin) {
  const qr = byId('invite-qr', HTMLImageElement);
  const code = byId('invite-code', HTMLElement);
  const address = byId('invite-address', HTMLElement);
  const share = byId('invite-share', HTMLButtonElement);
  /** @type {string | null} */
  let known = null;
  let { origin } = location;

  share.hidden = !('share' in navigator);
  share.addEventListener('click', () => {
    const text = known === null ? 'Listen along on your phone.' : `Listen along on your phone. The code is ${known}.`;
    // Thrown where somebody thought better of it.
    navigator.share({ title: 'Lockstep', text, url: `${origin}/` }).catch(() => {});
  });

  return createSheet('invite', async () => {
    // The server draws the address that this very request came by.
    qr.src = '/qr';
    origin = await getOrigin().catch(() => location.origin);
    setText(address, new URL(origin).host);
    known = await getCode().catch(() => null);
    setText(code, known ?? 'on the server’s screen');
    code.classList.toggle('digits', known !== null);
  });
}
