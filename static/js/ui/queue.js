// The ring in play order. The current track and next-up stay on top; of the rest only the rows in
// sight exist, so that ten thousand scroll like ten.

import { clockTime } from '../format.js';
import { shownRoom } from '../foresee.js';
import { currentTrack, nextUp, ringOrder } from '../state.js';
import { renderCover } from './cover.js';
import { byId, part, setAttribute, setText, setVariable, stamp } from './dom.js';

/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */

/** As app.css has it where text is not enlarged. */
const LEAST_ROW_PX = 64;

/** Rows kept ready above and below those in sight. */
const SPARE = 6;

/** @param {(trackId: TrackId) => void} onNudge */
export function createQueue(onNudge) {
  const scroller = byId('queue-scroller', HTMLElement);
  const pinnedRows = byId('queue-pinned', HTMLElement);
  const rest = byId('queue-rest', HTMLElement);
  const empty = byId('queue-empty', HTMLElement);
  const count = byId('queue-count', HTMLElement);
  const filter = byId('filter', HTMLInputElement);
  /** @type {HTMLElement[]} */
  const pool = [];
  /** @type {AppState | null} */
  let state = null;
  /** @type {TrackId[]} */
  let ring = [];
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
  /** @type {WeakMap<Track, string>} */
  const haystacks = new WeakMap();

  filter.addEventListener('input', () => {
    scroller.scrollTop = 0;
    renderList();
  });
  scroller.addEventListener('scroll', () => requestAnimationFrame(renderWindow), { passive: true });
  new ResizeObserver(renderWindow).observe(scroller);
  scroller.addEventListener('click', ({ target }) => {
    const button = target instanceof Element && target.closest('button');
    const trackId = button && button.closest('li')?.dataset['track'];
    if (!trackId) return;
    nudged = trackId;
    onNudge(trackId);
  });

  /** @param {Track} track */
  function haystack(track) {
    const known = haystacks.get(track);
    if (known !== undefined) return known;
    const { title, artist = '', album = '' } = track.tags;
    const made = fold(`${title} ${artist} ${album} ${track.fileName}`);
    haystacks.set(track, made);
    return made;
  }

  function renderList() {
    if (!state) return;
    const { index } = state;
    const words = fold(filter.value).split(/\s+/).filter(Boolean);
    const matches = (/** @type {TrackId} */ id) => {
      const track = index.get(id);
      return track !== undefined && words.every((word) => haystack(track).includes(word));
    };
    const found = words.length > 0 ? ring.filter(matches) : ring;
    const pins = [marks.current, marks.next].filter((id) => id !== null && found.includes(id));
    rows = found.slice(pins.length);
    setText(count, found.length === 1 ? '1 track' : `${found.length.toLocaleString('en')} tracks`);
    empty.hidden = found.length > 0;
    setText(empty, ring.length === 0 ? 'No music yet.' : 'Nothing here sounds like that.');
    setVariable(rest, '--rows', String(rows.length));

    while (pinnedRows.childElementCount > pins.length) pinnedRows.lastElementChild?.remove();
    while (pinnedRows.childElementCount < pins.length) pinnedRows.append(stamp('row-template'));
    pins.forEach((id, i) => {
      const row = pinnedRows.children[i];
      if (id !== null && row instanceof HTMLElement) renderRow(row, id, i, found.length);
    });
    if (nudged !== null && nudged === marks.next) {
      const row = pinnedRows.querySelector(`[data-track="${nudged}"]`);
      if (row instanceof HTMLElement && scroller.contains(document.activeElement)) {
        row.tabIndex = -1;
        row.focus({ preventScroll: true });
      }
      nudged = null;
    }
    renderWindow();
  }

  function rowHeight() {
    const row = pinnedRows.firstElementChild ?? rest.firstElementChild;
    return (row instanceof HTMLElement && row.offsetHeight) || LEAST_ROW_PX;
  }

  function renderWindow() {
    const rowPx = rowHeight();
    const top = Math.max(0, scroller.scrollTop - rest.offsetTop + pinnedRows.offsetHeight);
    const first = Math.max(0, Math.floor(top / rowPx) - SPARE);
    const sight = Math.ceil(scroller.clientHeight / rowPx) + 2 * SPARE;
    const last = Math.min(rows.length, first + (scroller.clientHeight > 0 ? sight : 0));
    const length = Math.max(0, last - first);
    while (pool.length < length) {
      const row = stamp('row-template');
      pool.push(row);
      rest.append(row);
    }
    // A row keeps its place in the pool while it is in sight, so that scrolling moves few of them.
    pool.forEach((row, slot) => {
      const size = pool.length;
      const at = first + ((((slot - first) % size) + size) % size);
      const id = at < last ? rows[at] : undefined;
      row.hidden = id === undefined;
      if (id === undefined) return;
      setVariable(row, '--row', String(at));
      renderRow(row, id, at + pinnedRows.childElementCount, rows.length + pinnedRows.childElementCount);
    });
  }

  /**
   * @param {HTMLElement} row
   * @param {TrackId} id
   * @param {number} place
   * @param {number} of
   */
  function renderRow(row, id, place, of) {
    if (!state) return;
    const track = state.index.get(id);
    const { title = '…', artist = '' } = track?.tags ?? {};
    const current = id === marks.current;
    const next = id === marks.next;
    row.dataset['track'] = id;
    setAttribute(row, 'aria-current', current ? 'true' : null);
    setAttribute(row, 'aria-posinset', String(place + 1));
    setAttribute(row, 'aria-setsize', String(of));
    row.classList.toggle('next', next);
    renderCover(part(row, '.cover', HTMLElement), track);
    setText(part(row, '.title', HTMLElement), title);
    setText(part(row, '.artist', HTMLElement), artist);
    setText(part(row, '.duration', HTMLElement), track?.duration ? clockTime(track.duration) : '');
    setText(part(row, '.mark', HTMLElement), current ? 'now' : next ? 'next' : '');
    part(row, '.held', HTMLElement).hidden = !state.held.has(id);
    const nudge = part(row, 'button', HTMLButtonElement);
    nudge.hidden = current || next;
    setAttribute(nudge, 'aria-label', `Play ${title} next`);
  }

  return {
    /** @param {AppState} now */
    render: (now) => {
      state = now;
      const room = shownRoom(now);
      const parts = [room?.queue, room?.queueIndex, now.index, now.held];
      if (parts.every((value, i) => value === madeOf[i])) return;
      madeOf = parts;
      ring = room ? ringOrder(room) : [];
      marks = { current: room && currentTrack(room), next: room && nextUp(room) };
      renderList();
    },
    /** To be called when the list has come into sight. */
    shown: renderWindow,
  };
}

/**
 * Text as it is searched: no case, no accents.
 * @param {string} text
 */
function fold(text) {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
}
