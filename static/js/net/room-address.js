// The address of the room that this page is in. The house room's requests are at the house's address, which is the base address of
// the document (`<base>` in index.html); those of each other room are below `rooms/ID/`, and so is its page. What belongs to the house
// (the library, files, covers, uploads, the clock, names) is at the house's address only.

/** @typedef {string} RoomId `house`, or letters and digits. */

/** @type {RoomId} */
export const HOUSE = 'house';

const ROOM_PAGE = /^rooms\/([^/]+)\/$/;

/** @type {RoomId} */
let currentId = HOUSE;

export const currentRoomId = () => currentId;

/** All later requests go to this room. @param {RoomId} roomId */
export function setCurrentRoom(roomId) {
  currentId = roomId;
}

/** The path of a request to a room, relative to the house's address. @param {string} path with its slash @param {RoomId} [roomId] */
export function roomPath(path, roomId = currentId) {
  return roomId === HOUSE ? path : `/rooms/${roomId}${path}`;
}

/**
 * The room whose page is at `url`.
 * @param {string} url
 * @param {string} houseUrl the address of the house's page
 * @returns {RoomId}
 */
export function roomIdAt(url, houseUrl) {
  const { pathname } = new URL(url);
  const housePath = new URL('./', houseUrl).pathname;
  const [, roomId = HOUSE] = (pathname.startsWith(housePath) && ROOM_PAGE.exec(pathname.slice(housePath.length))) || [];
  return roomId;
}

/** The address of a room's page. @param {RoomId} roomId @param {string} houseUrl */
export function roomPageUrl(roomId, houseUrl) {
  return new URL(`.${roomPath('/', roomId)}`, houseUrl).href;
}
