// Where the user is in the Queue tab: a segment, the page of an album, an artist or a playlist above it, or a search. Each list keeps
// its scroll position until the tab is opened again.

import { text } from '../../language/texts.js';
import { claimBack, releaseBack } from '../back-button.js';
import { elementById, lineDirection, setAttribute, setHidden, setText } from '../dom.js';

/** @typedef {'up-next' | 'albums' | 'artists' | 'songs' | 'playlists'} SegmentName */
/** @typedef {{name: SegmentName} | {name: 'album' | 'artist' | 'playlist', key: string} | {name: 'search', text: string}} ListView */

const SEGMENTS = /** @type {const} */ (['up-next', 'albums', 'artists', 'songs', 'playlists']);
const SEGMENT_KEYS = /** @type {const} */ ({ 'up-next': 'queue.upNext', albums: 'queue.albums', artists: 'queue.artists', songs: 'queue.songs', playlists: 'queue.playlists' });

/**
 * @param {object} options
 * @param {HTMLElement} options.scroller
 * @param {(options: {scrollTop: number | null}) => void} options.onChange shows another list; `scrollTop`: where the user left it
 */
export function createBrowsing({ scroller, onChange }) {
  const segmentList = elementById('queue-segments', HTMLElement);
  const tabs = SEGMENTS.map((name) => elementById(`segment-${name}`, HTMLButtonElement));
  const searchField = elementById('filter', HTMLInputElement);
  /** @type {{name: SegmentName}} */
  let segment = { name: 'up-next' };
  /** The open pages, the shown one last. @type {Extract<ListView, {key: string}>[]} */
  let pages = [];
  /** @type {Extract<ListView, {text: string}> | null} */
  let search = null;
  let areAllSongsShown = false;
  /** @type {Map<string, number>} */
  const scrollTops = new Map();

  const view = () => /** @type {ListView} */ (pages.at(-1) ?? search ?? segment);
  /** A page that is opened a second time further up has a scroll position of its own. */
  const viewId = () => `${pages.length} ${JSON.stringify(view())}`;

  /** Changes the shown list. @param {() => void} change @param {{keepsPosition: boolean}} options */
  function go(change, { keepsPosition }) {
    scrollTops.set(viewId(), scroller.scrollTop);
    change();
    onChange({ scrollTop: keepsPosition ? (scrollTops.get(viewId()) ?? null) : null });
  }

  function back() {
    if (pages.length === 0) return;
    releaseBack(back);
    go(() => (pages = pages.slice(0, -1)), { keepsPosition: true });
    scroller.focus({ preventScroll: true });
  }

  function closePages() {
    // Each page has its own claim.
    for (const _ of pages) releaseBack(back);
    pages = [];
  }

  /** @param {SegmentName} name */
  function select(name) {
    if (segment.name === name && view() === segment) return onChange({ scrollTop: null });
    go(() => {
      closePages();
      segment = { name };
    }, { keepsPosition: true });
    // In long languages the segments do not all fit into the line.
    tabs[SEGMENTS.indexOf(name)]?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  tabs.forEach((tab, i) => {
    tab.addEventListener('click', () => select(SEGMENTS[i] ?? 'up-next'));
    tab.addEventListener('keydown', (event) => {
      const direction = lineDirection(tab);
      const target = { ArrowLeft: i - direction, ArrowRight: i + direction, Home: 0, End: tabs.length - 1 }[event.key];
      if (target === undefined) return;
      event.preventDefault();
      const index = (target + tabs.length) % tabs.length;
      select(SEGMENTS[index] ?? 'up-next');
      tabs[index]?.focus();
    });
  });

  searchField.addEventListener('input', () => {
    const typed = searchField.value.trim();
    go(() => {
      closePages();
      areAllSongsShown = false;
      search = typed === '' ? null : { name: 'search', text: typed };
      // “Up next” begins at the current track again, which shows what was added meanwhile.
    }, { keepsPosition: typed === '' && segment.name !== 'up-next' });
  });
  searchField.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || searchField.value === '') return;
    event.stopPropagation();
    event.preventDefault();
    searchField.value = '';
    searchField.dispatchEvent(new Event('input', { bubbles: true }));
  });

  return {
    view,
    areAllSongsShown: () => areAllSongsShown,
    back,
    /** @param {Extract<ListView, {key: string}>} page */
    open: (page) => {
      const top = pages.at(-1);
      if (top?.name === page.name && top.key === page.key) return;
      go(() => (pages = [...pages, page]), { keepsPosition: false });
      claimBack(back);
    },
    showAllSongs: () => {
      areAllSongsShown = true;
      onChange({ scrollTop: scroller.scrollTop });
    },
    /** Shows “Up next”, as when the tab is opened. */
    reset: () => {
      closePages();
      scrollTops.clear();
      searchField.value = '';
      search = null;
      segment = { name: 'up-next' };
      onChange({ scrollTop: null });
    },
    render: () => {
      setHidden(segmentList, view() === search);
      setAttribute(searchField, 'placeholder', text('queue.search'));
      tabs.forEach((tab, i) => {
        const name = SEGMENTS[i] ?? 'up-next';
        setText(tab, text(SEGMENT_KEYS[name]));
        setAttribute(tab, 'aria-selected', String(name === segment.name));
        tab.tabIndex = name === segment.name ? 0 : -1;
      });
    },
  };
}
