// The Queue tab: what was played, what comes next, and the library, under one search field. queue-items.js has the items of each
// list, browsing.js where the user is.

import { currentLocale, text } from '../../language/texts.js';
import { shownRoom } from '../../room/optimistic.js';
import { objection } from '../../room/permissions.js';
import { pickOf, picksOf, withMoved } from '../../room/picks.js';
import { artistKeyOf } from '../../library/albums.js';
import { hasHostRights, rulesOf } from '../../room/rules.js';
import { currentTrackId } from '../../room/selectors.js';
import { elementById, setHidden, setText } from '../dom.js';
import { isPermitted } from '../rules/reasons.js';
import { listenForSwipes } from '../swipe-rows.js';
import { createBrowsing } from './browsing.js';
import { createItemList } from './item-list.js';
import { listenForKeys } from './list-keyboard.js';
import { createListSizes } from './list-sizes.js';
import { createArtistRow, createCards, createHeader, createHint, createMore, createPlaylistRow } from './list-items.js';
import { createLetterStrip } from './letter-strip.js';
import { createLibrary, warmUp } from './library.js';
import { listenForLongPresses } from './long-press.js';
import { createPageHeader } from './page-header.js';
import { listenForDrags } from './pick-drag.js';
import { trackKey } from './queue-items.js';
import { createTrackMenu } from './track-menu.js';
import { createTrackRow, rowContent } from './track-row.js';
import { itemsOf, listTexts } from './shown-list.js';

/** @typedef {import('../../types.js').AppState} AppState */
/** @typedef {import('../../types.js').Room} Room */
/** @typedef {import('../../types.js').TrackId} TrackId */
/** @typedef {import('./queue-items.js').QueueItem} QueueItem */
/** @typedef {import('./track-menu.js').MenuAction} MenuAction */

/** What the rules may reserve in the menu of a track. @type {Partial<Record<MenuAction, import('../../room/permissions.js').Right>>} */
const RIGHT_OF_MENU_ACTION = { 'play-now': 'control', 'play-next': 'nudge', add: 'pick', remove: 'unpick' };

/**
 * @param {object} options
 * @param {import('../../app/queue-actions.js').QueueActions} options.actions
 * @param {() => void} options.loadHistory called when the tab is shown
 * @param {() => void} options.loadOlderHistory called when the user scrolls to the oldest known entry
 * @param {() => void} options.loadPlaylists called when the playlists are shown
 * @param {(trackId: TrackId) => void} options.removeUpload removes an uploaded track from the library
 */
export function createQueueView({ actions, loadHistory, loadOlderHistory, loadPlaylists, removeUpload }) {
  const panel = elementById('panel-queue', HTMLElement);
  const scroller = elementById('queue-scroller', HTMLElement);
  const list = elementById('queue-rows', HTMLElement);
  const emptyText = elementById('queue-empty', HTMLElement);
  const countText = elementById('queue-count', HTMLElement);
  /** @type {AppState | null} */
  let state = null;
  /** @type {Room | null} */
  let room = null;
  let library = createLibrary(new Map());
  /** The pick that is being dragged. @type {{trackId: TrackId, before: TrackId | null} | null} */
  let drag = null;
  /** The values from which the shown list was computed. @type {unknown[]} */
  let renderedInputs = [];
  /** The other values that rows show. @type {unknown[]} */
  let renderedRowInputs = [];
  let renderPage = () => {};
  /** Whether the current track is to stay at the top of “Up next”, until the user scrolls. */
  let isAtCurrent = true;

  const contentOf = (/** @type {import('./queue-items.js').TrackItem} */ item, /** @type {boolean} */ isCoverDeferred) =>
    rowContent(item, { index: library.index, room: /** @type {Room} */ (room), cachedTrackIds: state?.cachedTrackIds ?? new Set(), memberId: state?.memberId ?? null }, isCoverDeferred);
  const getIndex = () => library.index;
  /** Why nobody moves picks; '' if they can be moved. */
  const orderNote = () => {
    const order = room ? rulesOf(room).order : 'first';
    return order === 'first' ? '' : text(order === 'turns' ? 'reason.orderTurns' : 'reason.orderVotes');
  };
  /** @type {Record<QueueItem['kind'], () => import('./item-list.js').ItemView<any>>} */
  const VIEWS = {
    track: () => createTrackRow(contentOf),
    header: () => createHeader(getIndex, () => state === null || isPermitted(state, 'control'), orderNote),
    hint: createHint,
    cards: createCards,
    artist: createArtistRow,
    playlist: () => createPlaylistRow(getIndex),
    more: createMore,
  };
  const sizes = createListSizes(scroller, () => {
    itemList.relayOut();
    renderedInputs = [];
    update();
  });
  const itemList = createItemList({ scroller, list, createView: (/** @type {QueueItem['kind']} */ kind) => VIEWS[kind](), heightOf: sizes.heightOf });
  const browsing = createBrowsing({ scroller, onChange: showOtherList });
  const pageHeader = createPageHeader({ onBack: browsing.back, onAdd: actions.add, onPlayNext: actions.playAllNext, onArtist: openArtist });
  const letterColumns = () => (browsing.view().name === 'albums' ? sizes.columns() : 1);
  const letterStrip = createLetterStrip({
    jump: (index) => {
      const item = itemList.items()[Math.floor(index / letterColumns())];
      if (item) itemList.scrollToKey(item.key);
    },
    firstVisibleIndex: () => itemList.firstVisibleIndex() * letterColumns(),
  });
  const menu = createTrackMenu(runMenuAction);

  listenForKeys(scroller, itemList, (trackId, places) => {
    actions.moveBy(trackId, places);
    // In the next frame, the views show the pick in its new place.
    requestAnimationFrame(() => {
      itemList.reveal(trackKey(trackId));
      itemList.focusControl(trackKey(trackId), '[data-action="move"]');
    });
  });
  listenForSwipes(scroller, { nudge: actions.playNext, remove: actions.remove });
  listenForLongPresses(scroller, (row, point) => showMenu(row, null, point));
  listenForDrags({
    scroller,
    picks: () => shownPicks().map(({ trackId }) => trackId),
    placeOf: (trackId) => {
      const topPx = itemList.offsetPx(trackKey(trackId));
      return topPx === null ? null : { topPx, heightPx: sizes.rowPx() };
    },
    rowOf: (trackId) => itemList.elementOf(trackKey(trackId)),
    show: (newDrag) => {
      drag = newDrag;
      update();
    },
    drop: actions.move,
  });

  scroller.addEventListener('click', (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const button = target?.closest('button');
    const host = target?.closest('li');
    if (!host) return;
    const action = button?.dataset['action'];
    const trackId = host.dataset['track'];
    if (trackId) runRowAction(action, trackId, host, button ?? null, event);
    else if (action === 'shuffle') actions.shuffle();
    else if (action === 'sort') actions.sort('album');
    else if (action === 'show-all') browsing.showAllSongs();
    else if (action === 'open') open(button ?? host);
  });
  scroller.addEventListener('scroll', () => {
    const offsetPx = currentOffsetPx();
    isAtCurrent = offsetPx !== null && Math.abs(offsetPx) < 2;
    if (browsing.view().name === 'up-next' && scroller.scrollTop < scroller.clientHeight) loadOlderHistory();
  }, { passive: true });

  /** How far the current track is from the top of “Up next”; `null` in other lists. */
  function currentOffsetPx() {
    const currentId = room && currentTrackId(room);
    return browsing.view().name === 'up-next' && currentId !== null ? itemList.offsetPx(trackKey(currentId)) : null;
  }

  /** @param {Element} element a card, or the button of an artist or a playlist */
  function open(element) {
    const host = element.closest('[data-album], [data-artist], [data-playlist]');
    if (!(host instanceof HTMLElement)) return;
    const { album, artist, playlist } = host.dataset;
    if (album !== undefined) browsing.open({ name: 'album', key: album });
    else if (artist !== undefined) browsing.open({ name: 'artist', key: artist });
    else if (playlist !== undefined) browsing.open({ name: 'playlist', key: playlist });
  }

  /** @param {string} name */
  function openArtist(name) {
    const key = artistKeyOf(name);
    if (key !== null && library.collection().artistByKey.has(key)) browsing.open({ name: 'artist', key });
  }

  /**
   * @param {string | undefined} action of the pressed button
   * @param {TrackId} trackId
   * @param {HTMLElement} row
   * @param {HTMLButtonElement | null} button
   * @param {MouseEvent} event
   */
  function runRowAction(action, trackId, row, button, event) {
    switch (action) {
      case 'add':
      case 'again':
        return actions.add([trackId]);
      case 'nudge':
        return actions.playNext(trackId);
      case 'remove':
        return actions.remove(trackId);
      case 'vote':
        return actions.vote(trackId, button?.getAttribute('aria-pressed') !== 'true');
      case 'move':
        return;
      default: {
        // A tap on the current track, a pick or a played track cannot add it.
        const box = button?.getBoundingClientRect();
        showMenu(row, button, box ? { x: box.left, y: box.bottom } : { x: event.clientX, y: event.clientY });
      }
    }
  }

  /**
   * @param {HTMLElement} row
   * @param {HTMLElement | null} opener
   * @param {{x: number, y: number}} point
   * @returns {boolean} whether the row has a menu
   */
  function showMenu(row, opener, point) {
    const track = library.index.get(row.dataset['track'] ?? '');
    if (!track || !room) return false;
    const isCurrent = track.trackId === currentTrackId(room);
    const isPick = pickOf(room, track.trackId) !== undefined;
    /** @type {Set<MenuAction>} */
    const applicable = new Set();
    if (!isCurrent) applicable.add('play-now').add('play-next');
    if (!isCurrent && !isPick) applicable.add('add');
    if (library.collection().albumKeys.has(track.trackId)) applicable.add('album');
    if (artistKeyOf(track.tags.artist) !== null) applicable.add('artist');
    if (isPick) applicable.add('remove');
    if (track.uploadedBy !== undefined && (track.uploadedBy === state?.memberId || hasHostRights(room, state?.memberId ?? null))) applicable.add('remove-upload');
    if (applicable.size === 0) return false;
    const key = itemList.itemOf(row)?.key ?? '';
    const action = opener?.dataset['action'] ?? 'more';
    const restoreFocus = () => {
      // By the time the menu closes, the row may show another track.
      if (!itemList.focusControl(key, `[data-action="${action}"]`)) scroller.focus({ preventScroll: true });
    };
    const refused = new Map(/** @type {[MenuAction, import('../../room/permissions.js').Right][]} */ ([...applicable].flatMap((name) => {
      const right = RIGHT_OF_MENU_ACTION[name];
      return right && room && objection(room, state?.memberId ?? null, right, [track.trackId]) ? [[name, right]] : [];
    })));
    menu.show({ track, row, restoreFocus, point, actions: applicable, refused });
    return true;
  }

  /** @param {MenuAction} action @param {import('../../types.js').Track} track */
  function runMenuAction(action, { trackId, tags }) {
    switch (action) {
      case 'play-now':
        return void actions.playNow(trackId);
      case 'play-next':
        return void actions.playNext(trackId);
      case 'add':
        return actions.add([trackId]);
      case 'remove':
        return void actions.remove(trackId);
      case 'remove-upload':
        return removeUpload(trackId);
      case 'album': {
        const key = library.collection().albumKeys.get(trackId);
        return key === undefined ? undefined : browsing.open({ name: 'album', key });
      }
      case 'artist':
        return openArtist(tags.artist ?? '');
    }
  }

  /** The room as it is shown, with the dragged pick in its place. */
  function shownQueue() {
    return room && drag ? withMoved(room, drag.trackId, drag.before) : room;
  }

  function shownPicks() {
    const queue = shownQueue();
    return queue ? picksOf(queue) : [];
  }

  /** To be called when another list is to be shown: scrolls to where the user left it. @param {{scrollTop: number | null}} options */
  function showOtherList({ scrollTop }) {
    menu.close();
    const { name } = browsing.view();
    if (name === 'playlists') loadPlaylists();
    renderedInputs = [];
    update({ areCoversDeferred: name === 'search' });
    isAtCurrent = name === 'up-next' && scrollTop === null;
    if (isAtCurrent) scrollToCurrent();
    else scroller.scrollTop = scrollTop ?? 0;
    itemList.render(name === 'search');
    const offsetPx = currentOffsetPx();
    isAtCurrent = offsetPx !== null && Math.abs(offsetPx) < 2;
    if (name === 'album' || name === 'artist' || name === 'playlist') pageHeader.focus();
  }

  function scrollToCurrent() {
    const currentId = room && currentTrackId(room);
    if (currentId !== null) itemList.scrollToKey(trackKey(currentId));
  }

  /** Computes the list again if anything has changed on which it depends. @param {{areCoversDeferred?: boolean}} [options] */
  function update({ areCoversDeferred = false } = {}) {
    if (!state) return;
    const view = browsing.view();
    const queueInputs = [room?.queue, room?.queueIndex, room?.picks];
    // The other lists do not depend on the queue, but their rows show it.
    const listInputs = view.name === 'up-next' ? [...queueInputs, drag, state.history] : [];
    const inputs = [view, library, state.playlists, sizes.columns(), browsing.areAllSongsShown(), ...listInputs];
    const rowInputs = [...queueInputs, state.cachedTrackIds, room?.clients, room?.pickedBy, room?.rules, room?.hosts, room?.dj];
    const areRowsCurrent = rowInputs.every((value, i) => value === renderedRowInputs[i]);
    renderedRowInputs = rowInputs;
    if (inputs.length === renderedInputs.length && inputs.every((value, i) => value === renderedInputs[i])) {
      if (areRowsCurrent) return;
      renderPage();
      return itemList.render();
    }
    const wasAtCurrent = isAtCurrent && view.name === 'up-next';
    renderedInputs = inputs;
    const { items, page, letters, letterItemCount, count } = itemsOf(view, {
      room: shownQueue(), library, history: state.history, playlists: state.playlists, columns: sizes.columns(), areAllSongsShown: browsing.areAllSongsShown(),
    });
    if (page === 'gone') return browsing.back();
    browsing.render();
    panel.dataset['list'] = view.name;
    renderPage = () => {
      const canOrder = room === null || rulesOf(room).order === 'first';
      pageHeader.render(page, library.index, { add: state === null || isPermitted(state, 'pick'), move: canOrder });
    };
    renderPage();
    letterStrip.render(letters, { itemCount: letterItemCount, heightPx: scroller.clientHeight, remPx: sizes.remPx() });
    panel.classList.toggle('has-letters', letters !== null && !elementById('queue-letters', HTMLElement).hidden);
    itemList.setItems(items, areCoversDeferred);
    if (wasAtCurrent) scrollToCurrent();
    const texts = listTexts(view, count, items.length === 0);
    setText(countText, texts.count);
    setHidden(emptyText, texts.empty === '');
    setText(emptyText, texts.empty);
  }

  return {
    /** @param {AppState} newState */
    render: (newState) => {
      state = newState;
      room = shownRoom(newState);
      if (newState.index !== library.index || library.locale !== currentLocale()) {
        library = createLibrary(newState.index);
        const warmedUp = library;
        if (!panel.hidden) warmUp(library, () => library === warmedUp);
      }
      if (room && !panel.hidden) update();
    },
    /** To be called when the tab is opened: clears the search and shows the current track. */
    reset: () => {
      loadHistory();
      browsing.reset();
      const warmedUp = library;
      warmUp(library, () => library === warmedUp);
    },
  };
}
