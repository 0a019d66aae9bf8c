// PURE: what this phone may do now, and if not, who may. The server decides by the same rules (docs/api.md); the page shows the
// answer before somebody presses.

import { formatNames } from '../format.js';
import { pickOf, picksOf } from './picks.js';
import { canSkipTogether, djOf, hasHostRights, hostsOf, isHeldHost, isHost, rulesOf } from './rules.js';
import { memberName } from './selectors.js';
import { hasVote } from './votes.js';

/** @typedef {import('../language/texts.js').Message} Message */
/** @typedef {import('../types.js').Command} Command */
/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Snapshot} Snapshot */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * What the rules may reserve. `control`: playing, pausing, seeking, skipping, shuffling; `pick`, `nudge`, `unpick`, `move`: as the
 * commands; `setRules`: also a new pairing code; `setHosts`; `setDj`: making a listener DJ, or removing the DJ; `drawDj`: by lot; `unpair`:
 * removing other phones; `upload`; `invite`: seeing the pairing code; `vote`: for a DJ and for skipping; `stopHosting`; `removeRoom`:
 * removing a damaged room; only with the snapshot of the house room.
 * @typedef {'control' | 'pick' | 'nudge' | 'unpick' | 'move' | 'setRules' | 'setHosts' | 'setDj' | 'drawDj' | 'unpair' | 'upload' | 'invite' | 'vote' | 'stopHosting' | 'removeRoom'} Right
 */

/** @type {readonly Right[]} */
export const RIGHTS = ['control', 'pick', 'nudge', 'unpick', 'move', 'setRules', 'setHosts', 'setDj', 'drawDj', 'unpair', 'upload', 'invite', 'vote', 'stopHosting', 'removeRoom'];

/** @param {Snapshot} room @returns {Message} */
function onlyHosts(room) {
  const hosts = hostsOf(room);
  return hosts.length === 0 ? { key: 'reason.noHost' } : { key: 'reason.hosts', values: { count: hosts.length, names: namesOf(room, hosts) } };
}

/** Who controls the music while the rules reserve that for hosts. @param {Snapshot} room @returns {Message} */
export function controllingHosts(room) {
  const hosts = hostsOf(room);
  return hosts.length === 0 ? { key: 'control.noHost' } : { key: 'control.hosts', values: { count: hosts.length, names: namesOf(room, hosts) } };
}

/** @param {Snapshot} room @param {readonly MemberId[]} memberIds */
function namesOf(room, memberIds) {
  return formatNames(memberIds.map((memberId) => memberName(room, memberId)));
}

/** Only the DJ, besides hosts. @param {Snapshot} room @returns {Message} */
function onlyDj(room) {
  const dj = djOf(room);
  return dj === null ? onlyHosts(room) : { key: 'dj.is', values: { name: memberName(room, dj) } };
}

/** @param {Snapshot} room @param {MemberId | null} memberId @param {'everyone' | 'dj' | 'hosts'} rule @returns {Message | null} */
function reservedFor(room, memberId, rule) {
  if (rule === 'everyone' || isHost(room, memberId)) return null;
  if (rule === 'hosts') return onlyHosts(room);
  const dj = djOf(room);
  // Without a DJ, everyone may.
  return dj === null || dj === memberId ? null : onlyDj(room);
}

/** @param {Snapshot} room @param {MemberId | null} memberId @returns {Message | null} */
function againstChangingOthersPicks(room, memberId) {
  if (rulesOf(room).control === 'everyone' || isHost(room, memberId) || djOf(room) === memberId) return null;
  const dj = djOf(room);
  const others = new Set([...(dj === null ? [] : [dj]), ...hostsOf(room)]);
  return others.size === 0 ? onlyHosts(room) : { key: 'reason.notYours', values: { names: namesOf(room, [...others]) } };
}

/**
 * Why the member may not do something now, and who may; `null` if the member may.
 * @param {Snapshot} room
 * @param {MemberId | null} memberId
 * @param {Right} right
 * @param {readonly TrackId[]} [trackIds] of `unpick` and `move`: the picks; without them, picks of others. Of `nudge`: the track; without
 *   it, one that is no pick
 * @returns {Message | null}
 */
export function objection(room, memberId, right, trackIds) {
  const { control, picks, order, uploads, invite } = rulesOf(room);
  switch (right) {
    case 'control':
      return reservedFor(room, memberId, control);
    case 'pick':
      return reservedFor(room, memberId, picks) ?? againstMorePicks(room, memberId, 1);
    case 'nudge':
      if (order !== 'first' && !isHost(room, memberId) && djOf(room) !== memberId) return onlyDj(room);
      return reservedFor(room, memberId, picks) ?? (trackIds?.every((trackId) => pickOf(room, trackId)) ? null : againstMorePicks(room, memberId, 1));
    case 'unpick':
      return ownsAll(room, memberId, trackIds) ? null : againstChangingOthersPicks(room, memberId);
    case 'move':
      if (order !== 'first') return { key: order === 'turns' ? 'reason.orderTurns' : 'reason.orderVotes' };
      return ownsAll(room, memberId, trackIds) ? null : againstChangingOthersPicks(room, memberId);
    case 'upload':
      return reservedFor(room, memberId, uploads);
    case 'invite':
      return reservedFor(room, memberId, invite);
    case 'vote':
      return hasVote(room, memberId) ? null : { key: 'reason.remoteVote' };
    case 'stopHosting':
      return isHeldHost(room, memberId) ? { key: 'problem.last-host' } : null;
    case 'setRules':
    case 'unpair':
      return hasHostRights(room, memberId) ? null : onlyHosts(room);
    case 'setHosts':
    case 'drawDj':
    case 'removeRoom':
      return isHost(room, memberId) ? null : onlyHosts(room);
    case 'setDj':
      return isHost(room, memberId) || (memberId !== null && djOf(room) === memberId) ? null : onlyDj(room);
  }
}

/** @param {Snapshot} room @param {MemberId | null} memberId @param {readonly TrackId[] | undefined} trackIds */
function ownsAll(room, memberId, trackIds) {
  return memberId !== null && trackIds !== undefined && trackIds.every((trackId) => pickOf(room, trackId)?.by === memberId);
}

/**
 * Why the member may not have further picks waiting.
 * @param {Snapshot} room
 * @param {MemberId | null} memberId
 * @param {number} addedCount
 * @returns {Message | null}
 */
function againstMorePicks(room, memberId, addedCount) {
  return addedCount > freePickCount(room, memberId) ? { key: 'reason.maxPicks', values: { count: rulesOf(room).maxPicks } } : null;
}

/** How many further picks the member may have waiting. @param {Snapshot} room @param {MemberId | null} memberId */
export function freePickCount(room, memberId) {
  const { maxPicks } = rulesOf(room);
  if (maxPicks === 0 || isHost(room, memberId) || djOf(room) === memberId) return Infinity;
  return Math.max(0, maxPicks - picksOf(room).filter(({ by }) => by === memberId).length);
}

/** While everyone may skip, a vote is recorded, and skips nothing. @param {Snapshot} room @returns {Message | null} */
function againstSkipVotes(room) {
  return rulesOf(room).control === 'everyone' || canSkipTogether(room) ? null : { key: 'problem.skip-votes-off' };
}

/** The right that each command needs. Votes for picks, Start now and the end of a track need none. @type {Partial<Record<Command['name'], Right>>} */
const RIGHT_OF_COMMAND = {
  play: 'control', pause: 'control', seek: 'control', next: 'control', previous: 'control', 'play-now': 'control', shuffle: 'control', sort: 'control',
  pick: 'pick', nudge: 'nudge', unpick: 'unpick', move: 'move', rules: 'setRules', hosts: 'setHosts', dj: 'setDj', 'dj/random': 'drawDj', 'vote-dj': 'vote', 'vote-skip': 'vote',
};

/**
 * Why the member may not give the command now; `null` if the member may.
 * @param {Snapshot} room
 * @param {MemberId | null} memberId
 * @param {Command} command
 */
export function objectionTo(room, memberId, command) {
  const right = RIGHT_OF_COMMAND[command.name];
  if (right === undefined || command.ended !== undefined) return null;
  const trackIds = command.trackIds ?? (command.trackId === undefined ? undefined : [command.trackId]);
  const reserved = objection(room, memberId, right, trackIds);
  if (reserved) return reserved;
  if (command.name === 'vote-skip') return againstSkipVotes(room);
  if (command.name === 'pick') return againstMorePicks(room, memberId, command.trackIds?.length ?? 0);
  const stops = command.name === 'hosts' && command.host === false && command.memberId === memberId;
  return stops ? objection(room, memberId, 'stopHosting') : null;
}
