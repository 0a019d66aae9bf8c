// PURE: values derived from a room.

import { text } from '../language/texts.js';

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Segue} Segue */
/** @typedef {import('../types.js').Snapshot} Snapshot */
/** @typedef {import('../types.js').TrackId} TrackId */

/** @param {Snapshot} room @returns {TrackId | null} */
export function currentTrackId(room) {
  return room.queue[room.queueIndex] ?? null;
}

/**
 * The track after the current one; `null` if the queue has only one track.
 * @param {Snapshot} room
 * @returns {TrackId | null}
 */
export function nextUpId(room) {
  return room.queue.length > 1 ? trackIdAfter(room, currentTrackId(room)) : null;
}

/**
 * The track after `trackId` in the circular queue.
 * @param {Snapshot} room
 * @param {TrackId | null} trackId
 * @returns {TrackId | null}
 */
export function trackIdAfter(room, trackId) {
  const index = trackId === null ? -1 : room.queue.indexOf(trackId);
  return room.queue[(index + 1) % room.queue.length] ?? null;
}

/**
 * The first track that satisfies the predicate, in queue order: from the track after `trackId`, around the end of the
 * queue, to `trackId` itself.
 * @param {Snapshot} room
 * @param {TrackId} trackId
 * @param {(trackId: TrackId) => boolean} predicate
 * @returns {TrackId | null}
 */
export function firstTrackIdAfter(room, trackId, predicate) {
  const from = room.queue.indexOf(trackId) + 1;
  return [...room.queue.slice(from), ...room.queue.slice(0, from)].find(predicate) ?? null;
}

/** The whole circular queue, starting with the current track. @param {Snapshot} room @returns {TrackId[]} */
export function queueFromCurrent(room) {
  return [...room.queue.slice(room.queueIndex), ...room.queue.slice(0, room.queueIndex)];
}

/** @param {Snapshot} room @returns {MemberId[]} members of the open barrier that are not ready */
export function awaitedMemberIds(room) {
  const { barrier } = room;
  return barrier ? barrier.members.filter((memberId) => !barrier.ready.includes(memberId)) : [];
}

/** Whether the room plays, or will play as soon as the open barrier is released. @param {Snapshot} room */
export function isPlayingOrStarting(room) {
  return room.playState.mode === 'playing' || room.barrier !== null;
}

/**
 * The announced segue; `null` if there is none, or if a later event has invalidated it (see `Segue`).
 * @param {Snapshot} room
 * @returns {Segue | null}
 */
export function validSegue(room) {
  const { segue } = room.live;
  return segue && segue.eventCount === room.eventCount ? segue : null;
}

/**
 * Whether another phone plays the room's track, by that phone's latest report.
 * @param {Snapshot} room
 * @param {MemberId | null} ownMemberId
 */
export function isOtherPhoneSounding(room, ownMemberId) {
  const isSounding = (/** @type {[MemberId, import('../types.js').ConnectedMember]} */ [memberId, { role, playable, sync }]) =>
    memberId !== ownMemberId && role === 'listener' && playable && typeof sync?.offMs === 'number' && !sync.waitsForTap;
  return Object.entries(room.live.listeners).some(isSounding);
}

/**
 * Whether another phone is expected to play the current track, although it may not have reported that yet.
 * @param {Snapshot} room
 * @param {MemberId | null} ownMemberId
 */
export function isOtherPhoneExpected(room, ownMemberId) {
  return Object.entries(room.live.listeners).some(
    ([memberId, { role, playable, sync }]) => memberId !== ownMemberId && role === 'listener' && playable && !sync?.waitsForTap,
  );
}

/** @param {Snapshot} room @param {MemberId} memberId */
export function memberName(room, memberId) {
  return room.clients[memberId]?.name || text('member.unnamed', { number: String(memberNumber(memberId)) });
}

/** Members are numbered in the order of pairing. @param {MemberId} memberId */
export function memberNumber(memberId) {
  return Number(memberId.replace(/^m/, ''));
}

/**
 * This phone's speaker delay in milliseconds: how much later than the other phones' its speaker sounds.
 * @param {Pick<import('../types.js').AppState, 'room' | 'memberId' | 'trialDelayMs'>} state
 */
export function ownDelayMs({ room, memberId, trialDelayMs }) {
  return trialDelayMs ?? room?.clients[memberId ?? '']?.delayMs ?? 0;
}

/**
 * A download's progress in whole percent, rounded down so that an incomplete download never shows 100.
 * @param {number} receivedBytes
 * @param {number} size in bytes
 */
export function percent(receivedBytes, size) {
  return size > 0 ? Math.min(100, Math.floor((receivedBytes / size) * 100)) : 0;
}
