// The corner of the big screen for guests: QR code, address and pairing code.

import { guestUrl, shortAddress } from '../../app/guest-address.js';
import { codeHolders } from '../../app/pairing-code.js';
import { roomPath } from '../../net/room-address.js';
import { elementById, setHidden, setMessage, setText } from '../dom.js';

/** @typedef {import('../../types.js').AppState} AppState */

/** The server may have made another code. */
const REFRESH_INTERVAL_MS = 30_000;

/**
 * @param {() => AppState} getState
 * @param {() => Promise<string | null>} getPairingCode resolves to `null` if the server does not reveal the code to this
 *   device
 */
export function createScreenGuests(getState, getPairingCode) {
  const square = elementById('screen-qr', HTMLElement);
  const qrImage = new Image();
  qrImage.alt = '';
  square.append(qrImage);
  const addressText = elementById('screen-address', HTMLElement);
  const codeText = elementById('screen-code', HTMLElement);
  const codeLine = elementById('screen-code-line', HTMLElement);
  const holdersText = elementById('screen-code-holders', HTMLElement);
  let shownAddress = '';
  /** What decided on the code at the latest request. */
  let requestedFor = '';
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;

  for (const name of ['load', 'error']) qrImage.addEventListener(name, () => square.classList.toggle('loaded', name === 'load'));

  async function refresh() {
    // The server was away, or could not draw it.
    if (qrImage.complete && qrImage.naturalWidth === 0) loadImage();
    const [url, code] = await Promise.all([guestUrl(), getPairingCode()]);
    showAddress(shortAddress(url));
    setText(codeText, code ?? '');
    setHidden(codeLine, code === null);
    setMessage(holdersText, code === null ? codeHolders(getState()) : null);
    setHidden(holdersText, code !== null);
  }

  /** Without the server, what is shown stays. */
  const tryToRefresh = () => void refresh().catch(() => {});

  function loadImage() {
    square.classList.remove('loaded');
    // The server's QR code contains the host to which this request is sent.
    qrImage.src = `.${roomPath('/qr')}`;
  }

  /** Lines end before `:` and `/` only, where there is space. @param {string} address */
  function showAddress(address) {
    if (address === shownAddress) return;
    shownAddress = address;
    addressText.replaceChildren(...address.split(/(?=[:/])/).flatMap((part) => [document.createElement('wbr'), part]));
  }

  return {
    show: () => {
      loadImage();
      tryToRefresh();
      clearInterval(timer);
      timer = setInterval(tryToRefresh, REFRESH_INTERVAL_MS);
    },
    hide: () => clearInterval(timer),
    /** Asks for the code again if the server may now reveal or refuse it. @param {AppState} state */
    update: (state) => {
      if (state.connection !== 'open') {
        requestedFor = '';
        return;
      }
      const decidedBy = JSON.stringify([state.room?.rules, codeHolders(state)]);
      if (decidedBy === requestedFor) return;
      requestedFor = decidedBy;
      tryToRefresh();
    },
  };
}
