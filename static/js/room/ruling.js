// PURE: how hosts, rules, the DJ and votes change. What the server alone decides, such as the result of a vote, is left to it.

import { djOf, hostsOf, rulesOf } from './rules.js';
import { picksOf } from './picks.js';

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Rules} Rules */
/** @typedef {import('../types.js').Snapshot} Snapshot */

/**
 * Other rules. Who changes a rule while there is no host becomes host.
 * @template {Snapshot} R
 * @param {R} room
 * @param {Partial<Rules>} changes
 * @param {MemberId | null} by
 * @returns {R}
 */
export function withRules(room, changes, by) {
  const hosts = hostsOf(room).length === 0 && by !== null ? [by] : hostsOf(room);
  const rules = { ...rulesOf(room), ...changes };
  const picks = rules.order === 'first' ? picksOf(room).map((pick) => (pick.pinned ? { ...pick, pinned: false } : pick)) : picksOf(room);
  return { ...room, hosts, rules, picks };
}

/** @template {Snapshot} R @param {R} room @param {MemberId} memberId @param {boolean} host @returns {R} */
export function withHost(room, memberId, host) {
  const others = hostsOf(room).filter((other) => other !== memberId);
  // The server may refuse that the last host stops.
  if (!host && others.length === 0) return room;
  return { ...room, hosts: host ? [...others, memberId] : others };
}

/** Another DJ, which ends all votes. @template {Snapshot} R @param {R} room @param {MemberId | null} memberId @returns {R} */
export function withDj(room, memberId) {
  return djOf(room) === memberId ? room : { ...room, dj: memberId, djVotes: {} };
}

/** @template {Snapshot} R @param {R} room @param {MemberId} voterId @param {MemberId | null} memberId @returns {R} */
export function withDjVote(room, voterId, memberId) {
  return { ...room, djVotes: { ...room.djVotes, [voterId]: memberId } };
}

/** @template {Snapshot} R @param {R} room @param {MemberId} voterId @param {boolean} up @returns {R} */
export function withSkipVote(room, voterId, up) {
  const others = (room.skipVotes ?? []).filter((other) => other !== voterId);
  return { ...room, skipVotes: up ? [...others, voterId] : others };
}
