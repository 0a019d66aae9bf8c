// Goes from one room to another: by the sheet of rooms, and back by the system's Back. Each room has its page address, so that a
// reload stays in the room. The page itself stays: its sound goes on, and what it has stored is used in the next room.

import { closeAll, pushAddress, replaceAddress } from '../ui/back-button.js';
import { HOUSE, currentRoomId, roomIdAt, roomPageUrl, setCurrentRoom } from '../net/room-address.js';

/** @typedef {import('../net/room-address.js').RoomId} RoomId */

/** Takes the room from the page's address. To be called before the first request. */
export function useRoomOfAddress() {
  setCurrentRoom(roomIdAt(location.href, document.baseURI));
}

/** The path of the page of the room that this page is in; the page's address may follow later. */
export const presentRoomPath = () => new URL(roomPageUrl(currentRoomId(), document.baseURI)).pathname;

/** Corrects the page's address, without a step for Back. @param {RoomId} roomId */
const showAddressOf = (roomId) => replaceAddress(roomPageUrl(roomId, document.baseURI) + location.search);

/** To be called when the room of the address is gone, and this phone goes to the house room. */
export const showHouseAddress = () => showAddressOf(HOUSE);

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {(roomId: RoomId, password?: string) => Promise<boolean>} options.moveTo resolves to `false`, and has changed nothing, if there
 *   was a later wish
 * @param {() => void} options.unlockSound unlocks sound if the browser may block it; must run synchronously in the gesture
 * @param {() => void} options.claimSound makes this tab the one of this phone that sounds
 * @param {(error: unknown) => void} options.showError
 */
export function createRoomNavigation({ store, moveTo, unlockSound, claimSound, showError }) {
  /** @param {RoomId} roomId */
  async function goBackTo(roomId) {
    if (store.get().view !== 'room') return;
    const isHere = roomId === store.get().roomId;
    try {
      // A wish for the present room ends a move that is under way.
      if ((await moveTo(roomId)) && !isHere) claimSound();
    } catch (error) {
      showAddressOf(store.get().roomId);
      showError(error);
    }
  }

  addEventListener('popstate', () => void goBackTo(roomIdAt(location.href, document.baseURI)));

  return {
    /**
     * Must be called in a gesture, because entering a room is a wish to hear it.
     * @param {RoomId} roomId
     * @param {string} [password]
     * @returns {Promise<boolean>} `false` if another room was wished for in the meantime
     * @throws if the server does not let this phone in
     */
    enter: async (roomId, password) => {
      const isHere = roomId === store.get().roomId;
      unlockSound();
      try {
        if (!(await moveTo(roomId, password))) return false;
      } catch (error) {
        // Back may have changed the address on the way to a room that is no longer wished for.
        showAddressOf(store.get().roomId);
        throw error;
      }
      if (isHere) {
        showAddressOf(roomId);
        return true;
      }
      store.update({ isPausedHere: false });
      claimSound();
      // The entries of what is open would come after the page of the other room.
      closeAll();
      pushAddress(roomPageUrl(roomId, document.baseURI));
      return true;
    },

    /** Enters the room of the page's address. @param {string} password @throws if the server does not let this phone in */
    enterLocked: async (password) => void (await moveTo(currentRoomId(), password)),

    /** Goes to the house room for good: Back does not lead to the room before. */
    returnToHouse: async () => {
      if (!(await moveTo(HOUSE))) return;
      claimSound();
      closeAll();
      showHouseAddress();
    },
  };
}
