// The Invite sheet: QR code, address and pairing code for the next guest, and a Share button where the browser supports
// the Web Share API (secure pages only).

import { shortAddress } from '../app/guest-address.js';
import { text } from '../language/texts.js';
import { currentRoomId, roomPath } from '../net/room-address.js';
import { elementById, queryElement, setMessage, setText } from './dom.js';
import { createSheet } from './sheets.js';

/**
 * @param {() => Promise<string | null>} getPairingCode resolves to `null` if the server does not reveal the code to
 *   this phone
 * @param {() => Promise<string>} getGuestUrl the address of the page that guests open
 * @param {() => import('../language/texts.js').Message} codeHolders says where the code is, if this phone does not have it
 */
export function createInviteSheet(getPairingCode, getGuestUrl, codeHolders) {
  const qrImage = new Image();
  qrImage.id = 'invite-qr';
  qrImage.alt = text('invite.qrCode');
  qrImage.dataset['alt'] = 'invite.qrCode';
  queryElement(document, '.qr', HTMLElement).append(qrImage);
  const codeText = elementById('invite-code', HTMLElement);
  const addressText = elementById('invite-address', HTMLElement);
  const shareButton = elementById('invite-share', HTMLButtonElement);
  /** @type {string | null} */
  let code = null;
  let guestUrl = location.href;

  shareButton.hidden = !('share' in navigator);
  shareButton.addEventListener('click', () => {
    const shareText = code === null ? text('invite.shareText') : text('invite.shareTextWithCode', { code });
    // The promise is rejected if the user closes the share dialog.
    navigator.share({ title: 'Lockstep', text: shareText, url: guestUrl }).catch(() => {});
  });

  /** The room that the sheet invites to. */
  let shownRoomId = currentRoomId();

  async function load() {
    const roomId = currentRoomId();
    shownRoomId = roomId;
    code = null;
    setMessage(codeText, null);
    // The server's QR code contains the host to which this request is sent.
    qrImage.src = `.${roomPath('/qr')}`;
    const url = await getGuestUrl();
    if (roomId !== shownRoomId) return;
    guestUrl = url;
    setText(addressText, shortAddress(guestUrl));
    const newCode = await getPairingCode().catch(() => null);
    if (roomId !== shownRoomId) return;
    code = newCode;
    setMessage(codeText, code ?? codeHolders());
    codeText.classList.toggle('digits', code !== null);
  }

  const sheet = createSheet('invite', load);
  return {
    close: sheet.close,
    /** @param {import('../types.js').AppState} state */
    render: ({ roomId }) => {
      if (roomId !== shownRoomId && sheet.isOpen()) load();
    },
  };
}
