// How much of the window the on-screen keyboard covers. iOS, and Android since Chrome 108, do not resize the page for the keyboard,
// so that what is fixed at the bottom would be behind it.

/**
 * @typedef {{height: number, offsetTop: number, scale: number}} VisibleArea that of `VisualViewport`
 */

/**
 * @param {number} windowHeight
 * @param {VisibleArea} area
 * @returns {{bottomPx: number, heightPx: number} | null} the height that is covered at the bottom, and the height that is visible;
 *   `null` if nothing is covered, or the page is zoomed, which covers the bottom on purpose
 */
export function coveredByKeyboard(windowHeight, { height, offsetTop, scale }) {
  const bottomPx = Math.round(windowHeight - height - offsetTop);
  // Toolbars that slide in and out differ by a few pixels, as do rounded heights.
  return Math.abs(scale - 1) < 0.01 && windowHeight - height > 60 ? { bottomPx: Math.max(0, bottomPx), heightPx: Math.floor(height) } : null;
}

/** Keeps an element above the keyboard, by the CSS variables `--covered` and `--visible`. @param {HTMLElement} element */
export function keepAboveKeyboard(element) {
  const viewport = globalThis.visualViewport;
  if (!viewport) return;
  const update = () => {
    const covered = coveredByKeyboard(innerHeight, viewport);
    element.classList.toggle('above-keyboard', covered !== null);
    if (!covered) return;
    element.style.setProperty('--covered', `${covered.bottomPx}px`);
    element.style.setProperty('--visible', `${covered.heightPx}px`);
  };
  viewport.addEventListener('resize', update);
  viewport.addEventListener('scroll', update);
}
