// The chat: keeps the messages of the server in the store, fetches those that the event stream missed, and remembers up to
// which message this phone's user has read, also over a reload.

import { coalesce } from '../coalesce.js';
import { firstMissableId, mergeFetched, withMessage, withoutMessage } from '../room/chat.js';

/** @typedef {import('../types.js').ChatMessage} ChatMessage */

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {(after: number | null) => Promise<ChatMessage[]>} options.getMessages
 * @param {(message: ChatMessage) => void} options.announce called for each new message of another phone
 * @param {{load: () => number | null, save: (readId: number) => void, watch: (onRead: (readId: number) => void) => void}} options.readIdStorage
 */
export function createChat({ store, getMessages, announce, readIdStorage }) {
  /** What the event stream delivered during a request; `null` without a request. */
  /** @type {{arrived: ChatMessage[], removedIds: Set<number>} | null} */
  let meanwhile = null;

  const fetchMissed = coalesce(async () => {
    const { chat: known, memberId, roomId } = store.get();
    meanwhile = { arrived: [], removedIds: new Set() };
    const current = meanwhile;
    try {
      const fetched = await getMessages(firstMissableId(known));
      if (store.get().memberId === memberId && store.get().roomId === roomId) showFetched(mergeFetched(fetched, current.arrived, current.removedIds));
    } catch {
      // The stream is lost, too, or will be: the next snapshot causes the next request.
    } finally {
      meanwhile = null;
    }
  });

  /** @param {readonly ChatMessage[]} chat */
  function showFetched(chat) {
    store.update({ chat });
    // What was said before this phone joined is not news.
    if (store.get().chatReadId === null) markRead(chat.at(-1)?.id ?? 0);
  }

  /** @param {number} id */
  function markRead(id) {
    if (id <= (store.get().chatReadId ?? -1)) return;
    store.update({ chatReadId: id });
    readIdStorage.save(id);
  }

  store.subscribe((state, previous) => {
    if (state.view === previous.view && state.roomId === previous.roomId) return;
    if (state.view === 'join') store.update({ chat: [] });
    if (state.view === 'room') store.update({ chatReadId: readIdStorage.load() });
  });

  // Another tab of this phone: what was read there is read here.
  readIdStorage.watch((readId) => {
    if (store.get().view === 'room' && readId > (store.get().chatReadId ?? -1)) store.update({ chatReadId: readId });
  });

  return {
    /** To be called with each message of the event stream. @param {import('../types.js').EventMessage} message */
    handle: ({ event, payload }) => {
      if (event === 'snapshot') {
        fetchMissed();
      } else if (event === 'chat') {
        const message = /** @type {ChatMessage} */ (/** @type {unknown} */ (payload));
        meanwhile?.arrived.push(message);
        store.update({ chat: withMessage(store.get().chat, message) });
        if (message.memberId !== store.get().memberId) announce(message);
      } else if (event === 'chat.removed') {
        const id = Number(payload['id']);
        meanwhile?.removedIds.add(id);
        store.update({ chat: withoutMessage(store.get().chat, id) });
      }
    },

    /** Records that all messages up to the last one are read. */
    markAllRead: () => markRead(store.get().chat.at(-1)?.id ?? 0),
  };
}

/**
 * Keeps the id of the last message that was read in localStorage. A browser that refuses localStorage shows messages as unread
 * that came after the page was opened.
 * @param {() => string} pagePath the path of the page of the present room, because rooms have chats of their own
 */
export function createReadIdStorage(pagePath) {
  const key = () => `lockstep.chatRead ${pagePath()}`;
  return {
    load: () => {
      try {
        const stored = localStorage.getItem(key());
        return stored === null ? null : Number(stored) || 0;
      } catch {
        return null;
      }
    },
    /** @param {number} readId */
    save: (readId) => {
      try {
        localStorage.setItem(key(), String(readId));
      } catch {
        // See above.
      }
    },
    /** Calls back when another tab saves an id. @param {(readId: number) => void} onRead */
    watch: (onRead) => {
      addEventListener('storage', (event) => {
        if (event.key === key() && event.newValue !== null) onRead(Number(event.newValue) || 0);
      });
    },
  };
}
