// How the next guest gets in: the QR code, the address and the code.

import { byId, setText } from './dom.js';
import { createSheet } from './sheets.js';

/** @param {() => Promise<string | null>} getCode */
export function createInvite(getCode) {
  const qr = byId('invite-qr', HTMLImageElement);
  const code = byId('invite-code', HTMLElement);
  const address = byId('invite-address', HTMLElement);

  return createSheet('invite', async () => {
    qr.src = '/qr';
    setText(address, location.host);
    const known = await getCode().catch(() => null);
    setText(code, known ?? 'on the server’s screen');
    code.classList.toggle('digits', known !== null);
  });
}
