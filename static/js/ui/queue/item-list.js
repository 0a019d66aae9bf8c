// A long list of items of several kinds, of which only those near the viewport have an element. Elements are recycled, but an
// item keeps its element while it is rendered, so that it keeps the focus and can move.

import { setAttribute, setHidden } from '../dom.js';
import { indexAt, layOut, visibleRange } from './item-layout.js';

/** @typedef {import('./item-layout.js').Item} Item */

/**
 * The element of one item.
 * @template {Item} T
 * @typedef {{element: HTMLElement, render: (item: T, areCoversDeferred: boolean) => void, hasDeferredCover?: () => boolean, focusTarget?: () => HTMLElement | undefined, release?: () => void}} ItemView
 * `release`: resets what was not rendered, before the element is reused for another item
 */

/** Above this scroll speed, in px per frame, new items are rendered without their covers. */
const FAST_SCROLL_PX = 64;

/** Time after the last scroll event until covers are rendered and the elements are sorted. */
const SCROLL_END_MS = 120;

/**
 * @template {Item} T
 * @param {object} options
 * @param {HTMLElement} options.scroller
 * @param {HTMLElement} options.list
 * @param {(kind: T['kind']) => ItemView<T>} options.createView
 * @param {(item: T) => number} options.heightOf in px
 */
export function createItemList({ scroller, list, createView, heightOf }) {
  /** @typedef {ItemView<T> & {kind: T['kind'], item: T | null}} Slot */
  /** @type {readonly T[]} */
  let items = [];
  let layout = layOut(items, heightOf);
  /** Slots of the rendered items, by key. @type {Map<string, Slot>} */
  const slots = new Map();
  /** Hidden slots, by kind. @type {Map<string, Slot[]>} */
  const freeSlots = new Map();
  let lastScrollTop = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let scrollEndTimer;
  let isFrameRequested = false;

  scroller.addEventListener(
    'scroll',
    () => {
      clearTimeout(scrollEndTimer);
      scrollEndTimer = undefined;
      if (isFrameRequested) return;
      isFrameRequested = true;
      requestAnimationFrame(() => {
        isFrameRequested = false;
        render(false, true);
      });
    },
    { passive: true },
  );

  const scrolledPx = () => scroller.scrollTop - list.offsetTop;

  /** @param {Slot} slot */
  function release(slot) {
    // A recycled element would keep the focus, and the next key press would act on another item.
    if (slot.element.contains(document.activeElement)) scroller.focus({ preventScroll: true });
    slot.item = null;
    slot.release?.();
    const free = freeSlots.get(slot.kind) ?? [];
    free.push(slot);
    freeSlots.set(slot.kind, free);
  }

  /** @param {T} item @returns {Slot} */
  function slotFor(item) {
    const kept = slots.get(item.key);
    if (kept) return kept;
    const slot = freeSlots.get(item.kind)?.pop() ?? Object.assign(createView(item.kind), { kind: item.kind, item: null });
    if (!slot.element.isConnected) list.append(slot.element);
    slots.set(item.key, slot);
    return slot;
  }

  /** @param {boolean} [areCoversDeferred] @param {boolean} [isScroll] whether only new items have to be rendered */
  function render(areCoversDeferred = false, isScroll = false) {
    const { first, end } = visibleRange(layout, { topPx: scrolledPx(), heightPx: scroller.clientHeight });
    const isFast = Math.abs(scroller.scrollTop - lastScrollTop) > FAST_SCROLL_PX;
    lastScrollTop = scroller.scrollTop;
    const visible = items.slice(first, end);
    const kinds = new Map(visible.map(({ key, kind }) => [key, kind]));
    for (const [key, slot] of slots) {
      if (kinds.get(key) === slot.kind) continue;
      slots.delete(key);
      release(slot);
    }
    visible.forEach((item, i) => {
      const slot = slotFor(item);
      if (isScroll && slot.item === item) return;
      slot.item = item;
      const { element } = slot;
      setHidden(element, false);
      const topPx = layout.offsetsPx[first + i] ?? 0;
      const heightPx = (layout.offsetsPx[first + i + 1] ?? 0) - topPx;
      const [transform, height] = [`translateY(${topPx}px)`, `${heightPx}px`];
      if (element.style.transform !== transform) element.style.transform = transform;
      if (element.style.height !== height) element.style.height = height;
      setAttribute(element, 'aria-posinset', String(first + i + 1));
      setAttribute(element, 'aria-setsize', String(items.length));
      slot.render(item, areCoversDeferred || isFast);
    });
    for (const free of freeSlots.values()) for (const { element } of free) setHidden(element, true);
    scrollEndTimer ??= setTimeout(onScrollEnd, SCROLL_END_MS);
  }

  function onScrollEnd() {
    // To move elements in the document interrupts a drag.
    if (scroller.classList.contains('reordering')) {
      scrollEndTimer = setTimeout(onScrollEnd, SCROLL_END_MS);
      return;
    }
    scrollEndTimer = undefined;
    lastScrollTop = scroller.scrollTop;
    if ([...slots.values()].some((slot) => slot.hasDeferredCover?.())) render();
    sortElements();
  }

  /** Sorts the elements into list order, for screen readers and the Tab key. An element loses its focus when it is moved. */
  function sortElements() {
    const position = (/** @type {Element} */ element) => Number(element.getAttribute('aria-posinset'));
    const sorted = [...slots.values()].map(({ element }) => element).sort((a, b) => position(a) - position(b));
    const focusIndex = sorted.findIndex((element) => element.contains(document.activeElement));
    const pivot = sorted[Math.max(0, focusIndex)];
    if (!pivot) return;
    placeAll(sorted.slice(0, Math.max(0, focusIndex)), (element) => pivot.before(element));
    sorted.slice(Math.max(0, focusIndex) + 1).reduce((previous, element) => {
      if (previous.nextElementSibling !== element) previous.after(element);
      return element;
    }, pivot);
  }

  /** @param {HTMLElement[]} elements @param {(element: HTMLElement) => void} place */
  function placeAll(elements, place) {
    const isInOrder = elements.every((element, i) => i === 0 || elements[i - 1]?.nextElementSibling === element);
    if (!isInOrder) elements.forEach(place);
  }

  /** Keeps what is visible in its place, although items above it were added or removed. @param {readonly T[]} newItems */
  function replaceItems(newItems) {
    const topPx = scrolledPx();
    const anchorIndex = indexAt(layout, Math.max(0, topPx));
    const anchors = items.slice(anchorIndex, anchorIndex + 12);
    const anchorOffsets = anchors.map((_, i) => (layout.offsetsPx[anchorIndex + i] ?? 0) - topPx);
    items = newItems;
    layout = layOut(items, heightOf);
    list.style.height = `${layout.totalPx}px`;
    if (topPx <= 0) return;
    const indexByKey = new Map(items.map(({ key }, i) => [key, i]));
    const keptAnchor = anchors.findIndex(({ key }) => indexByKey.has(key));
    const newIndex = indexByKey.get(anchors[keptAnchor]?.key ?? '');
    if (newIndex === undefined) return;
    const newTopPx = (layout.offsetsPx[newIndex] ?? 0) - (anchorOffsets[keptAnchor] ?? 0);
    if (Math.abs(newTopPx - topPx) > 0.5) scroller.scrollTop = newTopPx + list.offsetTop;
  }

  /** @param {string} key */
  const indexOf = (key) => items.findIndex((item) => item.key === key);

  /** @param {number} index */
  function reveal(index) {
    if (index < 0) return;
    const [topPx, endPx] = [layout.offsetsPx[index] ?? 0, layout.offsetsPx[index + 1] ?? 0];
    if (topPx < scrolledPx()) scroller.scrollTop = topPx + list.offsetTop;
    if (endPx > scrolledPx() + scroller.clientHeight) scroller.scrollTop = endPx + list.offsetTop - scroller.clientHeight;
    render();
  }

  /** @param {Element | null | undefined} target @returns {boolean} whether it has the focus: a hidden element takes none */
  function focus(target) {
    if (!(target instanceof HTMLElement)) return false;
    target.focus({ preventScroll: true });
    return document.activeElement === target;
  }

  return {
    /** @param {boolean} [areCoversDeferred] */
    render: (areCoversDeferred) => render(areCoversDeferred),
    /** @param {readonly T[]} newItems @param {boolean} [areCoversDeferred] */
    setItems: (newItems, areCoversDeferred) => {
      replaceItems(newItems);
      render(areCoversDeferred);
    },
    /** To be called when heights have changed. */
    relayOut: () => {
      replaceItems(items);
      render();
    },
    items: () => items,
    /** The distance of an item from the scroller's upper edge, in px; `null` if there is no such item. @param {string} key */
    offsetPx: (key) => {
      const index = indexOf(key);
      return index < 0 ? null : (layout.offsetsPx[index] ?? 0) - scrolledPx();
    },
    /** Scrolls an item to the top. @param {string} key */
    scrollToKey: (key) => {
      const index = indexOf(key);
      if (index < 0) return;
      scroller.scrollTop = (layout.offsetsPx[index] ?? 0) + list.offsetTop;
      render();
    },
    /** The index of the first item that is visible completely. */
    firstVisibleIndex: () => {
      const topPx = Math.max(0, scrolledPx());
      const index = indexAt(layout, topPx);
      return (layout.offsetsPx[index] ?? 0) < topPx - 1 ? Math.min(items.length - 1, index + 1) : index;
    },
    /** The index of the item that contains the focus; -1 if there is none. */
    focusedIndex: () => {
      const slot = [...slots.values()].find(({ element }) => element.contains(document.activeElement));
      return slot?.item ? items.indexOf(slot.item) : -1;
    },
    /** Scrolls to an item and focuses its main control. @param {number} index @returns {boolean} whether it has one */
    focusItem: (index) => {
      const item = items[index];
      if (!item) return false;
      reveal(index);
      return focus(slots.get(item.key)?.focusTarget?.());
    },
    /** Scrolls as far as necessary for an item to be visible. @param {string} key */
    reveal: (key) => reveal(indexOf(key)),
    /** Focuses a control of an item that is rendered. @param {string} key @param {string} selector @returns {boolean} whether it has the focus */
    focusControl: (key, selector) => focus(slots.get(key)?.element.querySelector(selector)),
    /** @param {string} key @returns {HTMLElement | null} the element of an item that is rendered */
    elementOf: (key) => slots.get(key)?.element ?? null,
    /** @param {Element} element in the list @returns {T | null} the item that it belongs to */
    itemOf: (element) => [...slots.values()].find((slot) => slot.element.contains(element))?.item ?? null,
  };
}
