// The menu of a track: a sheet at the bottom of small windows, beside the pointer in others. It opens by its button, a long press,
// a right click or the keyboard's menu key.

import { text } from '../../language/texts.js';
import { claimBack, releaseBack } from '../back-button.js';
import { renderCover } from '../cover.js';
import { elementById, lineDirection, queryElement, setText } from '../dom.js';
import { setPermitted } from '../rules/reasons.js';
import { setTitledLabel } from './titled-label.js';

/** @typedef {import('../../types.js').Track} Track */
/** @typedef {'play-now' | 'play-next' | 'add' | 'album' | 'artist' | 'remove' | 'remove-upload'} MenuAction */

/** @type {Record<MenuAction, import('../../language/texts.js').TextKey>} */
const LABELS = { 'play-now': 'menu.playNow', 'play-next': 'menu.playNext', add: 'menu.add', album: 'menu.goToAlbum', artist: 'menu.goToArtist', remove: 'menu.remove', 'remove-upload': 'menu.removeUpload' };

/** The names of the actions for screen readers, which say for which track. @type {Partial<Record<MenuAction, import('../../language/texts.js').TextKey>>} */
const NAMES = { 'play-now': 'queue.playTitleNow', 'play-next': 'queue.playTitleNext', add: 'queue.addTitle', remove: 'queue.removeTitle', 'remove-upload': 'queue.removeTitleFromLibrary' };

/** Distance of the menu from the pointer and from the edges of the window, in px. */
const MARGIN_PX = 8;

/** @param {(action: MenuAction, track: Track) => void} onAction */
export function createTrackMenu(onAction) {
  const menu = elementById('track-menu', HTMLElement);
  const backdrop = elementById('menu-backdrop', HTMLElement);
  const title = elementById('track-menu-title', HTMLElement);
  const artist = queryElement(menu, '.artist', HTMLElement);
  const cover = queryElement(menu, '.cover', HTMLElement);
  const buttons = [...menu.querySelectorAll('button')];
  /** @type {{track: Track, row: HTMLElement, restoreFocus: () => void} | null} */
  let open = null;

  const close = () => hide(true);

  /** @param {boolean} restoresFocus */
  function hide(restoresFocus) {
    if (!open) return;
    const { row, restoreFocus } = open;
    open = null;
    menu.hidden = backdrop.hidden = true;
    row.classList.remove('menu-open');
    releaseBack(close);
    if (restoresFocus) restoreFocus();
  }

  /** @param {KeyboardEvent} event */
  function handleKey(event) {
    if (event.key === 'Escape' || event.key === 'Tab') {
      event.preventDefault();
      event.stopPropagation();
      return close();
    }
    const visible = buttons.filter((button) => !button.hidden);
    const index = visible.findIndex((button) => button === document.activeElement);
    const target = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: -1 }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    visible.at(target % visible.length)?.focus();
  }

  menu.addEventListener('keydown', handleKey);
  backdrop.addEventListener('click', close);
  backdrop.addEventListener('contextmenu', (event) => {
    event.preventDefault();
    close();
  });
  addEventListener('resize', close);
  for (const button of buttons) {
    button.addEventListener('click', () => {
      const track = open?.track;
      const action = /** @type {MenuAction} */ (button.dataset['menu']);
      // A page that the action opens takes the focus.
      hide(action !== 'album' && action !== 'artist');
      if (track) onAction(action, track);
    });
  }

  /** Places the menu at a point, inside of the window. @param {{x: number, y: number}} point */
  function place({ x, y }) {
    const { offsetWidth, offsetHeight } = menu;
    const left = Math.max(MARGIN_PX, Math.min(x, innerWidth - offsetWidth - MARGIN_PX));
    const top = Math.max(MARGIN_PX, Math.min(y, innerHeight - offsetHeight - MARGIN_PX));
    // From the edge where lines begin.
    menu.style.setProperty('--menu-x', `${lineDirection(menu) === 1 ? left : innerWidth - left - offsetWidth}px`);
    menu.style.setProperty('--menu-y', `${top}px`);
  }

  return {
    close,
    isOpen: () => open !== null,
    /**
     * @param {object} options
     * @param {Track} options.track
     * @param {HTMLElement} options.row
     * @param {() => void} options.restoreFocus called when the menu closes
     * @param {{x: number, y: number}} options.point
     * @param {ReadonlySet<MenuAction>} options.actions those that apply to the track
     * @param {ReadonlyMap<MenuAction, import('../../room/permissions.js').Right>} options.refused those for which this phone lacks a right
     */
    show: ({ track, row, restoreFocus, point, actions, refused }) => {
      hide(false);
      open = { track, row, restoreFocus };
      row.classList.add('menu-open');
      renderCover(cover, track);
      setText(title, track.tags.title);
      setText(artist, track.tags.artist ?? '');
      for (const button of buttons) {
        const action = /** @type {MenuAction} */ (button.dataset['menu']);
        button.hidden = !actions.has(action);
        setPermitted(button, refused.get(action) ?? 'control', !refused.has(action));
        const label = queryElement(button, 'span', HTMLElement);
        const name = NAMES[action];
        if (name) setTitledLabel(label, name, LABELS[action], track.tags.title);
        else setText(label, text(LABELS[action]));
      }
      menu.hidden = backdrop.hidden = false;
      place(point);
      claimBack(close);
      buttons.find((button) => !button.hidden)?.focus({ preventScroll: true });
    },
  };
}
