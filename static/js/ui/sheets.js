// Sheets: non-modal panels over the page. One button opens and closes a sheet; its Close button, Escape and the system's
// Back close it too. Opening one sheet closes the others.

import { claimBack, releaseBack } from './back-button.js';
import { elementById, queryElement } from './dom.js';

/** A `CustomEvent` on `document` whose `detail` is the name of the sheet that opens. */
export const SHEET_OPEN_EVENT = 'sheet-open';

/** Whether any sheet covers the page. */
export const isSheetOpen = () => document.querySelector('.sheet:not([hidden])') !== null;

/**
 * @param {'invite' | 'settings' | 'chat' | 'rooms'} name
 * @param {() => void} onOpen
 * @param {readonly HTMLButtonElement[]} [otherButtons] which open and close the sheet too
 */
export function createSheet(name, onOpen, otherButtons = []) {
  const sheet = elementById(`${name}-sheet`, HTMLElement);
  const openButton = elementById(`${name}-button`, HTMLButtonElement);
  const buttons = [openButton, ...otherButtons];
  /** The button that has opened the sheet, to which the focus returns. */
  let opener = openButton;

  /** @param {boolean} isOpen */
  function setExpanded(isOpen) {
    for (const button of buttons) button.setAttribute('aria-expanded', String(isOpen));
  }

  const close = () => setOpen(false);

  /** @param {boolean} isOpen */
  function setOpen(isOpen) {
    if (sheet.hidden !== isOpen) return;
    sheet.hidden = !isOpen;
    setExpanded(isOpen);
    if (isOpen) {
      claimBack(close);
      document.dispatchEvent(new CustomEvent(SHEET_OPEN_EVENT, { detail: name }));
      onOpen();
      queryElement(sheet, 'h2', HTMLElement).focus({ preventScroll: true });
    } else {
      releaseBack(close);
      // The button may be in another sheet, which is closed.
      const shownButton = [opener, ...buttons].find((button) => button.getClientRects().length > 0);
      (shownButton ?? elementById('room-title', HTMLElement)).focus({ preventScroll: true });
    }
  }

  for (const button of buttons) {
    button.addEventListener('click', () => {
      opener = button;
      setOpen(sheet.hidden);
    });
  }
  queryElement(sheet, '.close', HTMLButtonElement).addEventListener('click', close);
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || sheet.hidden) return;
    // The browser would pass it on to what is open below the sheet.
    event.preventDefault();
    close();
  });
  document.addEventListener(SHEET_OPEN_EVENT, (event) => {
    if (event instanceof CustomEvent && event.detail !== name && !sheet.hidden) {
      sheet.hidden = true;
      releaseBack(close);
      setExpanded(false);
    }
  });
  return { open: () => setOpen(true), close, isOpen: () => !sheet.hidden };
}
