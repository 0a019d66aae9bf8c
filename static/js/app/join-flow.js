// Joining a room: opens the Join view when this phone is not paired, fills in the code if the server reveals it to this
// phone, and pairs.

import { ApiError, problemMessage } from '../net/http.js';
import { HOUSE } from '../net/room-address.js';
import { createJoinView } from '../ui/join-view.js';
import { createLockedRoomForm } from '../ui/locked-room-form.js';
import { houseName, roomName } from '../room/room-list.js';

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {(code: string, name: string) => Promise<void>} options.join
 * @param {(password: string) => Promise<void>} options.enterLocked enters the locked room of the page's address
 * @param {() => Promise<void>} options.goToHouse
 * @param {() => Promise<string | null>} options.getPairingCode
 * @param {(name: string) => void} options.saveName
 * @param {() => void} options.unlockSound
 * @param {() => void} options.closeSheets
 */
export function createJoinFlow({ store, join, enterLocked, goToHouse, getPairingCode, saveName, unlockSound, closeSheets }) {
  const view = createJoinView({
    unlockSound,
    join: async (code, name) => {
      saveName(name);
      try {
        await join(code, name);
        return null;
      } catch (error) {
        const isOtherRoom = store.get().roomId !== HOUSE;
        if (isOtherRoom && error instanceof ApiError && error.code === 'wrong-pairing-code') return { key: 'rooms.wrongCode' };
        return problemMessage(error);
      }
    },
  });
  const lockedForm = createLockedRoomForm({
    unlockSound,
    enter: (password) => enterLocked(password).then(() => null, problemMessage),
    goToHouse: () => goToHouse().then(() => null, problemMessage),
  });

  /** @returns {Parameters<typeof lockedForm.show>[0]} */
  function lockedRoom() {
    const { isRoomLocked, rooms, roomId } = store.get();
    if (!isRoomLocked) return null;
    const isKnown = rooms.some((row) => row.roomId === roomId);
    return { name: isKnown ? roomName(rooms, roomId) : null, houseName: houseName(rooms) };
  }

  async function open() {
    closeSheets();
    const { settings, disconnectReason, roomId } = store.get();
    lockedForm.show(lockedRoom());
    view.reset(settings.name, disconnectReason, roomId === HOUSE);
    const code = await getPairingCode().catch(() => null);
    if (code && store.get().view === 'join') view.prefillCode(code);
  }

  store.subscribe((state, previous) => {
    // The page goes to the house if the room of its address is gone.
    if (state.view !== 'join' && previous.view === 'join') lockedForm.show(null);
    if (state.view === 'join' && (previous.view !== 'join' || state.roomId !== previous.roomId)) open();
  });

  return {
    get firstField() {
      return lockedForm.field() ?? view.firstField;
    },
  };
}
