// Arrow keys in the lists of the Queue tab: they move the focus from item to item, and on the handle of a pick they move the pick.

/** @typedef {import('../../types.js').TrackId} TrackId */

/**
 * @param {HTMLElement} scroller
 * @param {Pick<ReturnType<typeof import('./item-list.js').createItemList>, 'items' | 'focusedIndex' | 'focusItem' | 'firstVisibleIndex'>} list
 * @param {(trackId: TrackId, places: number) => void} movePick
 */
export function listenForKeys(scroller, list, movePick) {
  /** @param {KeyboardEvent} event @returns {boolean} */
  function moveFocusedPick({ key, target }) {
    const handle = target instanceof Element && target.closest('[data-action="move"]');
    const row = handle && handle.closest('.row');
    const trackId = row instanceof HTMLElement ? row.dataset['track'] : undefined;
    const places = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[key];
    if (!trackId || places === undefined) return false;
    movePick(trackId, places);
    return true;
  }

  /** Focuses the next item that has a control. @param {number} step 1 down, -1 up */
  function moveFocus(step) {
    const focusedIndex = list.focusedIndex();
    if (focusedIndex < 0 && (step < 0 || document.activeElement !== scroller)) return false;
    let index = focusedIndex < 0 ? list.firstVisibleIndex() : focusedIndex + step;
    while (index >= 0 && index < list.items().length) {
      if (list.focusItem(index)) return true;
      index += step;
    }
    return false;
  }

  /** The cards of one line are beside each other. @param {KeyboardEvent} event */
  function moveInLine({ key, target }) {
    const card = target instanceof Element && target.closest('.album-card');
    if (!card || (key !== 'ArrowLeft' && key !== 'ArrowRight')) return false;
    const isForward = (key === 'ArrowRight') === (getComputedStyle(card).direction === 'ltr');
    const sibling = isForward ? card.nextElementSibling : card.previousElementSibling;
    if (sibling instanceof HTMLElement) sibling.focus();
    return sibling !== null;
  }

  scroller.addEventListener('keydown', (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (moveFocusedPick(event) || moveInLine(event) || (step !== undefined && moveFocus(step))) event.preventDefault();
  });
}
