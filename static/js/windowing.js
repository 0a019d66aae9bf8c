// PURE: which rows of a long list exist. Rows are few and are used again and again; each keeps its
// place in the list while it is in sight, so that scrolling rewrites only those that come in.

/** Rows kept ready above and below those in sight. */
const SPARE = 4;

/**
 * @param {object} view
 * @param {number} view.topPx how far the list's own top is scrolled out of sight
 * @param {number} view.heightPx 0 while the list is not shown
 * @param {number} view.rowPx
 * @param {number} view.count
 * @returns {{first: number, last: number}} the rows from `first` up to, not with, `last`
 */
export function windowOf({ topPx, heightPx, rowPx, count }) {
  if (heightPx <= 0) return { first: 0, last: 0 };
  const sight = Math.ceil(heightPx / rowPx) + 2 * SPARE;
  const first = Math.max(0, Math.min(count - sight, Math.floor(Math.max(0, topPx) / rowPx) - SPARE));
  return { first, last: Math.min(count, first + sight) };
}

/**
 * Which place in the list the `slot`th of `size` rows stands for.
 * @param {number} slot
 * @param {number} size
 * @param {number} first
 */
export function placeOf(slot, size, first) {
  return first + ((((slot - first) % size) + size) % size);
}
