// Loads what was played and the playlists into the store, when they are first shown and when they may have changed.

import { getHistory, getPlaylists } from './api.js';
import { coalesce } from '../coalesce.js';
import { after } from '../timer.js';

/** @typedef {import('../types.js').HistoryEntry} HistoryEntry */

/** Entries of one request. */
const PAGE_SIZE = 50;

/** After a failure, older entries are not requested again for this time, although each scroll event asks for them. */
const RETRY_INTERVAL_MS = 5_000;

/** @param {import('../store.js').Store} store */
export function createHistory(store) {
  let isWanted = false;
  let isComplete = false;
  let hasJustFailed = false;

  const loadNewest = coalesce(async () => {
    // An older server has no history.
    const { roomId } = store.get();
    const newest = await getHistory(PAGE_SIZE).catch(() => null);
    if (!newest || newest.length === 0 || roomId !== store.get().roomId) return;
    const known = store.get().history;
    const oldestId = newest.at(-1)?.id;
    const overlap = known.findIndex(({ id }) => id === oldestId);
    // Without an overlap, entries between the two parts are missing.
    store.update({ history: overlap < 0 ? newest : [...newest, ...known.slice(overlap + 1)] });
    if (overlap < 0) isComplete = false;
  });

  const loadOlder = coalesce(async () => {
    const { history: known, roomId } = store.get();
    const oldest = known.at(-1);
    if (isComplete || hasJustFailed || !oldest) return;
    const older = await getHistory(PAGE_SIZE, oldest.id).catch(() => null);
    if (!older) {
      hasJustFailed = true;
      after(RETRY_INTERVAL_MS, () => (hasJustFailed = false));
      return;
    }
    // Newer entries may have come meanwhile, also in place of the known ones.
    const { history } = store.get();
    if (roomId !== store.get().roomId || history.at(-1)?.id !== oldest.id) return;
    if (older.length < PAGE_SIZE) isComplete = true;
    if (older.length > 0) store.update({ history: [...history, ...older] });
  });

  store.subscribe((state, previous) => {
    if (!isWanted || !state.room) return;
    const hasAdvanced = state.room.queue[state.room.queueIndex] !== previous.room?.queue[previous.room.queueIndex];
    const hasReconnected = state.connection === 'open' && previous.connection !== 'open';
    if (hasAdvanced || hasReconnected) loadNewest();
  });

  return {
    /** Loads the newest entries, now and after each track. */
    load: () => {
      isWanted = true;
      if (store.get().room) loadNewest();
    },
    loadOlder: () => void loadOlder(),
  };
}

/** @param {import('../store.js').Store} store */
export function createPlaylists(store) {
  let isWanted = false;

  const load = coalesce(async () => {
    const playlists = await getPlaylists().catch(() => null);
    if (playlists) store.update({ playlists });
  });

  store.subscribe((state, previous) => {
    // Playlists change with the library, also by themselves, and unnoticed while this phone is away.
    const hasReconnected = state.connection === 'open' && previous.connection !== 'open';
    if (isWanted && (state.index !== previous.index || state.playlistChanges !== previous.playlistChanges || hasReconnected)) load();
  });

  return () => {
    isWanted = true;
    load();
  };
}
