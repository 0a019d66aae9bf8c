// Checks of the page's layout. The functions run in the page; each is sent to it as source text, so it must not refer to others.

/** Runs in the page: elements whose centre cannot be scrolled into view, and rows that cut their text off. */
export function unreachableElements(/** @type {string} */ selectorPrefix = '') {
  const selectors = ['h2', 'button', 'input', '[role=status]', '.listener', '.row .title', 'dd', 'img'].map((selector) => selectorPrefix + selector);
  const elements = [...document.querySelectorAll(selectors.join())].filter((element) => element.checkVisibility({ visibilityProperty: true }) && element.getBoundingClientRect().width > 1);
  const unreachable = elements.filter((element) => {
    element.scrollIntoView({ block: 'center', behavior: 'instant' });
    const { x, y, width, height } = element.getBoundingClientRect();
    const hit = document.elementFromPoint(x + width / 2, y + height / 2);
    // Scripts can scroll containers that a finger cannot.
    const hasScrolledBody = scrollY > 0;
    scrollTo(0, 0);
    // The button of a row covers its texts.
    return hasScrolledBody || !(element.closest('.row') ?? element).contains(hit);
  });
  const cutOff = [...document.querySelectorAll('.row')].filter((row) => row.checkVisibility() && row.querySelector('.row-text').offsetHeight > row.offsetHeight);
  return [...unreachable, ...cutOff].map((element) => `${element.tagName}#${element.id}.${element.className} ${element.textContent}`);
}

/** Runs in the page: elements that reach beyond the viewport, and controls below 44 px. The line of segments can be scrolled. */
export function layoutFaults() {
  const visible = [...document.querySelectorAll('body *')].filter((element) => element.checkVisibility() && !element.closest('svg, .thumb-time'));
  const overflowing = visible.filter((element) => {
    if (element.parentElement?.id === 'queue-segments') return false;
    const { left, right } = element.getBoundingClientRect();
    return left < -1 || right > innerWidth + 1;
  });
  const small = visible.filter((element) => {
    if (!element.matches('button, input, select, summary')) return false;
    // The button of a vote covers the box around it.
    const target = (element.closest('label, .vote-box') ?? element).getBoundingClientRect();
    return Math.min(target.height, target.width) < 43.9;
  });
  const name = (/** @type {Element} */ element) => `${element.tagName}#${element.id}.${element.className}`;
  return [...overflowing.map((element) => `overflowing: ${name(element)}`), ...small.map((element) => `small: ${name(element)}`)];
}

/** Runs in the page: elements of which a part of the page's own texts is cut off. Titles and names may end in an ellipsis. */
export function cutTexts() {
  const hasOwnText = (/** @type {Element} */ element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim() !== '');
  const isVisible = (/** @type {HTMLElement} */ element) => element.checkVisibility({ visibilityProperty: true }) && element.offsetWidth > 1;
  const cut = [...document.querySelectorAll('body *')].filter((element) => {
    if (!(element instanceof HTMLElement) || !hasOwnText(element) || !isVisible(element) || element.closest('[dir=auto], option')) return false;
    // Parts of characters reach beyond their line, so a few pixels do not count.
    for (let box = element; box && box.id !== 'room-view'; box = box.parentElement) {
      const { overflowX, overflowY, display } = getComputedStyle(box);
      if (display === 'inline') continue;
      const isOwnBox = box === element;
      if ((isOwnBox || overflowX === 'hidden' || overflowX === 'clip') && box.scrollWidth > box.clientWidth + 2) return true;
      if ((overflowY === 'hidden' || overflowY === 'clip') && box.scrollHeight > box.clientHeight + 4) return true;
      if (overflowX === 'auto' || overflowX === 'scroll') return false;
    }
    return false;
  });
  return cut.map((element) => `cut: ${element.tagName}#${element.id}.${element.className} ${element.textContent}`);
}
