// The strip of letters beside a long list: a touch or the arrow keys jump to a letter. A slider for screen readers.

import { elementById, setAttribute, setHidden } from '../dom.js';

/** @typedef {import('./library.js').Letters} Letters */

/** The strip is shown from this many items on. */
const MIN_ITEM_COUNT = 40;

/** Height of a letter in rem. If there is less space, dots stand for some of the letters. */
const LETTER_REM = 0.95;

/** The index of the letter to which an item belongs. @param {Letters} letters @param {number} itemIndex */
export function letterOf(letters, itemIndex) {
  return Math.max(0, letters.filter(({ index }) => index <= itemIndex).length - 1);
}

/**
 * @param {object} options
 * @param {(index: number) => void} options.jump scrolls to the item with this index
 * @param {() => number} options.firstVisibleIndex of an item
 */
export function createLetterStrip({ jump, firstVisibleIndex }) {
  const strip = elementById('queue-letters', HTMLElement);
  /** @type {Letters} */
  let letters = [];
  let renderedKey = '';
  let selected = 0;
  /** The first visible item after the last jump. Near the end of the list, that is not the item of the letter. */
  let jumpedTo = -1;

  /** @param {number} index of a letter */
  function select(index) {
    const letter = letters[Math.max(0, Math.min(letters.length - 1, index))];
    if (!letter) return;
    selected = letters.indexOf(letter);
    describe();
    jump(letter.index);
    jumpedTo = firstVisibleIndex();
  }

  /** Selects the letter that is visible, if the user has scrolled since the last jump. */
  function followScrolling() {
    const index = firstVisibleIndex();
    if (index === jumpedTo) return;
    jumpedTo = index;
    selected = letterOf(letters, index);
    describe();
  }

  function describe() {
    setAttribute(strip, 'aria-valuemax', String(Math.max(0, letters.length - 1)));
    setAttribute(strip, 'aria-valuenow', String(selected));
    setAttribute(strip, 'aria-valuetext', letters[selected]?.letter ?? '');
  }

  /** @param {PointerEvent} event */
  function jumpTo({ clientY }) {
    const { top, height } = strip.getBoundingClientRect();
    select(Math.floor(((clientY - top) / Math.max(1, height)) * letters.length));
  }

  strip.addEventListener('pointerdown', (event) => {
    event.preventDefault();
    strip.setPointerCapture(event.pointerId);
    jumpTo(event);
  });
  strip.addEventListener('pointermove', (event) => {
    if (strip.hasPointerCapture(event.pointerId)) jumpTo(event);
  });
  strip.addEventListener('focus', followScrolling);
  strip.addEventListener('keydown', (event) => {
    followScrolling();
    const target = { ArrowDown: selected + 1, ArrowRight: selected + 1, ArrowUp: selected - 1, ArrowLeft: selected - 1, Home: 0, End: letters.length - 1 }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    select(target);
  });

  return {
    /**
     * @param {Letters | null} newLetters `null` hides the strip
     * @param {{itemCount: number, heightPx: number, remPx: number}} size `heightPx`: of the list
     */
    render: (newLetters, { itemCount, heightPx, remPx }) => {
      const isShown = newLetters !== null && itemCount >= MIN_ITEM_COUNT && newLetters.length > 1;
      setHidden(strip, !isShown);
      if (!isShown) return;
      letters = newLetters;
      selected = Math.min(selected, letters.length - 1);
      describe();
      const maxCount = Math.max(3, Math.floor(heightPx / (LETTER_REM * remPx)));
      const step = Math.ceil(letters.length / maxCount);
      const key = letters.map(({ letter }) => letter).join('') + step;
      if (key === renderedKey) return;
      renderedKey = key;
      const labels = letters.filter((_, i) => i % step === 0).map(({ letter }) => letter);
      strip.replaceChildren(...labels.map((label) => Object.assign(document.createElement('span'), { textContent: label })));
    },
  };
}
