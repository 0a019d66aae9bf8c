// Lets the rows of a list be swiped by touch: a pick towards the start of the line, which removes it, others towards the end, which
// makes them next-up. swipe.js interprets the movements.

import { SWIPE_THRESHOLD_PX, classifyMove, rowShiftPx } from './swipe.js';
import { lineDirection, setCssVariable } from './dom.js';

/** @typedef {import('../types.js').TrackId} TrackId */

/** Touches that begin this close to the edge where lines begin are ignored, because they belong to the system's back gesture. */
const BACK_GESTURE_PX = 20;

/** @typedef {{row: HTMLElement, trackId: TrackId, startX: number, startY: number, pointerId: number, direction: 1 | -1, isSwipe: boolean}} Touch `direction`: of the swipe, 1 to the right */

/**
 * @param {HTMLElement} list
 * @param {{nudge: (trackId: TrackId) => void, remove: (trackId: TrackId) => void}} actions called when a row that was swiped past
 *   the threshold is released
 */
export function listenForSwipes(list, actions) {
  /** @type {Touch | null} */
  let activeTouch = null;
  let dxPx = 0;

  function release() {
    if (!activeTouch) return;
    const { row } = activeTouch;
    activeTouch = null;
    if (row.classList.contains('swiped')) animateBack(row, rowShiftPx(dxPx) === 0);
  }

  list.addEventListener('pointerdown', ({ target, pointerType, clientX, clientY, pointerId }) => {
    release();
    const row = target instanceof Element && target.closest('.row');
    if (!(row instanceof HTMLElement) || pointerType === 'mouse' || (target instanceof Element && target.closest('[data-action="move"]'))) return;
    const lineStart = lineDirection(list);
    if ((lineStart === 1 ? clientX : innerWidth - clientX) < BACK_GESTURE_PX) return;
    const trackId = row.dataset['track'];
    const isPick = row.dataset['place'] === 'pick';
    if (trackId === undefined || row.dataset[isPick ? 'canRemove' : 'canNudge'] !== 'true') return;
    const direction = /** @type {1 | -1} */ (isPick ? -lineStart : lineStart);
    activeTouch = { row, trackId, startX: clientX, startY: clientY, pointerId, direction, isSwipe: false };
  });

  list.addEventListener('pointermove', ({ pointerId, clientX, clientY }) => {
    if (!activeTouch || activeTouch.pointerId !== pointerId) return;
    // The row element may have been recycled for another track.
    if (activeTouch.row.dataset['track'] !== activeTouch.trackId) return release();
    dxPx = (clientX - activeTouch.startX) * activeTouch.direction;
    if (!activeTouch.isSwipe) {
      const move = classifyMove(dxPx, clientY - activeTouch.startY);
      if (move === 'other') activeTouch = null;
      if (move !== 'swipe' || !activeTouch) return;
      activeTouch.isSwipe = true;
      activeTouch.row.classList.remove('returning');
      activeTouch.row.classList.add('swiped');
      list.setPointerCapture(pointerId);
    }
    activeTouch.row.classList.toggle('past-threshold', dxPx >= SWIPE_THRESHOLD_PX);
    setCssVariable(activeTouch.row, '--swipe', `${activeTouch.direction * rowShiftPx(dxPx)}px`);
  });

  list.addEventListener('pointerup', ({ pointerId }) => {
    if (!activeTouch || activeTouch.pointerId !== pointerId) return;
    const { isSwipe, trackId, row } = activeTouch;
    release();
    if (!isSwipe || dxPx < SWIPE_THRESHOLD_PX || row.dataset['track'] !== trackId) return;
    if (row.dataset['place'] === 'pick') actions.remove(trackId);
    else actions.nudge(trackId);
  });
  list.addEventListener('pointercancel', release);
}

/**
 * Moves a swiped row back to its normal position.
 * @param {HTMLElement} row
 * @param {boolean} isInPlace whether the row is at its normal position already
 */
function animateBack(row, isInPlace) {
  row.classList.add('returning');
  setCssVariable(row, '--swipe', '0px');
  const rowFace = row.querySelector('.row-face');
  const removeClasses = () => row.classList.remove('swiped', 'past-threshold', 'returning');
  // Without a movement, or with reduced motion, the browser sends no transition events.
  if (!rowFace || isInPlace || parseFloat(getComputedStyle(rowFace).transitionDuration) === 0) return removeClasses();
  const listenerAbort = new AbortController();
  for (const name of ['transitionend', 'transitioncancel']) {
    rowFace.addEventListener(
      name,
      ({ target }) => {
        // Transition events of the button in the row bubble up to here.
        if (target !== rowFace) return;
        listenerAbort.abort();
        removeClasses();
      },
      { signal: listenerAbort.signal },
    );
  }
}
