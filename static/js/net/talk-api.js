// The server's endpoints for chat messages and reactions.

import { post, request } from './http.js';
import { roomPath } from './room-address.js';

/** @typedef {import('../types.js').ChatMessage} ChatMessage */

/** @param {string} text @returns {Promise<number>} the id of the message */
export async function postMessage(text) {
  return (await (await post(roomPath('/chat'), { text })).json()).id;
}

/**
 * The last messages, oldest first.
 * @param {number | null} after only those after the message with this id; `null`: all
 * @returns {Promise<ChatMessage[]>}
 */
export async function getMessages(after) {
  const query = after === null ? '' : `?after=${after}`;
  return (await request(roomPath(`/chat${query}`), { cache: 'no-store' })).json();
}

/** @param {number} id @returns {Promise<void>} */
export async function removeMessage(id) {
  await request(roomPath(`/chat/${id}`), { method: 'DELETE' });
}

/** @param {string} emoji @returns {Promise<void>} */
export async function postReaction(emoji) {
  await post(roomPath('/react'), { emoji });
}
