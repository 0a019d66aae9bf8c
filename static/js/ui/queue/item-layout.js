// PURE: where the items of a long list are, and which of them have an element in the page.

/** @typedef {{key: string, kind: string}} Item */
/** @typedef {{offsetsPx: Float64Array, totalPx: number}} Layout `offsetsPx`: the top of each item, and the end of the last one */

/** Extra height that is rendered above and below the viewport, as a part of the viewport's height. */
const OVERSCAN = 0.35;

/**
 * @template {Item} T
 * @param {readonly T[]} items
 * @param {(item: T) => number} heightOf in px
 * @returns {Layout}
 */
export function layOut(items, heightOf) {
  const offsetsPx = new Float64Array(items.length + 1);
  let totalPx = 0;
  items.forEach((item, i) => {
    offsetsPx[i] = totalPx;
    totalPx += heightOf(item);
  });
  offsetsPx[items.length] = totalPx;
  return { offsetsPx, totalPx };
}

/** The index of the item at a height; the nearest one outside of the list. @param {Layout} layout @param {number} topPx */
export function indexAt({ offsetsPx }, topPx) {
  let [from, end] = [0, Math.max(0, offsetsPx.length - 2)];
  while (from < end) {
    const middle = (from + end + 1) >> 1;
    if ((offsetsPx[middle] ?? 0) <= topPx) from = middle;
    else end = middle - 1;
  }
  return from;
}

/**
 * The items to render: from index `first` to before index `end`.
 * @param {Layout} layout
 * @param {{topPx: number, heightPx: number}} view `topPx`: distance by which the list's top is scrolled out of view; `heightPx`
 *   is 0 while the list is hidden
 */
export function visibleRange(layout, { topPx, heightPx }) {
  const count = layout.offsetsPx.length - 1;
  if (heightPx <= 0 || count === 0) return { first: 0, end: 0 };
  const overscanPx = heightPx * OVERSCAN;
  return { first: indexAt(layout, topPx - overscanPx), end: Math.min(count, indexAt(layout, topPx + heightPx + overscanPx) + 1) };
}

/** Narrowest and preferred width of an album's card, in rem. */
const MIN_CARD_REM = 8.25;
const WIDE_CARD_REM = 10;

/** Gap between two cards, in px. */
export const CARD_GAP_PX = 16;

/**
 * The number of cards in a line, and their width.
 * @param {number} widthPx of a line
 * @param {number} remPx
 */
export function cardColumns(widthPx, remPx) {
  const minPx = (widthPx > 40 * remPx ? WIDE_CARD_REM : MIN_CARD_REM) * remPx;
  const count = Math.max(1, Math.floor((widthPx + CARD_GAP_PX) / (minPx + CARD_GAP_PX)));
  return { count, cardPx: (widthPx - (count - 1) * CARD_GAP_PX) / count };
}

/** Divides items into lines of `count`. @template T @param {readonly T[]} items @param {number} count */
export function inLines(items, count) {
  return Array.from({ length: Math.ceil(items.length / count) }, (_, i) => items.slice(i * count, (i + 1) * count));
}

/** Characters that are as wide as high: Chinese, Japanese and Korean ones, and fullwidth forms. */
const WIDE_CHARACTER = /[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uff60]/;

/** The width of a text in narrow characters; each wide one counts as two. @param {string} content */
export function textWidth(content) {
  return [...content].reduce((sum, character) => sum + (WIDE_CHARACTER.test(character) ? 2 : 1), 0);
}
