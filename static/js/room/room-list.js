// The rooms of the house, and their names in the language of the page.

import { text } from '../language/texts.js';
import { HOUSE } from '../net/room-address.js';

/** @typedef {import('../types.js').RoomRow} RoomRow */

/** The name that the server gives to a house room without one. */
const UNNAMED_HOUSE = 'House';

/** The name of a room, in the language of the page if it was never named. @param {Pick<RoomRow, 'roomId' | 'name'>} row */
export function shownName({ roomId, name }) {
  return roomId === HOUSE && name === UNNAMED_HOUSE ? text('rooms.house') : name;
}

/** The name of a room; its id while the list does not have it. @param {readonly RoomRow[]} rooms @param {string} roomId */
export function roomName(rooms, roomId) {
  const row = rooms.find((candidate) => candidate.roomId === roomId);
  return row ? shownName(row) : roomId;
}

/** The name of the house room, also while the list does not have it. @param {readonly RoomRow[]} rooms */
export function houseName(rooms) {
  return shownName(rooms.find((row) => row.roomId === HOUSE) ?? { roomId: HOUSE, name: UNNAMED_HOUSE });
}

/** Whether there are rooms to choose from. @param {readonly RoomRow[]} rooms */
export function hasSeveralRooms(rooms) {
  return rooms.length > 1;
}

/** Why no device can enter a room; `null` if devices can. @param {RoomRow} row @returns {import('../language/texts.js').TextKey | null} */
export function whyUnavailable({ damaged, opening }) {
  if (damaged) return 'rooms.damaged';
  return opening ? 'problem.room-opening' : null;
}

/** What a room plays: title and artist, as far as they are known; empty for a room without a track. @param {RoomRow} row */
export function playedText({ current }) {
  return [current?.title, current?.artist].filter(Boolean).join(' · ');
}
