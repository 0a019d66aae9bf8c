// PURE: the votes of a room: for a DJ, for skipping the current track, and for picks. Shares are of the listeners that are there.

import { djOf, rulesOf } from './rules.js';

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Snapshot} Snapshot */

/** @typedef {{count: number, listenerCount: number, neededCount: number, isOwn: boolean}} Tally `isOwn`: whether this phone votes so */

/** Shares are decimal fractions, whose products with counts are not exact. */
const ROUNDING = 1e-9;

/** @param {Snapshot} room @returns {MemberId[]} */
function listenerIds(room) {
  return Object.entries(room.live.listeners).flatMap(([memberId, { role }]) => (role === 'listener' ? [memberId] : []));
}

/** Whether the votes of the member count: those of remote controls do not. @param {Snapshot} room @param {MemberId | null} memberId */
export function hasVote(room, memberId) {
  return memberId === null || room.live.listeners[memberId]?.role !== 'remote';
}

/** How many of `listenerCount` are at least the share. @param {number} share @param {number} listenerCount */
export function neededVotes(share, listenerCount) {
  return Math.max(1, Math.ceil(share * listenerCount - ROUNDING));
}

/**
 * @param {Snapshot} room
 * @param {MemberId | null} memberId
 * @param {number} share
 * @param {(memberId: MemberId) => boolean} votesSo
 * @returns {Tally}
 */
function tally(room, memberId, share, votesSo) {
  const listeners = listenerIds(room);
  return {
    count: listeners.filter(votesSo).length,
    listenerCount: listeners.length,
    neededCount: neededVotes(share, listeners.length),
    isOwn: memberId !== null && votesSo(memberId),
  };
}

/** The votes for skipping the current track. @param {Snapshot} room @param {MemberId | null} memberId */
export function skipTally(room, memberId) {
  return tally(room, memberId, rulesOf(room).skipShare, (voterId) => room.skipVotes?.includes(voterId) ?? false);
}

/** The votes for making a member DJ; of `null`: for having no DJ. @param {Snapshot} room @param {MemberId | null} memberId @param {MemberId | null} candidateId */
export function djTally(room, memberId, candidateId) {
  return tally(room, memberId, rulesOf(room).djShare, (voterId) => room.djVotes?.[voterId] === candidateId);
}

/**
 * What this phone votes for after a press: the candidate or, if that is its vote already, what keeps everything as it is.
 * @param {Snapshot} room
 * @param {MemberId | null} memberId
 * @param {MemberId | null} candidateId
 * @returns {MemberId | null}
 */
export function djVoteAfterPress(room, memberId, candidateId) {
  return djTally(room, memberId, candidateId).isOwn ? djOf(room) : candidateId;
}
