// Panels that lie over a part of the page and leave the rest of it usable: opened and closed by their
// button, closed by Escape.

import { byId, part } from './dom.js';

/**
 * @param {'invite' | 'settings'} name
 * @param {() => void} onOpen
 */
export function createSheet(name, onOpen) {
  const sheet = byId(`${name}-sheet`, HTMLElement);
  const opener = byId(`${name}-button`, HTMLButtonElement);

  /** @param {boolean} open */
  function set(open) {
    if (sheet.hidden !== open) return;
    sheet.hidden = !open;
    opener.setAttribute('aria-expanded', String(open));
    if (open) {
      document.dispatchEvent(new CustomEvent('sheet', { detail: name }));
      onOpen();
      part(sheet, 'h2', HTMLElement).focus({ preventScroll: true });
    } else {
      opener.focus({ preventScroll: true });
    }
  }

  opener.addEventListener('click', () => set(sheet.hidden));
  part(sheet, '.close', HTMLButtonElement).addEventListener('click', () => set(false));
  document.addEventListener('keydown', ({ key }) => {
    if (key === 'Escape') set(false);
  });
  // Only one lies there at a time.
  document.addEventListener('sheet', (event) => {
    if (event instanceof CustomEvent && event.detail !== name && !sheet.hidden) {
      sheet.hidden = true;
      opener.setAttribute('aria-expanded', 'false');
    }
  });
  return { close: () => set(false), isOpen: () => !sheet.hidden };
}
