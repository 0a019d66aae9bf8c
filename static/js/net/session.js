// This phone's membership of a room: pairing and leaving, entering another room, and what runs while the phone is a member (event
// stream, clock exchange, index).

import { getClock, leave, pair } from './api.js';
import { createClockExchange } from './clock-exchange.js';
import { createEventStream } from './event-stream.js';
import { ApiError, problemMessage } from './http.js';
import { createIndexSync } from './index-sync.js';
import { HOUSE, currentRoomId, setCurrentRoom } from './room-address.js';
import { createMessageHandler } from './room-messages.js';
import { enterRoom as requestEntry, getRooms, refreshRooms } from './rooms-api.js';
import { roomFromSnapshot } from '../room/reducer.js';
import { sleep } from '../timer.js';

/** @typedef {import('../store.js').Store} Store */
/** @typedef {import('../types.js').Snapshot} Snapshot */
/** @typedef {import('../types.js').TrackId} TrackId */

/** The parts of the state that belong to one room, when this phone enters another one. @type {Partial<import('../types.js').AppState>} */
const ROOM_DEFAULTS = { movedTo: null, pendingCommands: [], happening: null, history: [], chat: [], roomUploads: [], testSoundSchedule: null };

/** Interval between attempts to reach the server when the page has been opened. */
const START_RETRY_MS = 2_000;

/**
 * @param {object} options
 * @param {Store} options.store
 * @param {() => {trackId: TrackId, positionSec: number, serverMs: number | null} | null} options.nowPlaying what this
 *   phone plays; `serverMs`: when the track is at `positionSec`, on the server clock
 * @param {Promise<import('../tracks/index-cache.js').IndexCache>} options.indexCache
 * @param {(text: string) => void} options.showMessage
 * @param {(message: import('../types.js').EventMessage) => void} options.onTalk as for `createMessageHandler`
 * @param {() => void} options.onRoomGone called when this phone goes to the house room because the room no longer exists, or because
 *   this phone is no client of it any more
 */
export function createSession({ store, nowPlaying, indexCache, showMessage, onTalk, onRoomGone }) {
  const indexSync = createIndexSync({ store, indexCache });

  const clockExchange = createClockExchange({
    onEstimate: (estimate) => store.update({ clock: estimate }),
    onNoResponse: () => eventStream.replaceConnection(),
  });

  const eventStream = createEventStream({
    query: () => streamQuery(store.get().settings.isRemoteControl || Boolean(store.get().movedTo), nowPlaying()),
    // The clock is estimated before the first message is applied: a restarted server has another clock, and with the
    // old estimate the current track might seem to be over.
    onOpen: () => clockExchange.restart(),
    onMessage: createMessageHandler({
      store,
      showMessage,
      onTalk,
      refreshIndex: indexSync.refresh,
      onOwnRemoval: (message) => leaveRoom('join', message),
      onNoResponse: () => eventStream.replaceConnection(),
    }),
    onLost: async (streamError) => {
      clockExchange.stop();
      store.update({ connection: 'reconnecting' });
      if (isRoomGone(streamError)) {
        goToHouse();
        enterWithRetries();
        return false;
      }
      try {
        await getClock();
        // The house is well, but this room may be damaged.
        if (streamError instanceof ApiError) handleFailure(streamError);
        return true;
      } catch (error) {
        handleFailure(error);
        return !isUnpaired(error);
      }
    },
  });

  /** Increases with each wish to be in a room: the response to an earlier one is not applied. */
  let wishCount = 0;

  /** Whether this phone has to get into a room, and tries until it succeeds. */
  let isEntering = false;

  /** @param {{snapshot: Snapshot, memberId: string | null}} membership */
  function enterRoom({ snapshot, memberId }) {
    isEntering = false;
    const room = roomFromSnapshot(snapshot);
    const roomId = currentRoomId();
    const isOtherRoom = roomId !== store.get().roomId;
    store.update({ ...(isOtherRoom && ROOM_DEFAULTS), view: 'room', isRoomLocked: false, room, memberId, roomId, connection: 'connecting', disconnectReason: null });
    indexSync.refresh();
    // The server sends the list only when it changes. An older server has none.
    refreshRooms(store).catch(() => {});
    eventStream.open();
  }

  /** The page must not show the room before while its requests go to the house room. */
  function goToHouse() {
    setCurrentRoom(HOUSE);
    const view = store.get().view === 'room' ? 'starting' : store.get().view;
    store.update({ ...ROOM_DEFAULTS, view, roomId: HOUSE, room: null, isRoomLocked: false });
    onRoomGone();
  }

  /** Enters the room of the page's address. Goes to the house room if that room is gone. */
  async function enterWithRetries() {
    wishCount += 1;
    const ownWish = wishCount;
    isEntering = true;
    while (ownWish === wishCount) {
      const roomId = currentRoomId();
      try {
        const membership = await requestEntry(roomId);
        if (ownWish === wishCount) enterRoom(membership);
        return;
      } catch (error) {
        if (ownWish !== wishCount) return;
        if (error instanceof ApiError && error.code === 'password-needed') return showLockedRoom(ownWish);
        if (isRoomGone(error)) {
          goToHouse();
          continue;
        }
        handleFailure(error);
        if (isUnpaired(error)) return;
        await sleep(START_RETRY_MS);
      }
    }
  }

  /** @param {number} ownWish */
  async function showLockedRoom(ownWish) {
    const rooms = await getRooms().catch(() => store.get().rooms);
    if (ownWish !== wishCount) return;
    store.update({ rooms, roomId: currentRoomId(), isRoomLocked: true });
    leaveRoom('join');
  }

  /** @param {'join' | 'migrated'} view @param {import('../language/texts.js').Message | null} [disconnectReason] */
  function leaveRoom(view, disconnectReason = null) {
    wishCount += 1;
    isEntering = false;
    eventStream.close();
    clockExchange.stop();
    store.update({ view, room: null, memberId: null, connection: 'connecting', disconnectReason, clock: null });
  }

  /** Set while `POST /leave` is pending: the event stream may end before the response arrives. */
  let isLeaving = false;

  /** Shows why a request failed, or the join view if this phone is not paired. @param {unknown} error */
  function handleFailure(error) {
    const wasInRoom = store.get().view === 'room';
    if (isUnpaired(error)) {
      return leaveRoom('join', wasInRoom && !isLeaving ? { key: 'message.unpaired' } : null);
    }
    // In a room the status line already shows that the server is unreachable.
    const unreachable = store.get().view === 'starting' ? /** @type {const} */ ({ key: 'message.serverUnreachable' }) : null;
    store.update({ disconnectReason: error instanceof ApiError ? problemMessage(error) : unreachable });
  }

  store.subscribe((state, previous) => {
    // This phone has begun to listen in another room, or comes back to this one.
    const hasMoved = (state.movedTo === null) !== (previous.movedTo === null) && state.roomId === previous.roomId;
    if (hasMoved && state.view === 'room' && !state.settings.isRemoteControl) eventStream.open();
  });

  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState !== 'visible' || store.get().view !== 'room') return;
    eventStream.reconnectNow();
    if (store.get().connection === 'open') clockExchange.restart();
  });
  addEventListener('online', () => eventStream.reconnectNow());

  return {
    /** Enters the room if this phone is paired; shows the join view otherwise. */
    start: enterWithRetries,

    /**
     * Goes on in another room, at the position that it has reached. The latest wish counts: in the present room, it ends the move that
     * is under way.
     * @param {import('./room-address.js').RoomId} roomId
     * @param {string} [password]
     * @returns {Promise<boolean>} whether there was no later wish
     * @throws if the server does not let this phone in, which then stays where it is
     */
    moveTo: async (roomId, password) => {
      if (isEntering && roomId === store.get().roomId) return true;
      wishCount += 1;
      const ownWish = wishCount;
      if (roomId === store.get().roomId && store.get().room) return true;
      try {
        const membership = await requestEntry(roomId, password);
        if (ownWish !== wishCount) return false;
        setCurrentRoom(roomId);
        enterRoom({ ...membership, memberId: membership.memberId ?? store.get().memberId });
        return true;
      } catch (error) {
        if (ownWish !== wishCount) return false;
        if (isEntering) enterWithRetries();
        throw error;
      }
    },

    /** @param {string} code @param {string} name @returns {Promise<void>} */
    join: async (code, name) => {
      try {
        enterRoom(await pair(code, name));
      } catch (error) {
        // The next attempt is for the house room.
        if (isRoomGone(error)) goToHouse();
        throw error;
      }
    },

    leave: async () => {
      isLeaving = true;
      try {
        await leave();
        leaveRoom('join');
      } finally {
        isLeaving = false;
      }
    },

    /** Ends this page's session without unpairing, because this phone now uses the secure page in another tab. */
    endForMigration: () => leaveRoom('migrated'),

    /** Reconnects in the new role, after the setting “remote only” was changed. */
    reconnectInNewRole: () => {
      if (store.get().view === 'room') eventStream.open();
    },

    refreshIndex: indexSync.refresh,
    recordDuration: indexSync.recordDuration,
    recordDecodedDuration: indexSync.recordDecodedDuration,

    /** Measures the clock again and reconnects, after the page was suspended or the server did not respond. */
    resync: () => {
      clockExchange.dropRoundTrips();
      eventStream.replaceConnection();
      eventStream.reconnectNow();
    },
  };
}

/**
 * The query string of `GET /events`: the role of a remote control, or the track and position that a listener plays, from
 * which a restarted server continues.
 * @param {boolean} isRemoteControl
 * @param {{trackId: TrackId, positionSec: number, serverMs: number | null} | null} nowPlaying
 */
function streamQuery(isRemoteControl, nowPlaying) {
  if (isRemoteControl) return '?role=remote';
  if (!nowPlaying) return '';
  const { trackId, positionSec, serverMs } = nowPlaying;
  const atMs = serverMs === null ? '' : `&atMs=${serverMs.toFixed(1)}`;
  return `?trackId=${trackId}&positionSec=${Math.max(0, positionSec).toFixed(4)}${atMs}`;
}

/** Whether the server refused a request because this phone is not paired. @param {unknown} error */
function isUnpaired(error) {
  return error instanceof ApiError && error.status === 401;
}

/** Whether the server refused a request because the room does not exist, or this phone is no client of it. @param {unknown} error */
function isRoomGone(error) {
  return error instanceof ApiError && (error.code === 'no-such-room' || error.code === 'not-in-room');
}
