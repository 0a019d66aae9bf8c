// PURE: the ring with its picks, and how commands change both. The ring goes on from the current track: first the picks, then
// the other tracks.

import { byVotes, withAdded } from './pick-order.js';
import { rulesOf } from './rules.js';
import { currentTrackId, queueFromCurrent, validSegue } from './selectors.js';

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').QueuePick} QueuePick */
/** @typedef {import('../types.js').Snapshot} Snapshot */
/** @typedef {import('../types.js').TrackId} TrackId */

/** What follows the picks of a room without picks, which servers of older versions have. @type {readonly QueuePick[]} */
const NO_PICKS = [];

/** @param {Pick<Snapshot, 'picks'>} room @returns {readonly QueuePick[]} */
export function picksOf(room) {
  return room.picks ?? NO_PICKS;
}

/** @param {Pick<Snapshot, 'picks'>} room @param {TrackId} trackId */
export function pickOf(room, trackId) {
  return picksOf(room).find((pick) => pick.trackId === trackId);
}

/** The tracks that follow the picks, in ring order. @param {Snapshot} room @returns {TrackId[]} */
export function libraryTrackIds(room) {
  return queueFromCurrent(room).slice(1 + picksOf(room).length);
}

/**
 * Those of the tracks that can become picks: known ones that are neither current nor picks already.
 * @param {Snapshot} room
 * @param {readonly TrackId[]} trackIds
 */
export function pickableIds(room, trackIds) {
  const known = new Set(room.queue);
  const taken = new Set([currentTrackId(room), ...picksOf(room).map(({ trackId }) => trackId)]);
  return [...new Set(trackIds)].filter((trackId) => known.has(trackId) && !taken.has(trackId));
}

/** @param {TrackId} trackId @param {MemberId | null} by @returns {QueuePick} */
function newPick(trackId, by) {
  return { trackId, by, votes: [], pinned: false };
}

/**
 * A room with other picks and, if given, another current track. The other tracks keep their order; `last` go to the end.
 * @template {Snapshot} R
 * @param {R} room
 * @param {readonly QueuePick[]} picks
 * @param {{currentId?: TrackId | null, last?: readonly TrackId[]}} [options]
 * @returns {R}
 */
function withPicks(room, picks, { currentId = currentTrackId(room), last = [] } = {}) {
  if (currentId === null) return room;
  const first = [currentId, ...picks.map(({ trackId }) => trackId)];
  const placed = new Set([...first, ...last]);
  const others = queueFromCurrent(room).filter((trackId) => !placed.has(trackId));
  return { ...room, queue: [...first, ...others, ...last], queueIndex: 0, picks };
}

/** @template {Snapshot} R @param {R} room @param {readonly TrackId[]} trackIds @param {MemberId | null} by @returns {R} */
export function withPicked(room, trackIds, by) {
  const added = pickableIds(room, trackIds);
  if (added.length === 0) return room;
  return withPicks(room, withAdded(picksOf(room), added.map((trackId) => newPick(trackId, by)), rulesOf(room).order));
}

/** @template {Snapshot} R @param {R} room @param {TrackId} trackId @param {MemberId | null} by @returns {R} */
export function withNudged(room, trackId, by) {
  if (trackId === currentTrackId(room) || !room.queue.includes(trackId)) return room;
  const others = picksOf(room).filter((pick) => pick.trackId !== trackId);
  const pinned = rulesOf(room).order !== 'first';
  return withPicks(room, [{ ...(pickOf(room, trackId) ?? newPick(trackId, by)), pinned }, ...others]);
}

/**
 * A member votes for a pick, or takes the vote back.
 * @template {Snapshot} R
 * @param {R} room
 * @param {TrackId} trackId
 * @param {MemberId} voterId
 * @param {boolean} up
 * @returns {R}
 */
export function withPickVote(room, trackId, voterId, up) {
  const pick = pickOf(room, trackId);
  if (!pick || pick.votes.includes(voterId) === up) return room;
  const votes = up ? [...pick.votes, voterId] : pick.votes.filter((other) => other !== voterId);
  const picks = picksOf(room).map((other) => (other === pick ? { ...pick, votes } : other));
  return withPicks(room, rulesOf(room).order === 'votes' ? byVotes(picks, validSegue(room)?.trackId) : picks);
}

/** @template {Snapshot} R @param {R} room @param {readonly TrackId[]} trackIds @returns {R} */
export function withUnpicked(room, trackIds) {
  const removed = picksOf(room).filter(({ trackId }) => trackIds.includes(trackId));
  if (removed.length === 0) return room;
  const kept = picksOf(room).filter((pick) => !removed.includes(pick));
  return withPicks(room, kept, { last: removed.map(({ trackId }) => trackId) });
}

/** @template {Snapshot} R @param {R} room @param {TrackId} trackId @param {TrackId | null} before @returns {R} */
export function withMoved(room, trackId, before) {
  const moved = pickOf(room, trackId);
  if (!moved || before === trackId) return room;
  const others = picksOf(room).filter((pick) => pick !== moved);
  const index = before === null ? others.length : others.findIndex((pick) => pick.trackId === before);
  if (index < 0) return room;
  return withPicks(room, [...others.slice(0, index), moved, ...others.slice(index)]);
}

/** The ring moves on by one: the first pick becomes current. @template {Snapshot} R @param {R} room @returns {R} */
export function withAdvanced(room) {
  if (room.queue.length === 0) return room;
  const [first, ...others] = picksOf(room);
  const queueIndex = (room.queueIndex + 1) % room.queue.length;
  return { ...room, queueIndex, picks: others, pickedBy: first?.by ?? null };
}

/** The track before the current one is current again, and the current one becomes the first pick. @template {Snapshot} R @param {R} room @returns {R} */
export function withPrevious(room) {
  const currentId = currentTrackId(room);
  const previousId = queueFromCurrent(room).at(-1);
  if (currentId === null || previousId === undefined || previousId === currentId) return room;
  const others = picksOf(room).filter(({ trackId }) => trackId !== previousId);
  const picks = [newPick(currentId, room.pickedBy ?? null), ...others];
  return { ...withPicks(room, picks, { currentId: previousId }), pickedBy: null };
}

/**
 * The pick before which a moved pick is to be, in a room that has changed since: the first of `followers` that is still a
 * pick. `null`: behind all picks.
 * @param {Snapshot} room
 * @param {readonly TrackId[]} followers the picks that are to follow the moved one, in order
 */
export function moveTarget(room, followers) {
  return followers.find((trackId) => pickOf(room, trackId)) ?? null;
}

/**
 * The moves by which `first` become the first picks, in this order, once those that are not picks yet have been added behind all
 * others. Either the other picks move behind them, or they move before the other picks.
 * @param {readonly TrackId[]} picks in order
 * @param {readonly TrackId[]} first
 * @param {number} maxCount of moves; if more are necessary, only the foremost tracks move
 * @param {boolean} [mayMoveOthers] whether the rules let this phone move the other picks
 * @returns {{trackId: TrackId, followers: readonly TrackId[]}[]} `followers`: see `moveTarget`
 */
export function movesToFront(picks, first, maxCount, mayMoveOthers = true) {
  const line = [...picks, ...first.filter((trackId) => !picks.includes(trackId))];
  const others = line.filter((trackId) => !first.includes(trackId));
  if (isSameOrder(line, [...first, ...others])) return [];
  const isInOrder = isSameOrder(line.filter((trackId) => first.includes(trackId)), first);
  if (mayMoveOthers && isInOrder && others.length < Math.min(first.length, maxCount)) return others.map((trackId) => ({ trackId, followers: [] }));
  return first.slice(0, maxCount).map((trackId) => ({ trackId, followers: others }));
}

/** @param {readonly TrackId[]} a @param {readonly TrackId[]} b */
function isSameOrder(a, b) {
  return a.length === b.length && a.every((trackId, i) => trackId === b[i]);
}
