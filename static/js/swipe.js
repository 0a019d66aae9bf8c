// PURE: what a finger that moves over a row means.

/** A finger that has moved less than this may still become anything. */
const SLACK_PX = 10;

/** So far to the right a row is pulled for it to count. */
export const ENOUGH_PX = 88;

/** Beyond that it follows the finger unwillingly. */
const STIFF = 0.25;

/**
 * @param {number} dxPx
 * @param {number} dyPx
 * @returns {'undecided' | 'swipe' | 'other'} `other`: the list scrolls, or nothing is meant
 */
export function meaning(dxPx, dyPx) {
  if (Math.hypot(dxPx, dyPx) < SLACK_PX) return 'undecided';
  return dxPx > 0 && Math.abs(dxPx) > 1.5 * Math.abs(dyPx) ? 'swipe' : 'other';
}

/**
 * How far a row moves with the finger.
 * @param {number} dxPx
 */
export function pull(dxPx) {
  return dxPx <= ENOUGH_PX ? Math.max(0, dxPx) : ENOUGH_PX + (dxPx - ENOUGH_PX) * STIFF;
}
