// The emoji that the React button opens. They stay open for further reactions until the button, Escape, Back or a press elsewhere
// closes them.

import { EMOJI } from '../../room/reactions.js';
import { claimBack, releaseBack } from '../back-button.js';
import { elementById, lineDirection, setAttribute } from '../dom.js';

/** Distance of the picker from its button and from the edges of the window, in px. */
const MARGIN_PX = 8;

/** @param {(emoji: string) => void} react */
export function createReactionPicker(react) {
  const openButton = elementById('react-button', HTMLButtonElement);
  const picker = elementById('reaction-picker', HTMLElement);
  const buttons = EMOJI.map((emoji) => {
    const button = Object.assign(document.createElement('button'), { type: 'button', textContent: emoji });
    button.addEventListener('click', () => react(emoji));
    return button;
  });
  picker.append(...buttons);

  const close = () => hide(true);

  /** @param {boolean} restoresFocus */
  function hide(restoresFocus) {
    if (picker.hidden) return;
    picker.hidden = true;
    openButton.setAttribute('aria-expanded', 'false');
    releaseBack(close);
    if (restoresFocus) openButton.focus({ preventScroll: true });
  }

  function show() {
    picker.hidden = false;
    openButton.setAttribute('aria-expanded', 'true');
    place();
    claimBack(close);
    buttons[0]?.focus({ preventScroll: true });
  }

  /** Places the picker above its button, or below where there is no space, inside of the window. */
  function place() {
    const button = openButton.getBoundingClientRect();
    const { offsetWidth, offsetHeight } = picker;
    const left = Math.max(MARGIN_PX, Math.min(button.right - offsetWidth, innerWidth - offsetWidth - MARGIN_PX));
    const above = button.top - offsetHeight - MARGIN_PX;
    const top = above >= MARGIN_PX ? above : Math.min(button.bottom + MARGIN_PX, innerHeight - offsetHeight - MARGIN_PX);
    // From the edge where lines begin.
    picker.style.setProperty('--picker-x', `${lineDirection(picker) === 1 ? left : innerWidth - left - offsetWidth}px`);
    picker.style.setProperty('--picker-y', `${Math.max(MARGIN_PX, top)}px`);
  }

  openButton.addEventListener('click', () => (picker.hidden ? show() : close()));
  picker.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      return close();
    }
    const index = buttons.findIndex((button) => button === document.activeElement);
    const step = { ArrowRight: lineDirection(picker), ArrowLeft: -lineDirection(picker) }[event.key];
    if (step === undefined || index < 0) return;
    event.preventDefault();
    buttons.at((index + step) % buttons.length)?.focus();
  });
  document.addEventListener('pointerdown', ({ target }) => {
    if (target instanceof Node && !picker.contains(target) && !openButton.contains(target)) hide(false);
  });
  picker.addEventListener('focusout', ({ relatedTarget }) => {
    if (relatedTarget instanceof Node && !picker.contains(relatedTarget) && relatedTarget !== openButton) hide(false);
  });
  addEventListener('resize', () => hide(false));

  return {
    close: () => hide(false),
    /** Shows that no reaction can be sent for now. The buttons keep the focus. @param {boolean} isHeld */
    setHeld: (isHeld) => {
      for (const button of buttons) setAttribute(button, 'aria-disabled', isHeld ? 'true' : null);
    },
  };
}
