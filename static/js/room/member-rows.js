// PURE: the rows of the list of connected members (labelled “Listeners” on the page) and of the list of paired devices.

import { isCompared } from './comparisons.js';
import { currentTrackId, memberName, memberNumber, percent, awaitedMemberIds } from './selectors.js';

/** @typedef {import('../types.js').ConnectedMember} ConnectedMember */
/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Snapshot} Snapshot */

/**
 * @typedef {object} MemberRow
 * @property {MemberId} memberId
 * @property {string} name
 * @property {boolean} isThisPhone
 * @property {'remote' | 'unable' | 'downloading' | 'ready' | 'awaited' | 'silent' | 'pausedAlone' | 'playing' | 'disconnected'} activity
 *   `remote`: a remote control; `unable`: the phone cannot play the current track; `ready`: has the current
 *   track while the room does not play; `awaited`: the open barrier waits for this member; `silent`: silent until a tap;
 *   `pausedAlone`: silent because this phone alone is paused.
 * @property {number} downloadPercent Progress of the current track's download, 0 while there is none.
 * @property {number | null} syncErrorMs From the member's own report; `null` while the member does not play.
 * @property {boolean} isCompared Whether the member's speaker was compared with that of another listener.
 */

/**
 * Connected members in the order of pairing, then the members of `seenMemberIds` that are not connected any more.
 * @param {Snapshot} room
 * @param {MemberId | null} ownMemberId
 * @param {{waitsForTap: boolean, pausedAlone?: boolean}} ownSync whether this phone is silent until a tap, and is so because it
 *   alone is paused; more recent than the report in `room`
 * @param {Iterable<MemberId>} [seenMemberIds] members that were connected before; those no longer paired are left out
 * @param {boolean} [hasOtherOutput] whether this phone has another output than when it was compared
 * @returns {MemberRow[]}
 */
export function memberRows(room, ownMemberId, ownSync, seenMemberIds = [], hasOtherOutput = false) {
  const awaitedIds = new Set(awaitedMemberIds(room));
  /** @param {MemberId} memberId */
  const commonFields = (memberId) => ({
    memberId,
    name: memberName(room, memberId),
    isThisPhone: memberId === ownMemberId,
    isCompared: isCompared(room, memberId) && !(hasOtherOutput && memberId === ownMemberId),
  });
  const connectedRows = Object.entries(room.live.listeners)
    .sort(([a], [b]) => memberNumber(a) - memberNumber(b))
    .map(([memberId, member]) => {
      const { download } = member;
      const isDownloadingCurrentTrack = download !== null && download.trackId === currentTrackId(room);
      const activity = activityOf(room, member, isDownloadingCurrentTrack, awaitedIds.has(memberId));
      const sync = memberId === ownMemberId ? ownSync : member.sync;
      const silence = /** @type {MemberRow['activity']} */ (sync?.pausedAlone ? 'pausedAlone' : 'silent');
      return {
        ...commonFields(memberId),
        activity: activity === 'playing' && sync?.waitsForTap ? silence : activity,
        downloadPercent: isDownloadingCurrentTrack ? percent(download.receivedBytes, download.size) : 0,
        syncErrorMs: activity === 'playing' ? (member.sync?.offMs ?? null) : null,
      };
    });
  const disconnectedRows = [...seenMemberIds]
    .filter((memberId) => memberId in room.clients && !(memberId in room.live.listeners))
    .sort((a, b) => memberNumber(a) - memberNumber(b))
    .map((memberId) => ({ ...commonFields(memberId), activity: /** @type {const} */ ('disconnected'), downloadPercent: 0, syncErrorMs: null }));
  return [...connectedRows, ...disconnectedRows];
}

/**
 * @param {Snapshot} room
 * @param {ConnectedMember} member
 * @param {boolean} isDownloadingCurrentTrack
 * @param {boolean} isAwaited
 * @returns {MemberRow['activity']}
 */
function activityOf(room, member, isDownloadingCurrentTrack, isAwaited) {
  if (member.role === 'remote') return 'remote';
  if (!member.playable) return 'unable';
  if (isDownloadingCurrentTrack) return 'downloading';
  if (isAwaited) return 'awaited';
  return room.playState.mode === 'playing' ? 'playing' : 'ready';
}

/**
 * All other paired devices, in the order of pairing, and whether each is connected.
 * @param {Snapshot} room
 * @param {MemberId | null} ownMemberId
 * @returns {{memberId: MemberId, name: string, isConnected: boolean}[]}
 */
export function pairedRows(room, ownMemberId) {
  return Object.keys(room.clients)
    .filter((memberId) => memberId !== ownMemberId)
    .sort((a, b) => memberNumber(a) - memberNumber(b))
    .map((memberId) => ({ memberId, name: memberName(room, memberId), isConnected: memberId in room.live.listeners }));
}
