// PURE: the chat messages that the page knows, oldest first.

import { isHost, rulesOf } from './rules.js';

/** @typedef {import('../types.js').ChatMessage} ChatMessage */
/** @typedef {import('../types.js').MemberId} MemberId */

/** @typedef {import('../types.js').Snapshot} Snapshot */

/** The server keeps as many. */
const MAX_MESSAGES = 200;

/** @param {readonly ChatMessage[]} messages @param {ChatMessage} message @returns {readonly ChatMessage[]} */
export function withMessage(messages, message) {
  if (messages.some(({ id }) => id === message.id)) return messages;
  return [...messages, message].sort((a, b) => a.id - b.id).slice(-MAX_MESSAGES);
}

/** @param {readonly ChatMessage[]} messages @param {number} id @returns {readonly ChatMessage[]} */
export function withoutMessage(messages, id) {
  return messages.some((message) => message.id === id) ? messages.filter((message) => message.id !== id) : messages;
}

/**
 * The id after which the server is to list the messages, so that the response has all that the page knows and those that it has
 * missed: messages may have been removed meanwhile. `null`: all messages.
 * @param {readonly ChatMessage[]} messages
 */
export function firstMissableId(messages) {
  const oldest = messages[0];
  return oldest ? oldest.id - 1 : null;
}

/**
 * The messages after a response of the server to `firstMissableId`.
 * @param {readonly ChatMessage[]} fetched
 * @param {readonly ChatMessage[]} arrived those that the event stream delivered during the request
 * @param {ReadonlySet<number>} removedIds those that were removed during the request
 */
export function mergeFetched(fetched, arrived, removedIds) {
  const kept = fetched.filter(({ id }) => !removedIds.has(id));
  return arrived.reduce(withMessage, /** @type {readonly ChatMessage[]} */ (kept));
}

/**
 * How many messages of others came after the last one that was read.
 * @param {readonly ChatMessage[]} messages
 * @param {number | null} readId
 * @param {MemberId | null} ownMemberId
 */
export function unreadCount(messages, readId, ownMemberId) {
  return messages.filter(({ id, memberId }) => id > (readId ?? 0) && memberId !== ownMemberId).length;
}

/** Whether the rules permit messages. @param {Snapshot | null} room */
export function isChatOn(room) {
  return room !== null && rulesOf(room).chat;
}

/** Whether the member may remove the message: its author and hosts may. @param {ChatMessage} message @param {Snapshot | null} room @param {MemberId | null} memberId */
export function isRemovable(message, room, memberId) {
  return message.memberId === memberId || (room !== null && isHost(room, memberId));
}
