// PURE: which phones' speakers were compared with others, by ear or by microphone. How well a phone follows its own clock
// says nothing about how late its speaker sounds.

import { formatList } from '../format.js';
import { text } from '../language/texts.js';
import { memberName } from './selectors.js';

/** @typedef {import('../types.js').Comparison} Comparison */
/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Snapshot} Snapshot */

/**
 * The last comparison of a phone's speaker with those of others; `null` if there is none.
 * @param {Pick<Snapshot, 'clients'>} room
 * @param {MemberId} memberId
 * @returns {Comparison | null}
 */
export function comparisonOf({ clients }, memberId) {
  return clients[memberId]?.compared ?? null;
}

/**
 * Whether a phone's speaker was compared with that of a listener who is here now.
 * @param {Pick<Snapshot, 'clients' | 'live'>} room
 * @param {MemberId | null} memberId
 */
export function isCompared(room, memberId) {
  const comparison = memberId === null ? null : comparisonOf(room, memberId);
  return comparison !== null && comparison.with.some((otherId) => room.live.listeners[otherId]?.role === 'listener');
}

/**
 * When, with whom and by what a phone's speaker was compared.
 * @param {Snapshot} room
 * @param {MemberId} memberId
 * @param {(date: Date) => string} formatDate
 */
export function comparisonText(room, memberId, formatDate) {
  const comparison = comparisonOf(room, memberId);
  if (!comparison) return text('comparison.none');
  const names = comparison.with.filter((otherId) => otherId in room.clients).map((otherId) => memberName(room, otherId));
  return text(`comparison.${comparison.by}`, { names: formatList(names) || text('comparison.phonesLeft'), date: formatDate(new Date(comparison.at)) });
}
