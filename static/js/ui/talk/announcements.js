// Announces chat messages and reactions to screen readers, in a polite live region of their own and seldom: what comes within an
// interval is announced together, so that the status of the music is not drowned.

import { formatList, formatNumber } from '../../format.js';
import { text } from '../../language/texts.js';
import { addCounts, countTexts } from '../../room/reactions.js';
import { elementById, setText } from '../dom.js';

/** @typedef {import('../../types.js').ChatMessage} ChatMessage */
/** @typedef {import('../../room/reactions.js').ReactionCounts} ReactionCounts */

/** The shortest time between two announcements. */
const INTERVAL_MS = 6_000;

export function createTalkAnnouncements() {
  const region = elementById('talk-announcement', HTMLElement);
  /** @type {ChatMessage[]} */
  let messages = [];
  /** @type {ReactionCounts} */
  let counts = {};
  let isWaiting = false;

  function announce() {
    if (isWaiting) return;
    const announcement = announcementText(messages, counts);
    [messages, counts] = [[], {}];
    // An empty region announces nothing, and lets the same text be announced again.
    setText(region, announcement);
    if (announcement === '') return;
    isWaiting = true;
    setTimeout(() => {
      isWaiting = false;
      announce();
    }, INTERVAL_MS);
  }

  return {
    /** @param {ChatMessage} message */
    addMessage: (message) => {
      messages.push(message);
      announce();
    },
    /** @param {ReactionCounts} more */
    addReactions: (more) => {
      counts = addCounts(counts, more);
      announce();
    },
  };
}

/**
 * @param {readonly ChatMessage[]} messages
 * @param {ReactionCounts} counts
 * @returns {string} empty if there is nothing to announce
 */
export function announcementText(messages, counts) {
  const [first] = messages;
  const sentences = [];
  if (first && messages.length === 1) sentences.push(text('chat.said', { name: authorName(first), text: first.text }));
  if (messages.length > 1) sentences.push(text('chat.newMessages', { count: messages.length }));
  const reactions = countTexts(counts, formatNumber);
  if (reactions.length > 0) sentences.push(text('react.counts', { counts: formatList(reactions) }));
  return sentences.join(' ');
}

/** The name of a message's author, as the author was called then. @param {ChatMessage} message */
export function authorName({ name, memberId }) {
  return name || text('member.unnamed', { number: memberId.slice(1) });
}
