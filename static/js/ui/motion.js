// Animations: the cover moves between its positions in the two tabs, and a new track slides in from the end of the line. There
// are no animations with `prefers-reduced-motion`.

import { lineDirection } from './dom.js';

const COVER_MOVE_MS = 340;
const SLIDE_IN_MS = 420;
const EASING = 'cubic-bezier(0.2, 0.8, 0.2, 1)';

const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)');

/**
 * Changes the view at once, and animates the cover from its old position to its new one. The animation moves a copy of
 * the cover, because scroll containers would clip the original.
 * @param {() => HTMLElement | null} findCover finds the cover in the visible view; called before and after the change
 * @param {() => void} changeView
 */
export function animateCoverMove(findCover, changeView) {
  const fromBox = visibleBox(findCover());
  changeView();
  const movedCover = findCover();
  const toBox = visibleBox(movedCover);
  if (reducedMotion.matches || !movedCover || !fromBox || !toBox) return;
  const copy = /** @type {HTMLElement} */ (movedCover.cloneNode(true));
  copy.removeAttribute('id');
  copy.classList.add('moving-copy');
  for (const side of /** @type {const} */ (['left', 'top', 'width', 'height'])) copy.style[side] = `${toBox[side]}px`;
  document.body.append(copy);
  movedCover.style.opacity = '0';
  const startTransform = `translate(${fromBox.left - toBox.left}px, ${fromBox.top - toBox.top}px) scale(${fromBox.width / toBox.width})`;
  const animation = copy.animate([{ transform: startTransform }, { transform: 'none' }], { duration: COVER_MOVE_MS, easing: EASING });
  animation.onfinish = () => {
    copy.remove();
    movedCover.style.opacity = '';
  };
}

/** @param {HTMLElement | null} element */
function visibleBox(element) {
  const box = element?.getBoundingClientRect();
  return box && box.width > 0 ? box : null;
}

/** @param {HTMLElement} element @param {number} [delayMs] */
export function slideIn(element, delayMs = 0) {
  if (reducedMotion.matches || element.getClientRects().length === 0) return;
  element.animate([{ opacity: 0, transform: `translateX(${40 * lineDirection(element)}px)` }, {}], {
    duration: SLIDE_IN_MS,
    delay: delayMs,
    easing: EASING,
    fill: 'backwards',
  });
}
