// The heights of the items in the Queue tab, which depend on the text size and on the width of the list.

import { text } from '../../language/texts.js';
import { elementById, setCssVariable } from '../dom.js';
import { cardColumns, textWidth } from './item-layout.js';

/** @typedef {import('./queue-items.js').QueueItem} QueueItem */

/** Rows of at least this width have space for more buttons. */
const WIDE_ROW_REM = 34;

/**
 * @param {HTMLElement} scroller
 * @param {() => void} onChange
 */
export function createListSizes(scroller, onChange) {
  // Has the width of the list's content, and a height of 1rem.
  const probe = elementById('queue-probe', HTMLElement);
  let widthPx = 0;
  let remPx = 16;

  const measure = () => {
    if (probe.offsetWidth === 0) return;
    widthPx = probe.offsetWidth;
    remPx = probe.offsetHeight;
    setCssVariable(scroller, '--card-size', `${Math.floor(cardColumns(widthPx, remPx).cardPx)}px`);
    scroller.classList.toggle('wide-rows', widthPx >= WIDE_ROW_REM * remPx);
    onChange();
  };
  const observer = new ResizeObserver(measure);
  observer.observe(probe);
  observer.observe(scroller);

  const rowPx = () => Math.max(64, 3 * remPx);

  /** An estimate that is rather too high. */
  function hintPx() {
    const lineCount = Math.ceil((textWidth(text('queue.noPicks')) * 0.5 * remPx) / Math.max(100, widthPx));
    return (lineCount * 1.4 + 1.5) * remPx;
  }

  return {
    rowPx,
    remPx: () => remPx,
    columns: () => cardColumns(widthPx, remPx).count,
    /** @param {QueueItem} item */
    heightOf: ({ kind }) => {
      switch (kind) {
        case 'header':
          return Math.max(56, 3.25 * remPx);
        case 'hint':
          return hintPx();
        case 'cards':
          return Math.floor(cardColumns(widthPx, remPx).cardPx + 2.5 * remPx + 26);
        case 'more':
          return Math.max(60, 3.5 * remPx);
        default:
          return rowPx();
      }
    },
  };
}
