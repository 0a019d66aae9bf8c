// PURE: what a message of the event stream says about other people, in one sentence.

import { formatTime } from '../format.js';
import { djOf } from './rules.js';
import { currentTrackId, memberName } from './selectors.js';

/** @typedef {import('../language/texts.js').Message} Message */
/** @typedef {import('../types.js').EventMessage} EventMessage */
/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Room} Room */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * @param {EventMessage} message
 * @param {Room} room before the message
 * @param {Pick<import('../types.js').AppState, 'memberId' | 'index'>} state
 * @returns {Message | null} `null` if the server or this phone caused the event, or the event is of no interest to people
 */
export function happeningIn({ event, payload }, room, { memberId, index }) {
  const titleOf = (/** @type {TrackId | null} */ trackId) => index.get(trackId ?? '')?.tags.title ?? '…';
  const ruling = rulingIn(event, payload, room, memberId, titleOf);
  if (ruling) return ruling;
  const by = /** @type {MemberId | null | undefined} */ (payload['by']);
  if (!by || by === memberId || !(by in room.clients)) return null;
  const name = memberName(room, by);
  const trackIds = /** @type {TrackId[]} */ (payload['trackIds'] ?? [payload['trackId']]);
  const title = titleOf(trackIds[0] ?? null);
  const count = trackIds.length;
  switch (event) {
    case 'queue.picked':
      return count === 1 ? { key: 'happening.added', values: { name, title } } : { key: 'happening.addedTracks', values: { name, count } };
    case 'queue.unpicked':
      return count === 1 ? { key: 'happening.removed', values: { name, title } } : { key: 'happening.removedTracks', values: { name, count } };
    case 'queue.nudged':
      return { key: 'happening.nudged', values: { name, title } };
    case 'queue.moved':
      return { key: 'happening.moved', values: { name, title } };
    case 'queue.advanced':
      return advanceOf(String(payload['reason']), name, title);
    case 'queue.shuffled':
      return { key: 'happening.shuffled', values: { name } };
    case 'queue.sorted':
      return { key: 'happening.sorted', values: { name } };
    case 'queue.undone':
      return { key: 'happening.undone', values: { name } };
    case 'rules.changed':
      return { key: 'happening.rules', values: { name } };
    case 'playback.paused':
      return { key: 'happening.paused', values: { name } };
    case 'playback.seeked':
      return { key: 'happening.seeked', values: { name, position: formatTime(Number(payload['anchorPositionSec'])) } };
    case 'barrier.opened':
      // A barrier for a new track follows another event, which says more.
      return payload['type'] === 'resume' && payload['trackId'] === currentTrackId(room) ? { key: 'happening.played', values: { name } } : null;
    default:
      return null;
  }
}

/**
 * What concerns everyone, also who caused it: a vote that has succeeded, another DJ, and what became of this phone.
 * @param {string} event
 * @param {EventMessage['payload']} payload
 * @param {Room} room before the message
 * @param {MemberId | null} ownMemberId
 * @param {(trackId: TrackId | null) => string} titleOf
 * @returns {Message | null}
 */
function rulingIn(event, payload, room, ownMemberId, titleOf) {
  if (event === 'queue.advanced') return payload['reason'] === 'voted' ? { key: 'happening.voted', values: { title: titleOf(currentTrackId(room)) } } : null;
  const memberId = /** @type {MemberId | null} */ (payload['memberId'] ?? null);
  const isBySelf = payload['by'] === ownMemberId;
  if (event === 'dj.changed') return djChange(String(payload['reason']), memberId ?? djOf(room), memberId !== null, room, ownMemberId);
  if (event !== 'hosts.changed' || memberId === null || !(memberId in room.clients)) return null;
  const isHost = payload['host'] === true;
  // A phone becomes host by changing the first rule, which may come as a surprise.
  if (isBySelf && !(isHost && memberId === ownMemberId)) return null;
  if (memberId === ownMemberId) return { key: isHost ? 'happening.hostYou' : 'happening.hostNoMoreYou' };
  return { key: isHost ? 'happening.host' : 'happening.hostNoMore', values: { name: memberName(room, memberId) } };
}

/** The sentences that everyone is told in every view, because they say who may do what now. @type {ReadonlySet<string>} */
const RULINGS = new Set([
  'happening.voted', 'happening.elected', 'happening.electedYou', 'happening.drawn', 'happening.drawnYou', 'happening.dj', 'happening.djYou',
  'happening.djNoMore', 'happening.djNoMoreYou', 'happening.host', 'happening.hostYou', 'happening.hostNoMore', 'happening.hostNoMoreYou',
]);

/** @param {Message} message */
export function isRuling(message) {
  return typeof message !== 'string' && RULINGS.has(message.key);
}

/** For how long a sentence about a host is not replaced by the change of rules that made the host. */
const HOST_SENTENCE_MS = 3_000;

/**
 * Whether a sentence is to be shown in place of an earlier one. The change of the first rule makes a host, which says more.
 * @param {Message} message
 * @param {import('../types.js').AppState['happening']} earlier
 * @param {number} nowMs
 */
export function replaces(message, earlier, nowMs) {
  if (!earlier || nowMs - earlier.atMs > HOST_SENTENCE_MS || typeof message === 'string' || typeof earlier.message === 'string') return true;
  return message.key !== 'happening.rules' || !earlier.message.key.startsWith('happening.host');
}

/** @type {Record<string, [import('../language/texts.js').TextKey, import('../language/texts.js').TextKey]>} the sentences about another member and about this phone's */
const DJ_SENTENCES = {
  elected: ['happening.elected', 'happening.electedYou'],
  random: ['happening.drawn', 'happening.drawnYou'],
  made: ['happening.dj', 'happening.djYou'],
  noMore: ['happening.djNoMore', 'happening.djNoMoreYou'],
};

/**
 * @param {string} reason
 * @param {MemberId | null} memberId the new DJ, or the one that is DJ no more
 * @param {boolean} isNew
 * @param {Room} room before the message
 * @param {MemberId | null} ownMemberId
 * @returns {Message | null}
 */
function djChange(reason, memberId, isNew, room, ownMemberId) {
  if (memberId === null || !(memberId in room.clients)) return null;
  const [aboutOther, aboutThisPhone] = /** @type {[import('../language/texts.js').TextKey, import('../language/texts.js').TextKey]} */ (
    isNew ? (DJ_SENTENCES[reason] ?? DJ_SENTENCES['made']) : DJ_SENTENCES['noMore']
  );
  return memberId === ownMemberId ? { key: aboutThisPhone } : { key: aboutOther, values: { name: memberName(room, memberId) } };
}

/** @param {string} reason @param {string} name @param {string} title of the new current track @returns {Message | null} */
function advanceOf(reason, name, title) {
  if (reason === 'next') return { key: 'happening.skipped', values: { name } };
  if (reason === 'previous') return { key: 'happening.previous', values: { name } };
  return reason === 'play-now' ? { key: 'happening.playedNow', values: { name, title } } : null;
}
