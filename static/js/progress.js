// PURE: where the seek bar is drawn. The clock's estimate gets better all the time, and pauses come
// from phones that are a moment behind: the bar waits for such a step back to pass, it never makes it.

/** @typedef {import('./types.js').TrackId} TrackId */
/** @typedef {{trackId: TrackId | null, positionSec: number, playing: boolean}} Place */

/** A step back of less than this is an estimate that got better, a longer one is somebody's seek. */
const PLAYING_SEC = 1.5;

/** At rest nothing would ever catch up with a bar that waits. */
const RESTING_SEC = 0.4;

/**
 * @param {Place | null} shown what the bar shows now
 * @param {Place} next where the music is
 * @returns {number} what the bar is to show, in seconds
 */
export function forward(shown, next) {
  if (!shown || shown.trackId !== next.trackId) return next.positionSec;
  const backSec = shown.positionSec - next.positionSec;
  const waits = backSec > 0 && backSec < (next.playing ? PLAYING_SEC : RESTING_SEC);
  return waits ? shown.positionSec : next.positionSec;
}

/**
 * What the eye can tell apart: a bar that moves by less than a pixel would be drawn for nothing.
 * @param {number} positionSec
 * @param {number} durationSec
 * @param {number} widthPx
 */
export function drawn(positionSec, durationSec, widthPx) {
  const stepSec = durationSec / Math.max(1, widthPx);
  return stepSec > 0 ? Math.floor(positionSec / stepSec) * stepSec : 0;
}
