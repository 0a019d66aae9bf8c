// PURE: the position that the seek bar shows. The computed position steps back slightly when the clock estimate
// improves or when another phone pauses. The seek bar then keeps its position until the computed position has passed the
// position of the bar, so that the bar does not move backwards visibly.

/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {{trackId: TrackId | null, positionSec: number, isPlaying: boolean}} PlaybackPosition */

/** While music plays, a step back by at least this time counts as a seek, and a shorter one as a clock correction. */
const MIN_SEEK_BACK_PLAYING_SEC = 1.5;

/**
 * The same threshold while the room is paused. The threshold is lower than during playback, because a paused position
 * does not advance: the bar would keep a wrong position until the room plays again.
 */
const MIN_SEEK_BACK_PAUSED_SEC = 0.4;

/**
 * @param {PlaybackPosition | null} shownPosition
 * @param {PlaybackPosition} computedPosition
 * @returns {number} the position to show, in seconds
 */
export function withoutSmallStepsBack(shownPosition, computedPosition) {
  if (!shownPosition || shownPosition.trackId !== computedPosition.trackId) return computedPosition.positionSec;
  const stepBackSec = shownPosition.positionSec - computedPosition.positionSec;
  const minSeekBackSec = computedPosition.isPlaying ? MIN_SEEK_BACK_PLAYING_SEC : MIN_SEEK_BACK_PAUSED_SEC;
  return stepBackSec > 0 && stepBackSec < minSeekBackSec ? shownPosition.positionSec : computedPosition.positionSec;
}

/**
 * Rounds down to a whole pixel of the bar, so that smaller changes cause no repaint.
 * @param {number} positionSec
 * @param {number} durationSec
 * @param {number} widthPx
 */
export function roundToPixel(positionSec, durationSec, widthPx) {
  const secPerPixel = durationSec / Math.max(1, widthPx);
  return secPerPixel > 0 ? Math.floor(positionSec / secPerPixel) * secPerPixel : 0;
}
