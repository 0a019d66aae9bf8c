// Recognises long presses, right clicks and the keyboard's menu key on the rows of a list. Safari on iPhones sends no
// `contextmenu` for a long press, so that a timer recognises it.

const LONG_PRESS_MS = 480;
const MAX_MOVE_PX = 10;
/** Within this time after the finger is lifted, browsers report its click and its `contextmenu`. */
const CLICK_DELAY_MS = 400;

/**
 * @param {HTMLElement} list
 * @param {(row: HTMLElement, point: {x: number, y: number}) => boolean} onPress returns whether the press had an effect
 */
export function listenForLongPresses(list, onPress) {
  /** @type {{x: number, y: number, pointerId: number, timer: ReturnType<typeof setTimeout>} | null} */
  let press = null;
  /** The finger that has opened the menu: its click and its `contextmenu` must not reach the menu, which is now below it. @type {number | null} */
  let openingPointerId = null;

  const rowAt = (/** @type {EventTarget | null} */ target) => {
    const row = target instanceof Element && !target.closest('[data-action="move"]') && target.closest('.row');
    return row instanceof HTMLElement ? row : null;
  };

  function cancel() {
    if (press) clearTimeout(press.timer);
    press = null;
  }

  list.addEventListener('pointerdown', ({ target, pointerType, clientX: x, clientY: y, pointerId }) => {
    cancel();
    const row = rowAt(target);
    if (!row || pointerType === 'mouse') return;
    const timer = setTimeout(() => {
      press = null;
      if (onPress(row, { x, y })) openingPointerId = pointerId;
    }, LONG_PRESS_MS);
    press = { x, y, pointerId, timer };
  });
  list.addEventListener('pointermove', ({ pointerId, clientX, clientY }) => {
    if (press && press.pointerId === pointerId && Math.hypot(clientX - press.x, clientY - press.y) > MAX_MOVE_PX) cancel();
  });
  for (const name of /** @type {const} */ (['pointerup', 'pointercancel'])) list.addEventListener(name, cancel);
  list.addEventListener('scroll', cancel, { passive: true });

  // Captured before the page's other listeners.
  for (const name of /** @type {const} */ (['pointerdown', 'keydown'])) addEventListener(name, () => (openingPointerId = null), true);
  for (const name of /** @type {const} */ (['pointerup', 'pointercancel'])) {
    addEventListener(name, ({ pointerId }) => {
      if (pointerId !== openingPointerId) return;
      setTimeout(() => {
        if (openingPointerId === pointerId) openingPointerId = null;
      }, CLICK_DELAY_MS);
    }, true);
  }
  for (const name of /** @type {const} */ (['click', 'contextmenu'])) {
    addEventListener(name, (event) => {
      if (openingPointerId === null) return;
      event.preventDefault();
      event.stopPropagation();
    }, true);
  }
  list.addEventListener('contextmenu', (event) => {
    const row = rowAt(event.target);
    if (!row) return;
    event.preventDefault();
    cancel();
    const box = row.getBoundingClientRect();
    // The keyboard's menu key gives no position of its own in some browsers.
    const isByKey = event.clientX === 0 && event.clientY === 0;
    onPress(row, isByKey ? { x: box.left + box.width / 2, y: box.top + box.height / 2 } : { x: event.clientX, y: event.clientY });
  });
}
