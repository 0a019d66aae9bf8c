// Rows that are swiped to the right. What a movement means is decided in swipe.js.

import { ENOUGH_PX, meaning, pull } from '../swipe.js';
import { setVariable } from './dom.js';

/** @typedef {import('../types.js').TrackId} TrackId */

/** The way back is a gesture of the system's on most phones, and begins this near the edge. */
const EDGE_PX = 20;

/**
 * @param {HTMLElement} list
 * @param {(trackId: TrackId) => void} onSwipe
 */
export function listenForSwipes(list, onSwipe) {
  /** @type {{row: HTMLElement, trackId: TrackId, x: number, y: number, pointerId: number, swipes: boolean} | null} */
  let held = null;
  let dxPx = 0;

  function release() {
    if (!held) return;
    const { row } = held;
    held = null;
    const atRest = pull(dxPx) === 0;
    if (!row.classList.contains('swiped')) return;
    row.classList.add('back');
    setVariable(row, '--swipe', '0px');
    const face = row.querySelector('.row-face');
    // There is no such event where nothing moves, or motion is turned off.
    const done = () => row.classList.remove('swiped', 'enough', 'back');
    if (!face || atRest || parseFloat(getComputedStyle(face).transitionDuration) === 0) return done();
    const over = new AbortController();
    for (const name of ['transitionend', 'transitioncancel']) {
      face.addEventListener(
        name,
        ({ target }) => {
          // Its button's own motion ends here, too.
          if (target !== face) return;
          over.abort();
          done();
        },
        { signal: over.signal },
      );
    }
  }

  list.addEventListener('pointerdown', ({ target, pointerType, clientX, clientY, pointerId }) => {
    release();
    const row = target instanceof Element && target.closest('.row');
    if (!(row instanceof HTMLElement) || pointerType === 'mouse' || clientX < EDGE_PX) return;
    const { track } = row.dataset;
    if (track === undefined || row.dataset['nudges'] !== 'true') return;
    held = { row, trackId: track, x: clientX, y: clientY, pointerId, swipes: false };
  });

  list.addEventListener('pointermove', ({ pointerId, clientX, clientY }) => {
    if (!held || held.pointerId !== pointerId) return;
    // Rows are used again: this one may stand for another track by now.
    if (held.row.dataset['track'] !== held.trackId) return release();
    dxPx = clientX - held.x;
    if (!held.swipes) {
      const means = meaning(dxPx, clientY - held.y);
      if (means === 'other') held = null;
      if (means !== 'swipe' || !held) return;
      held.swipes = true;
      held.row.classList.remove('back');
      held.row.classList.add('swiped');
      list.setPointerCapture(pointerId);
    }
    held.row.classList.toggle('enough', dxPx >= ENOUGH_PX);
    setVariable(held.row, '--swipe', `${pull(dxPx)}px`);
  });

  list.addEventListener('pointerup', ({ pointerId }) => {
    if (!held || held.pointerId !== pointerId) return;
    const { swipes, trackId, row } = held;
    release();
    if (swipes && dxPx >= ENOUGH_PX && row.dataset['track'] === trackId) onSwipe(trackId);
  });
  list.addEventListener('pointercancel', release);
}
