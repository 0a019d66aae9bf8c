// The bubble above the dock: confirms what this phone did, and takes it back for some seconds. A further message replaces it.

import { elementById, queryElement, setText } from './dom.js';

const BUBBLE_TIMEOUT_MS = 8_000;
/** While the pointer or the focus is on an action. The server takes commands back for 10 s. */
const LONGEST_TIMEOUT_MS = 9_500;
/** Without an action, the text only has to be read. */
const PLAIN_TIMEOUT_MS = 4_000;

/**
 * Shows a message, and returns a function that hides it.
 * @typedef {(message: string, action?: {label: string, run: () => void}) => () => void} ShowBubble
 */

/** @returns {ShowBubble} */
export function createBubble() {
  const area = elementById('bubble-area', HTMLElement);
  const template = elementById('bubble-template', HTMLTemplateElement);
  /** @type {HTMLElement | null} */
  let bubble = null;
  let run = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {HTMLElement} shown */
  function hide(shown) {
    if (bubble !== shown) return;
    clearTimeout(timer);
    // The element that had the focus before the bubble is unknown, so the focus moves to what the bubble is about.
    if (shown.contains(document.activeElement)) elementById('room-title', HTMLElement).focus({ preventScroll: true });
    shown.remove();
    bubble = null;
  }

  document.addEventListener('keydown', (event) => {
    const isTyping = event.target instanceof HTMLInputElement;
    if (event.key !== 'z' || !(event.ctrlKey || event.metaKey) || event.shiftKey || isTyping || !bubble) return;
    event.preventDefault();
    queryElement(bubble, 'button', HTMLButtonElement).click();
  });

  return (message, action) => {
    if (bubble) hide(bubble);
    // A new element, because screen readers announce an element of the role `alert` when it is added.
    const shown = /** @type {HTMLElement} */ (/** @type {DocumentFragment} */ (template.content.cloneNode(true)).firstElementChild);
    bubble = shown;
    setText(queryElement(shown, '.text', HTMLElement), message);
    const button = queryElement(shown, 'button', HTMLButtonElement);
    button.hidden = !action;
    run = action?.run ?? (() => {});
    setText(button, action?.label ?? '');
    button.addEventListener('click', () => {
      const undo = run;
      hide(shown);
      undo();
    });
    area.append(shown);
    const expire = () => {
      if (shown.matches(':hover, :focus-within')) timer = setTimeout(() => hide(shown), LONGEST_TIMEOUT_MS - BUBBLE_TIMEOUT_MS);
      else hide(shown);
    };
    timer = action ? setTimeout(expire, BUBBLE_TIMEOUT_MS) : setTimeout(() => hide(shown), PLAIN_TIMEOUT_MS);
    return () => hide(shown);
  };
}
