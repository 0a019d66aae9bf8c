// How the next guest gets in: the QR code, the address and the code, and the share sheet where the
// browser has one (only on secure pages).

import { byId, setText } from './dom.js';
import { createSheet } from './sheets.js';

/** @param {() => Promise<string | null>} getCode */
export function createInvite(getCode) {
  const qr = byId('invite-qr', HTMLImageElement);
  const code = byId('invite-code', HTMLElement);
  const address = byId('invite-address', HTMLElement);
  const share = byId('invite-share', HTMLButtonElement);
  /** @type {string | null} */
  let known = null;

  share.hidden = !('share' in navigator);
  share.addEventListener('click', () => {
    const text = known === null ? 'Listen along on your phone.' : `Listen along on your phone. The code is ${known}.`;
    // Thrown where somebody thought better of it.
    navigator.share({ title: 'Lockstep', text, url: `${location.origin}/` }).catch(() => {});
  });

  return createSheet('invite', async () => {
    // The server draws the address that this very request came by.
    qr.src = '/qr';
    setText(address, location.host);
    known = await getCode().catch(() => null);
    setText(code, known ?? 'on the server’s screen');
    code.classList.toggle('digits', known !== null);
  });
}
