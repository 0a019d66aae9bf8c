// PURE: where the content of the big screen is, which moves slowly so that nothing burns into the display.

/** The content moves by at most this many hundredths of the window's shorter side in each direction. */
const REACH_VMIN = 1.6;

/** Periods in seconds without a common divisor: the path repeats after six days only. */
const PERIOD_X_SEC = 613;
const PERIOD_Y_SEC = 887;

/**
 * @param {number} sec since any moment
 * @returns {{x: number, y: number}} in `vmin`
 */
export function driftAt(sec) {
  return { x: swing(sec / PERIOD_X_SEC), y: swing(sec / PERIOD_Y_SEC) };
}

/** @param {number} turns */
function swing(turns) {
  return REACH_VMIN * Math.sin(2 * Math.PI * turns);
}
