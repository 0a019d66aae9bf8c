// The ring in play order. The current track and next-up stay on top; of the rest only the rows in
// sight exist, so that ten thousand scroll like ten.

import { shownRoom } from '../foresee.js';
import { finder, searched } from '../search.js';
import { currentTrack, nextUp, ringOrder } from '../state.js';
import { placeOf, windowOf } from '../windowing.js';
import { byId, setText, setVariable } from './dom.js';
import { createRow } from './queue-row.js';
import { listenForSwipes } from './swiping.js';

/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {import('./queue-row.js').Row} Row */

/** As app.css has it where text is not enlarged. */
const LEAST_ROW_PX = 64;

/** Rows that fly past faster than this in one frame are shown without their covers. */
const FAST_ROWS = 1;

/** So long after the last movement the list is at rest. */
const REST_MS = 120;

/** Tracks made ready for the filter in one go. */
const READY_AT_ONCE = 400;

/** @param {(trackId: TrackId) => void} onNudge */
export function createQueue(onNudge) {
  const scroller = byId('queue-scroller', HTMLElement);
  const pinnedList = byId('queue-pinned', HTMLElement);
  const restList = byId('queue-rest', HTMLElement);
  const empty = byId('queue-empty', HTMLElement);
  const count = byId('queue-count', HTMLElement);
  const filter = byId('filter', HTMLInputElement);
  /** @type {Row[]} */
  const pinned = [];
  /** @type {Row[]} */
  const pool = [];
  /** @type {AppState | null} */
  let state = null;
  /** @type {TrackId[]} */
  let ring = [];
  /** What is searched of each track of the ring, made when it is first needed. */
  /** @type {string[] | null} */
  let texts = null;
  /** What is found, in order: first what is pinned, then the rest. */
  /** @type {TrackId[]} */
  let pins = [];
  /** @type {TrackId[]} */
  let rows = [];
  /** @type {{current: TrackId | null, next: TrackId | null}} */
  let marks = { current: null, next: null };
  /** The row that takes the focus along when it becomes next: its button goes. */
  /** @type {TrackId | null} */
  let nudged = null;
  /** What the list was made of, to see whether it must be made anew. */
  /** @type {unknown[]} */
  let madeOf = [];
  /** @type {AppState['held'] | null} */
  let held = null;
  let lastTop = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let resting;

  filter.addEventListener('input', () => {
    scroller.scrollTop = 0;
    // The next letter may be on its way: covers can wait.
    renderList(true);
  });
  let asked = false;
  scroller.addEventListener(
    'scroll',
    () => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        renderWindow();
      });
    },
    { passive: true },
  );
  new ResizeObserver(() => renderWindow()).observe(scroller);
  scroller.addEventListener('click', ({ target }) => {
    const button = target instanceof Element && target.closest('button');
    const trackId = button && button.closest('li')?.dataset['track'];
    if (trackId) nudge(trackId);
  });
  scroller.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && moveFocus(step)) event.preventDefault();
  });
  listenForSwipes(scroller, nudge);

  /** @param {TrackId} trackId */
  function nudge(trackId) {
    nudged = trackId;
    onNudge(trackId);
  }

  /**
   * Moves the focus from one row's button to that of the row before or after.
   * @param {number} step
   * @returns {boolean} whether there was a row to go to
   */
  function moveFocus(step) {
    const focused = pool.find(({ element }) => element.contains(document.activeElement));
    const at = focused?.shown()?.row;
    const to = at === undefined ? (step > 0 && document.activeElement === scroller ? firstInSight() : -1) : at + step;
    if (to < 0 || to >= rows.length) return false;
    const rowPx = rowHeight();
    const top = restList.offsetTop + to * rowPx;
    const covered = parseFloat(getComputedStyle(scroller).scrollPaddingTop) || 0;
    if (top < scroller.scrollTop + covered) scroller.scrollTop = top - covered;
    if (top + rowPx > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + rowPx - scroller.clientHeight;
    renderWindow();
    pool.find((row) => row.shown()?.row === to)?.nudge.focus({ preventScroll: true });
    return true;
  }

  function firstInSight() {
    return Math.max(0, Math.ceil((scroller.scrollTop - restList.offsetTop + pinnedList.offsetHeight) / rowHeight()));
  }

  /** @param {boolean} [bare] */
  function renderList(bare = false) {
    if (!state) return;
    const { index } = state;
    const matches = finder(filter.value);
    if (matches) texts ??= ring.map((id) => searched(index.get(id)));
    const found = matches ? ring.filter((_, i) => matches(texts?.[i] ?? '')) : ring;
    pins = [marks.current, marks.next].flatMap((id) => (id !== null && found.includes(id) ? [id] : []));
    rows = found.slice(pins.length);
    setText(count, found.length === 1 ? '1 track' : `${found.length.toLocaleString('en')} tracks`);
    empty.hidden = found.length > 0;
    setText(empty, ring.length === 0 ? 'No music yet.' : 'Nothing here sounds like that.');
    setVariable(restList, '--rows', String(rows.length));

    while (pinned.length > pins.length) pinned.pop()?.element.remove();
    while (pinned.length < pins.length) {
      const row = createRow(false);
      pinned.push(row);
      pinnedList.append(row.element);
    }
    renderPinned();
    followNudge();
    renderWindow(bare);
  }

  function renderPinned() {
    pins.forEach((id, i) => renderRow(pinned[i], id, i, i, pins.length + rows.length, false));
  }

  function followNudge() {
    if (nudged === null || nudged !== marks.next) return;
    const row = pinned.find((pin) => pin.shown()?.id === nudged);
    if (row && scroller.contains(document.activeElement)) {
      row.element.tabIndex = -1;
      row.element.focus({ preventScroll: true });
    }
    nudged = null;
  }

  function rowHeight() {
    return (pinned[0] ?? pool[0])?.element.offsetHeight || LEAST_ROW_PX;
  }

  /** @param {boolean} [bare] */
  function renderWindow(bare = false) {
    const rowPx = rowHeight();
    const { scrollTop, clientHeight } = scroller;
    const topPx = scrollTop - restList.offsetTop + pinnedList.offsetHeight;
    const { first, last } = windowOf({ topPx, heightPx: clientHeight, rowPx, count: rows.length });
    const fast = bare || Math.abs(scrollTop - lastTop) > FAST_ROWS * rowPx;
    lastTop = scrollTop;
    while (pool.length < last - first) {
      const row = createRow(true);
      pool.push(row);
      restList.append(row.element);
    }
    pool.forEach((row, slot) => {
      const at = placeOf(slot, pool.length, first);
      const id = at < last ? rows[at] : undefined;
      // A key pressed on a row that has become another's would be meant for the old one.
      if (row.shown()?.id !== id && row.element.contains(document.activeElement)) scroller.focus({ preventScroll: true });
      if (id === undefined) row.hide();
      else renderRow(row, id, at, at + pins.length, rows.length + pins.length, fast);
    });
    clearTimeout(resting);
    resting = setTimeout(rest, REST_MS);
  }

  /** What is not worth doing for rows that fly past. */
  function rest() {
    if (pool.some((row) => row.shown()?.bare)) {
      lastTop = scroller.scrollTop;
      renderWindow();
    }
    order();
  }

  /**
   * Brings the rows into the order of the list for those who go through the page element by element.
   * They are in it but for one cut, and moving an element takes the focus from it.
   */
  function order() {
    const placed = [...restList.children];
    const place = (/** @type {Element} */ row) => Number(row.getAttribute('aria-posinset'));
    const shown = placed.filter((row) => row instanceof HTMLElement && !row.hidden);
    const cut = shown.findIndex((row, i) => i > 0 && place(row) < place(/** @type {Element} */ (shown[i - 1])));
    if (cut < 0) return;
    const [late, early] = [shown.slice(0, cut), shown.slice(cut)];
    if (late.some((row) => row.contains(document.activeElement))) restList.prepend(...early);
    else restList.append(...late);
  }

  /**
   * @param {Row | undefined} row
   * @param {TrackId} id
   * @param {number} at from the top of its own list
   * @param {number} place
   * @param {number} of
   * @param {boolean} bare
   */
  function renderRow(row, id, at, place, of, bare) {
    if (!state) return;
    const mark = id === marks.current ? 'now' : id === marks.next ? 'next' : '';
    row?.render({ id, track: state.index.get(id), mark, held: state.held.has(id), place, of, row: at, bare });
  }

  /**
   * Makes tracks ready for the filter bit by bit, so that the first letter need not wait for it.
   * @param {AppState['index']} index
   */
  function makeReady(index) {
    const tracks = index.values();
    const some = () => {
      if (state?.index !== index) return;
      for (let i = 0; i < READY_AT_ONCE; i += 1) {
        const { value } = tracks.next();
        if (!value) return;
        searched(value);
      }
      setTimeout(some, 0);
    };
    setTimeout(some, REST_MS);
  }

  return {
    /** @param {AppState} now */
    render: (now) => {
      if (now.index !== state?.index) makeReady(now.index);
      state = now;
      const room = shownRoom(now);
      const parts = [room?.queue, room?.queueIndex, now.index];
      if (parts.some((value, i) => value !== madeOf[i])) {
        madeOf = parts;
        ring = room ? ringOrder(room) : [];
        texts = null;
        marks = { current: room && currentTrack(room), next: room && nextUp(room) };
        renderList();
      } else if (now.held !== held) {
        // A track more on this phone changes a mark, not the list.
        renderPinned();
        renderWindow();
      }
      held = now.held;
    },
    /** To be called when the list has come into sight: it opens at what plays. */
    shown: () => {
      filter.value = '';
      scroller.scrollTop = 0;
      renderList();
    },
    /** The current track's picture. */
    cover: () => pinned.find((row) => row.shown()?.mark === 'now')?.cover ?? null,
  };
}
