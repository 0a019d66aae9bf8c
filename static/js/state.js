// PURE: snapshot + message → snapshot, and what can be read off a snapshot. No network, no clock,
// no DOM.

import { applyPatch } from './jsonpatch.js';

/** @typedef {import('./types.js').Json} Json */
/** @typedef {import('./types.js').Live} Live */
/** @typedef {import('./types.js').MemberId} MemberId */
/** @typedef {import('./types.js').Message} Message */
/** @typedef {import('./types.js').PatchOperation} PatchOperation */
/** @typedef {import('./types.js').Room} Room */
/** @typedef {import('./types.js').Segue} Segue */
/** @typedef {import('./types.js').Snapshot} Snapshot */
/** @typedef {import('./types.js').Track} Track */
/** @typedef {import('./types.js').TrackId} TrackId */

/** Live events: they carry the current count and change nothing durable. */
const LIVE_EVENTS = new Set(['presence', 'progress', 'segue', 'tuning', 'library.scanning', 'server.closing']);

/** Events after which the music is somewhere else, from the moment that they name. */
const STARTS = new Set(['barrier.release', 'playback.seeked']);

/** Events after which nothing moves. */
const STOPS = new Set(['barrier.opened', 'playback.paused', 'playback.parked', 'queue.advanced']);

/**
 * @param {Snapshot} snapshot
 * @returns {Room}
 */
export function enter(snapshot) {
  return { ...snapshot, arrivedMs: null };
}

/**
 * What a message makes of the room: the next room, the same one (nothing new), or `null` (it does
 * not fit: something was missed, and only a fresh snapshot helps).
 * @param {Room} room
 * @param {Message} message
 * @param {number} nowMs this page's clock
 * @returns {Room | null}
 */
export function fold(room, message, nowMs) {
  if (message.event === 'snapshot') {
    return enter(/** @type {Snapshot} */ (/** @type {unknown} */ (message.payload)));
  }
  if (LIVE_EVENTS.has(message.event)) return foldLive(room, message);
  if (message.eventCount <= room.eventCount) return room;
  if (message.eventCount > room.eventCount + 1) return null;
  return foldDurable(room, message, nowMs);
}

/**
 * @param {Room} room
 * @param {Message} message
 * @returns {Room | null}
 */
function foldLive(room, message) {
  if (message.eventCount > room.eventCount) return null;
  const current = message.eventCount === room.eventCount;
  switch (message.event) {
    case 'presence':
    case 'progress': {
      const live = /** @type {Live} */ (/** @type {unknown} */ (message.payload));
      return { ...room, live: current ? live : { ...room.live, listeners: live.listeners } };
    }
    case 'segue': {
      if (!current) return room;
      const { trackId, anchorAtMs } = /** @type {Segue} */ (/** @type {unknown} */ (message.payload));
      const segue = { trackId, anchorAtMs, eventCount: message.eventCount };
      return { ...room, live: { ...room.live, segue } };
    }
    default:
      return room;
  }
}

/**
 * @param {Room} room
 * @param {Message} message
 * @param {number} nowMs
 * @returns {Room | null}
 */
function foldDurable(room, message, nowMs) {
  const { live, arrivedMs, ...durable } = room;
  const patch = /** @type {PatchOperation[]} */ (message.payload['patch'] ?? []);
  let next;
  try {
    next = applyPatch(/** @type {Json} */ (/** @type {unknown} */ (durable)), patch);
  } catch {
    return null;
  }
  const snapshot = /** @type {Snapshot} */ (/** @type {unknown} */ (next));
  const moved = { ...snapshot, eventCount: message.eventCount };
  const { event } = message;
  if (STARTS.has(event)) {
    const anchorAtMs = /** @type {number | null} */ (message.payload['anchorAtMs'] ?? null);
    const moves = moved.playState.mode === 'playing';
    return { ...moved, live: { ...live, anchorAtMs }, arrivedMs: moves ? nowMs : null };
  }
  if (STOPS.has(event)) {
    return { ...moved, live: { ...live, anchorAtMs: null }, arrivedMs: null };
  }
  return { ...moved, live, arrivedMs };
}

/**
 * @param {Snapshot} room
 * @returns {TrackId | null}
 */
export function currentTrack(room) {
  return room.queue[room.queueIndex] ?? null;
}

/**
 * The track after the current one; `null` where the ring has no other.
 * @param {Snapshot} room
 * @returns {TrackId | null}
 */
export function nextUp(room) {
  return room.queue.length > 1 ? trackAfter(room, currentTrack(room)) : null;
}

/**
 * @param {Snapshot} room
 * @param {TrackId | null} trackId
 * @returns {TrackId | null}
 */
export function trackAfter(room, trackId) {
  const at = trackId === null ? -1 : room.queue.indexOf(trackId);
  return room.queue[(at + 1) % room.queue.length] ?? null;
}

/**
 * The first track that passes, in play order after `trackId` and round to it again.
 * @param {Snapshot} room
 * @param {TrackId} trackId
 * @param {(trackId: TrackId) => boolean} passes
 * @returns {TrackId | null}
 */
export function firstAfter(room, trackId, passes) {
  const from = room.queue.indexOf(trackId) + 1;
  return [...room.queue.slice(from), ...room.queue.slice(0, from)].find(passes) ?? null;
}

/**
 * The queue in play order: the current track first, once round.
 * @param {Snapshot} room
 * @returns {TrackId[]}
 */
export function ringOrder(room) {
  return [...room.queue.slice(room.queueIndex), ...room.queue.slice(0, room.queueIndex)];
}

/**
 * @param {Snapshot} room
 * @returns {MemberId[]} those that the open barrier still waits for
 */
export function waitedFor(room) {
  const { barrier } = room;
  return barrier ? barrier.members.filter((member) => !barrier.ready.includes(member)) : [];
}

/**
 * Whether the room means to play: it does, or it will as soon as all are ready.
 * @param {Snapshot} room
 */
export function wantsToPlay(room) {
  return room.playState.mode === 'playing' || room.barrier !== null;
}

/**
 * The promise of what comes next, if it still holds.
 * @param {Snapshot} room
 * @returns {Segue | null}
 */
export function segueNow(room) {
  const { segue } = room.live;
  return segue && segue.eventCount === room.eventCount ? segue : null;
}

/**
 * @param {Snapshot} room
 * @param {MemberId} member
 */
export function memberName(room, member) {
  return room.clients[member]?.name || `Phone ${member.replace(/^m/, '')}`;
}

/**
 * Everybody else who is paired, in the order of pairing, and whether they are here.
 * @param {Snapshot} room
 * @param {MemberId | null} you
 * @returns {{member: MemberId, name: string, here: boolean}[]}
 */
export function pairedRows(room, you) {
  const others = Object.keys(room.clients).filter((member) => member !== you);
  return others
    .sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)))
    .map((member) => ({ member, name: memberName(room, member), here: member in room.live.listeners }));
}

/**
 * How much later than others this phone's speaker sounds, in milliseconds.
 * @param {Pick<import('./types.js').AppState, 'room' | 'memberId' | 'trialDelayMs'>} state
 */
export function ownDelay({ room, memberId, trialDelayMs }) {
  return trialDelayMs ?? room?.clients[memberId ?? '']?.delayMs ?? 0;
}

/**
 * @typedef {object} ListenerRow
 * @property {MemberId} member
 * @property {string} name
 * @property {boolean} you
 * @property {boolean} waitedFor
 * @property {'remote' | 'unable' | 'downloading' | 'ready' | 'waiting' | 'locked' | 'playing' | 'away'} doing
 * @property {number} percent Of the download that it is waited for or comes in late with.
 * @property {number | null} offMs How far it is off the room, as it says itself; `null` while it does not sound.
 */

/**
 * Who is here, in the order of pairing, and what each is doing; then who has been here and is away.
 * @param {Snapshot} room
 * @param {MemberId | null} you
 * @param {boolean} locked Whether your phone is silent until you tap: known here sooner than told by the server.
 * @param {Iterable<MemberId>} [met] Who has been here; those who are paired no more are not away but gone.
 * @returns {ListenerRow[]}
 */
export function listenerRows(room, you, locked, met = []) {
  const current = currentTrack(room);
  const waited = new Set(waitedFor(room));
  const number = (/** @type {MemberId} */ member) => Number(member.slice(1));
  const here = Object.entries(room.live.listeners)
    .sort(([a], [b]) => number(a) - number(b))
    .map(([member, listener]) => {
      const { download } = listener;
      const fetching = download !== null && download.trackId === current;
      const does = doing(room, listener, fetching, waited.has(member));
      return {
        member,
        name: memberName(room, member),
        you: member === you,
        waitedFor: waited.has(member),
        doing: does === 'playing' && (member === you ? locked : listener.sync?.waitsForTap) ? 'locked' : does,
        percent: fetching ? percent(download.receivedBytes, download.size) : 0,
        offMs: does === 'playing' ? (listener.sync?.offMs ?? null) : null,
      };
    });
  const away = [...met]
    .filter((member) => member in room.clients && !(member in room.live.listeners))
    .sort((a, b) => number(a) - number(b))
    .map((member) => ({
      member,
      name: memberName(room, member),
      you: member === you,
      waitedFor: waited.has(member),
      doing: /** @type {const} */ ('away'),
      percent: 0,
      offMs: null,
    }));
  return [...here, ...away];
}

/**
 * @param {Snapshot} room
 * @param {import('./types.js').Listener} listener
 * @param {boolean} fetching
 * @param {boolean} waited
 * @returns {ListenerRow['doing']}
 */
function doing(room, listener, fetching, waited) {
  if (listener.role === 'remote') return 'remote';
  if (!listener.playable) return 'unable';
  if (fetching) return 'downloading';
  if (waited) return 'waiting';
  return room.playState.mode === 'playing' ? 'playing' : 'ready';
}

/**
 * Whole percent, and never 100 before the end.
 * @param {number} received
 * @param {number} size
 */
export function percent(received, size) {
  return size > 0 ? Math.min(100, Math.floor((received / size) * 100)) : 0;
}

/**
 * @param {readonly Track[]} tracks
 * @returns {Map<TrackId, Track>}
 */
export function byId(tracks) {
  return new Map(tracks.map((track) => [track.trackId, track]));
}
