// The server's HTTP endpoints for the rooms of the house, one function each.

import { getSnapshot } from './api.js';
import { post, request, requestLargeJson } from './http.js';
import { HOUSE } from './room-address.js';

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Snapshot} Snapshot */
/** @typedef {import('./room-address.js').RoomId} RoomId */

/**
 * Makes this phone a client of a room. Every paired phone is one of the house room.
 * @param {RoomId} roomId
 * @param {string} [password]
 * @returns {Promise<{snapshot: Snapshot, memberId: MemberId | null}>}
 */
export async function enterRoom(roomId, password) {
  if (roomId === HOUSE) return getSnapshot(HOUSE);
  const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ password }) };
  return (await requestLargeJson(`/rooms/${roomId}/enter`, init)).read();
}

/** @returns {Promise<import('../types.js').RoomRow[]>} the house room first */
export async function getRooms() {
  return (await request('/rooms', { cache: 'no-store' })).json();
}

/**
 * Updates the list of rooms in the store. Asks again if the event stream has sent a list meanwhile, because the response may be the
 * older one.
 * @param {import('../store.js').Store} store
 */
export async function refreshRooms(store) {
  for (;;) {
    const known = store.get().rooms;
    const rooms = await getRooms();
    if (store.get().rooms === known) return store.update({ rooms });
  }
}

/** @param {string} name @param {string | null} password @returns {Promise<{roomId: RoomId, name: string}>} */
export async function makeRoom(name, password) {
  return (await post('/rooms', password === null ? { name } : { name, password })).json();
}

/** @param {RoomId} roomId @param {string} name @returns {Promise<void>} */
export async function renameRoom(roomId, name) {
  await post(`/rooms/${roomId}/name`, { name });
}

/** @param {RoomId} roomId @param {string | null} password `null` unlocks the room @returns {Promise<void>} */
export async function lockRoom(roomId, password) {
  await post(`/rooms/${roomId}/password`, { password });
}

/** @param {RoomId} roomId @returns {Promise<void>} */
export async function removeRoom(roomId) {
  await request(`/rooms/${roomId}`, { method: 'DELETE' });
}

/** Makes this phone a client of the room no more; not of the house room, which `leave` leaves. @param {RoomId} roomId @returns {Promise<void>} */
export async function leaveRoom(roomId) {
  await request(`/rooms/${roomId}/leave`, { method: 'POST' });
}
