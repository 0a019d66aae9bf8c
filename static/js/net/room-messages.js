// Applies the messages of the event stream to the store.

import { getSnapshot } from './api.js';
import { text } from '../language/texts.js';
import { happeningIn, replaces } from '../room/happenings.js';
import { applyMessage, roomFromSnapshot } from '../room/reducer.js';
import { memberName } from '../room/selectors.js';
import { coalesce } from '../coalesce.js';

/** @typedef {import('../types.js').EventMessage} EventMessage */
/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Room} Room */

/**
 * One member has unpaired another one.
 * @typedef {{removedMemberId: MemberId, removingMemberId: MemberId}} Removal
 */

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {(text: string) => void} options.showMessage
 * @param {(message: EventMessage) => void} options.onTalk called with chat messages, reactions, and each snapshot, before which some may
 *   have been missed
 * @param {() => void} options.refreshIndex
 * @param {(message: import('../language/texts.js').Message) => void} options.onOwnRemoval called with a sentence for the user when another phone
 *   has unpaired this one
 * @param {() => void} options.onNoResponse
 * @returns {(message: EventMessage) => void}
 */
export function createMessageHandler({ store, showMessage, onTalk, refreshIndex, onOwnRemoval, onNoResponse }) {
  const fetchRoom = coalesce(async () => {
    try {
      const { roomId: requestedId } = store.get();
      const { snapshot } = await getSnapshot(requestedId);
      const { room, roomId } = store.get();
      // The event stream may have delivered a newer state in the meantime, or this phone may have entered another room.
      if (room && roomId === requestedId && snapshot.eventCount >= room.eventCount) store.update({ room: roomFromSnapshot(snapshot) });
    } catch {
      onNoResponse();
    }
  });

  /**
   * @param {Room} room before the removal
   * @param {Removal} removal
   */
  function announceRemoval(room, { removedMemberId, removingMemberId }) {
    const name = memberName(room, removedMemberId);
    const isOwnAction = removingMemberId === store.get().memberId;
    showMessage(isOwnAction ? text('message.removed', { name }) : text('message.removedBy', { remover: memberName(room, removingMemberId), name }));
  }

  /** @param {EventMessage} message */
  function applyToRoom(message) {
    const { room } = store.get();
    if (!room) return;
    const nextRoom = applyMessage(room, message, performance.now());
    if (message.event === 'snapshot') {
      store.update({ room: nextRoom, connection: 'open', disconnectReason: null });
    } else if (nextRoom === null) {
      fetchRoom();
    } else if (nextRoom !== room) {
      const happening = message.eventCount > room.eventCount ? happeningIn(message, room, store.get()) : null;
      const nowMs = performance.now();
      const isShown = happening !== null && replaces(happening, store.get().happening, nowMs);
      store.update({ room: nextRoom, ...(isShown && { happening: { message: happening, atMs: nowMs } }) });
    }
  }

  return (message) => {
    const { room } = store.get();
    if (!room) return;
    const removal = removalIn(message, room);
    if (removal && removal.removedMemberId === store.get().memberId) {
      return onOwnRemoval({ key: 'message.thisPhoneRemoved', values: { remover: memberName(room, removal.removingMemberId) } });
    }
    if (removal) announceRemoval(room, removal);
    applyToRoom(message);
    switch (message.event) {
      case 'library.changed':
        if (message.payload['playlists'] === true) store.update({ playlistChanges: store.get().playlistChanges + 1 });
        refreshIndex();
        break;
      case 'snapshot':
        // The server lists the uploads again with the next progress.
        store.update({ roomUploads: [] });
        refreshIndex();
        onTalk(message);
        break;
      case 'chat':
      case 'chat.removed':
      case 'reactions':
        onTalk(message);
        break;
      case 'tuning': {
        const testSoundSchedule = /** @type {import('../types.js').TestSoundSchedule} */ (/** @type {unknown} */ (message.payload));
        store.update({ testSoundSchedule });
        break;
      }
      case 'rooms':
        store.update({ rooms: /** @type {import('../types.js').RoomRow[]} */ (/** @type {unknown} */ (message.payload)) });
        break;
      case 'moved':
        store.update({ movedTo: String(message.payload['roomId']) });
        break;
      case 'uploads':
        store.update({ roomUploads: /** @type {import('../types.js').UploadProgress[]} */ (/** @type {unknown} */ (message.payload)) });
        break;
      case 'library.scanning': {
        const { read, total } = /** @type {import('../types.js').ScanProgress} */ (/** @type {unknown} */ (message.payload));
        store.update({ scanProgress: read < total ? { read, total } : null });
        // The server sends no `library.changed` for changes that do not affect the queue, such as a new cover.
        if (read === total) refreshIndex();
      }
    }
  };
}

/**
 * @param {EventMessage} message
 * @param {Room} room before the message
 * @returns {Removal | null} `null` if the message reports no removal, or one that was reported before
 */
function removalIn({ event, payload, eventCount }, room) {
  if (event !== 'client.left' || eventCount <= room.eventCount) return null;
  const { memberId, removedBy } = /** @type {{memberId: MemberId, removedBy?: MemberId}} */ (payload);
  // Without `removedBy` the phone has left the room by itself.
  return removedBy === undefined ? null : { removedMemberId: memberId, removingMemberId: removedBy };
}
