// The name of the room at the top of the page, in a house with several rooms. It opens the sheet of rooms.

import { text } from '../language/texts.js';
import { hasSeveralRooms, roomName } from '../room/room-list.js';
import { elementById, queryElement, setAttribute, setHidden, setText } from './dom.js';

export function createRoomName() {
  const button = elementById('room-name', HTMLButtonElement);
  const topBar = queryElement(document, '.top-bar', HTMLElement);
  const nameText = /** @type {HTMLElement} */ (button.firstElementChild);
  const screenName = elementById('screen-room', HTMLElement);
  return {
    /** @param {import('../types.js').AppState} state */
    render: ({ rooms, roomId }) => {
      const isShown = hasSeveralRooms(rooms);
      setHidden(button, !isShown);
      topBar.classList.toggle('names-room', isShown);
      if (isShown) {
        setText(nameText, roomName(rooms, roomId));
        setAttribute(button, 'aria-label', text('rooms.nameLabel', { name: roomName(rooms, roomId) }));
      }
      setText(screenName, isShown ? roomName(rooms, roomId) : 'Lockstep');
    },
  };
}
