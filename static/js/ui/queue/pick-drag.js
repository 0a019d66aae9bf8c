// Moves picks by dragging their handle with a finger, a pen or the mouse. The row follows the pointer, and the other picks make
// room for it; near the upper and lower edges the list scrolls.

/** @typedef {import('../../types.js').TrackId} TrackId */

/** Distance in px from an edge of the scroller within which it scrolls, and the highest speed in px per frame. */
const EDGE_PX = 56;
const MAX_SCROLL_PX = 14;

/**
 * @param {object} options
 * @param {HTMLElement} options.scroller
 * @param {(trackId: TrackId) => TrackId[]} options.picks the picks as shown now
 * @param {(trackId: TrackId) => {topPx: number, heightPx: number} | null} options.placeOf where the row of a pick is, from the
 *   scroller's upper edge
 * @param {(trackId: TrackId) => HTMLElement | null} options.rowOf
 * @param {(drag: {trackId: TrackId, before: TrackId | null} | null) => void} options.show shows the pick before another one;
 *   `null`: the drag has ended
 * @param {(trackId: TrackId, followers: TrackId[]) => void} options.drop
 */
export function listenForDrags({ scroller, picks, placeOf, rowOf, show, drop }) {
  /** @type {{trackId: TrackId, pointerId: number, grabPx: number, pointerY: number, initialOrder: TrackId[]} | null} */
  let active = null;

  scroller.addEventListener('pointerdown', (event) => {
    const handle = event.target instanceof Element && event.target.closest('[data-action="move"]');
    const row = handle && handle.closest('.row');
    const trackId = row instanceof HTMLElement ? row.dataset['track'] : undefined;
    if (!(handle instanceof HTMLElement) || !trackId || event.button !== 0 || active || handle.getAttribute('aria-disabled') === 'true') return;
    const place = placeOf(trackId);
    if (!place) return;
    const pointerY = event.clientY - scroller.getBoundingClientRect().top;
    active = { trackId, pointerId: event.pointerId, grabPx: pointerY - place.topPx, pointerY, initialOrder: picks(trackId) };
    // Not by the handle: an element loses the pointer when it is moved in the document.
    scroller.setPointerCapture(event.pointerId);
    scroller.classList.add('reordering');
    update();
    requestAnimationFrame(scrollAtEdges);
  });

  scroller.addEventListener('pointermove', ({ pointerId, clientY }) => {
    if (!active || pointerId !== active.pointerId) return;
    active.pointerY = clientY - scroller.getBoundingClientRect().top;
    update();
  });

  addEventListener('pointerup', ({ pointerId }) => {
    if (active && pointerId === active.pointerId) end(true);
  });
  addEventListener('pointercancel', ({ pointerId }) => {
    if (active && pointerId === active.pointerId) end(false);
  });
  scroller.addEventListener('lostpointercapture', ({ target, pointerId }) => {
    // A touched handle loses the pointer to the scroller when the drag begins.
    if (active && pointerId === active.pointerId && target === scroller) end(false);
  });
  document.addEventListener('keydown', ({ key }) => {
    if (key === 'Escape' && active) end(false);
  });

  /** Shows the pick at the place of the pointer. */
  function update() {
    if (!active) return;
    const { trackId, pointerY, grabPx } = active;
    const order = picks(trackId);
    const place = placeOf(trackId);
    // Somebody else may have removed the pick, or it plays now.
    if (!place || !order.includes(trackId)) return end(false);
    const shiftPx = pointerY - grabPx - place.topPx;
    const from = order.indexOf(trackId);
    const to = Math.max(0, Math.min(order.length - 1, from + Math.round(shiftPx / place.heightPx)));
    if (to !== from) {
      const others = order.filter((other) => other !== trackId);
      show({ trackId, before: others[to] ?? null });
    }
    const row = rowOf(trackId);
    const shownTopPx = placeOf(trackId)?.topPx ?? place.topPx;
    row?.classList.add('dragged');
    row?.style.setProperty('--drag', `${pointerY - grabPx - shownTopPx}px`);
  }

  function scrollAtEdges() {
    if (!active) return;
    const { trackId, pointerY } = active;
    if (!picks(trackId).includes(trackId)) return end(false);
    const depthPx = pointerY < EDGE_PX ? pointerY - EDGE_PX : Math.max(0, pointerY - (scroller.clientHeight - EDGE_PX));
    if (depthPx !== 0) {
      scroller.scrollTop += Math.max(-1, Math.min(1, depthPx / EDGE_PX)) * MAX_SCROLL_PX;
      update();
    }
    requestAnimationFrame(scrollAtEdges);
  }

  /** @param {boolean} isDropped */
  function end(isDropped) {
    if (!active) return;
    const { trackId, initialOrder, pointerId } = active;
    active = null;
    if (scroller.hasPointerCapture(pointerId)) scroller.releasePointerCapture(pointerId);
    const order = picks(trackId);
    const row = rowOf(trackId);
    row?.classList.remove('dragged');
    row?.style.removeProperty('--drag');
    scroller.classList.remove('reordering');
    const hasMoved = order.indexOf(trackId) >= 0 && order.join() !== initialOrder.join();
    if (isDropped && hasMoved) drop(trackId, order.slice(order.indexOf(trackId) + 1));
    show(null);
  }
}
