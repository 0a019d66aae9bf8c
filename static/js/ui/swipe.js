// PURE: how a finger's movement over a queue row is interpreted.

/** A shorter movement is not classified yet. */
const MIN_MOVE_PX = 10;

/** A swipe of at least this length triggers the action of the row on release. */
export const SWIPE_THRESHOLD_PX = 88;

/** Fraction of the finger's movement that the row follows beyond the threshold. */
const OVERDRAG_FACTOR = 0.25;

/**
 * @param {number} dxPx towards the end of the line: to the right, or to the left in right-to-left pages
 * @param {number} dyPx
 * @returns {'undecided' | 'swipe' | 'other'} `swipe` for a mainly horizontal movement towards the end of the line
 */
export function classifyMove(dxPx, dyPx) {
  if (Math.hypot(dxPx, dyPx) < MIN_MOVE_PX) return 'undecided';
  return dxPx > 0 && Math.abs(dxPx) > 1.5 * Math.abs(dyPx) ? 'swipe' : 'other';
}

/** The distance by which the row is moved towards the end of the line. @param {number} dxPx */
export function rowShiftPx(dxPx) {
  if (dxPx <= SWIPE_THRESHOLD_PX) return Math.max(0, dxPx);
  return SWIPE_THRESHOLD_PX + (dxPx - SWIPE_THRESHOLD_PX) * OVERDRAG_FACTOR;
}
