// Motion that explains: a picture that is in both views moves from one place to the other, and a new
// track comes in from where "next" points. Whoever asked the system for less motion gets none.

const CARRY_MS = 340;
const ARRIVE_MS = 420;
const EASE = 'cubic-bezier(0.2, 0.8, 0.2, 1)';

const less = matchMedia('(prefers-reduced-motion: reduce)');

/**
 * Changes the view at once, and lets a picture travel from where it was to where it is now. It is a
 * copy that travels: the picture itself would be cut off by whatever scrolls around it.
 * @param {() => HTMLElement | null} picture in the view that is shown
 * @param {() => void} change
 */
export function carry(picture, change) {
  const from = boxOf(picture());
  change();
  const target = picture();
  const to = boxOf(target);
  if (less.matches || !target || !from || !to) return;
  const copy = /** @type {HTMLElement} */ (target.cloneNode(true));
  copy.removeAttribute('id');
  copy.classList.add('carried');
  for (const side of /** @type {const} */ (['left', 'top', 'width', 'height'])) copy.style[side] = `${to[side]}px`;
  document.body.append(copy);
  target.style.opacity = '0';
  const start = `translate(${from.left - to.left}px, ${from.top - to.top}px) scale(${from.width / to.width})`;
  copy.animate([{ transform: start }, { transform: 'none' }], { duration: CARRY_MS, easing: EASE }).onfinish = () => {
    copy.remove();
    target.style.opacity = '';
  };
}

/** @param {HTMLElement | null} element */
function boxOf(element) {
  const box = element?.getBoundingClientRect();
  return box && box.width > 0 ? box : null;
}

/**
 * @param {HTMLElement} element comes in from the right
 * @param {number} [delayMs]
 */
export function arrive(element, delayMs = 0) {
  if (less.matches || !element.checkVisibility()) return;
  element.animate([{ opacity: 0, transform: 'translateX(40px)' }, {}], {
    duration: ARRIVE_MS,
    delay: delayMs,
    easing: EASE,
    fill: 'backwards',
  });
}
