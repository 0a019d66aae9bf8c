// What the sheet of rooms does. Each action shows a message if it fails.

import { leaveRoom, lockRoom, makeRoom, refreshRooms, removeRoom, renameRoom } from '../net/rooms-api.js';
import { text } from '../language/texts.js';
import { ApiError, describeError, problemMessage } from '../net/http.js';

/** @typedef {import('../net/room-address.js').RoomId} RoomId */

/**
 * `message`: what was wrong with the password, to be shown at its field. Other failures are shown as messages of the page.
 * @typedef {{outcome: 'entered' | 'needs-password' | 'failed', message: import('../language/texts.js').Message | null}} EntryResult
 */

const PASSWORD_CODES = ['password-needed', 'wrong-password', 'too-many-passwords'];

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {ReturnType<typeof import('./requests.js').createAttempt>} options.attempt
 * @param {(text: string) => void} options.showMessage
 * @param {(roomId: RoomId, password?: string) => Promise<boolean>} options.enterRoom
 * @param {() => Promise<void>} options.returnToHouse
 */
export function createRoomActions({ store, attempt, showMessage, enterRoom, returnToHouse }) {
  const refresh = () => refreshRooms(store);
  /** @param {Promise<unknown>} request */
  const attemptAndRefresh = (request) => attempt(request.then(refresh));

  return {
    refresh: () => void refresh().catch(() => {}),

    /** @param {RoomId} roomId @param {string} [password] @returns {Promise<EntryResult>} */
    enter: async (roomId, password) => {
      try {
        return { outcome: (await enterRoom(roomId, password)) ? 'entered' : 'failed', message: null };
      } catch (error) {
        const needsPassword = error instanceof ApiError && PASSWORD_CODES.includes(error.code);
        // Without a password, the field that appears is the answer.
        if (needsPassword) return { outcome: 'needs-password', message: password === undefined ? null : problemMessage(error) };
        showMessage(describeError(error));
        return { outcome: 'failed', message: null };
      }
    },

    /** @param {string} name @param {string | null} password */
    make: async (name, password) => {
      try {
        await makeRoom(name, password);
        // The event stream sends the list, too.
        await refresh().catch(() => {});
        return true;
      } catch (error) {
        // Here the code is about the folder of all rooms, elsewhere about the file of one.
        const isNotRead = error instanceof ApiError && error.code === 'room-opening';
        showMessage(isNotRead ? text('rooms.notRead') : describeError(error));
        return false;
      }
    },
    /** @param {RoomId} roomId @param {string} name */
    rename: (roomId, name) => attemptAndRefresh(renameRoom(roomId, name)),
    /** @param {RoomId} roomId @param {string | null} password */
    lock: (roomId, password) => attemptAndRefresh(lockRoom(roomId, password)),
    // The others learn from their streams that the room is gone.
    /** @param {RoomId} roomId */
    remove: (roomId) => attemptAndRefresh(removeRoom(roomId).then(() => (roomId === store.get().roomId ? returnToHouse() : undefined))),
    // The house room first: the stream of a room that this phone has left ends as if the room were gone.
    /** @param {RoomId} roomId */
    leave: (roomId) => attemptAndRefresh(returnToHouse().then(() => leaveRoom(roomId))),
  };
}
