// PURE: computes the room from snapshots and event messages.

import { applyPatch } from './json-patch.js';
import { rulesOf } from './rules.js';

/** @typedef {import('../types.js').EventMessage} EventMessage */
/** @typedef {import('../types.js').Json} Json */
/** @typedef {import('../types.js').LiveState} LiveState */
/** @typedef {import('../types.js').PatchOperation} PatchOperation */
/** @typedef {import('../types.js').Room} Room */
/** @typedef {import('../types.js').Segue} Segue */
/** @typedef {import('../types.js').Snapshot} Snapshot */

/** Events that do not increase the event count, because they change no state that the server persists. */
const LIVE_EVENTS = new Set(['presence', 'progress', 'segue', 'tuning', 'library.scanning', 'uploads', 'server.closing']);

/**
 * Events that set a new anchor. Their `anchorAtMs` is `null` or absent if the room is paused or the server runs with
 * `--alignment event`.
 */
const ANCHORING_EVENTS = new Set(['barrier.release', 'playback.seeked']);

/** Events that stop playback. */
const STOPPING_EVENTS = new Set(['barrier.opened', 'playback.paused', 'playback.parked', 'queue.advanced']);

/** @param {Snapshot} snapshot @returns {Room} */
export function roomFromSnapshot(snapshot) {
  return { ...snapshot, anchorArrivedMs: null };
}

/**
 * Applies one event message. Returns the same room if the message contains nothing new, and `null` if an earlier
 * message is missing or the patch does not fit the room: the caller then has to fetch a snapshot.
 * @param {Room} room
 * @param {EventMessage} message
 * @param {number} nowMs page clock
 * @returns {Room | null}
 */
export function applyMessage(room, message, nowMs) {
  if (message.event === 'snapshot') {
    return roomFromSnapshot(/** @type {Snapshot} */ (/** @type {unknown} */ (message.payload)));
  }
  if (LIVE_EVENTS.has(message.event)) return applyLiveEvent(room, message);
  if (message.eventCount <= room.eventCount) return room;
  if (message.eventCount > room.eventCount + 1) return null;
  return applyDurableEvent(room, message, nowMs);
}

/** @param {Room} room @param {EventMessage} message @returns {Room | null} */
function applyLiveEvent(room, message) {
  if (message.eventCount > room.eventCount) return null;
  const isCurrent = message.eventCount === room.eventCount;
  switch (message.event) {
    case 'presence':
    case 'progress': {
      const live = /** @type {LiveState} */ (/** @type {unknown} */ (message.payload));
      // The anchor and segue of an older message may have been replaced since.
      return { ...room, live: isCurrent ? live : { ...room.live, listeners: live.listeners } };
    }
    case 'segue': {
      if (!isCurrent) return room;
      const { trackId, anchorAtMs, gainDb } = /** @type {Segue} */ (/** @type {unknown} */ (message.payload));
      const segue = { trackId, anchorAtMs, gainDb, eventCount: message.eventCount };
      return { ...room, live: { ...room.live, segue } };
    }
    default:
      return room;
  }
}

/** @param {Room} room @param {EventMessage} message @param {number} nowMs @returns {Room | null} */
function applyDurableEvent(room, message, nowMs) {
  const { live: liveBefore, anchorArrivedMs, ...durableState } = room;
  const live = message.event === 'dj.changed' ? withDjCooldown(liveBefore, room, message.payload) : liveBefore;
  const patch = /** @type {PatchOperation[]} */ (message.payload['patch'] ?? []);
  let patchedState;
  try {
    patchedState = applyPatch(/** @type {Json} */ (/** @type {unknown} */ (durableState)), patch);
  } catch {
    return null;
  }
  const snapshot = /** @type {Snapshot} */ (/** @type {unknown} */ (patchedState));
  const nextState = { ...snapshot, eventCount: message.eventCount };
  if (ANCHORING_EVENTS.has(message.event)) {
    const anchorAtMs = /** @type {number | null} */ (message.payload['anchorAtMs'] ?? null);
    const isPlaying = nextState.playState.mode === 'playing';
    return { ...nextState, live: { ...live, anchorAtMs }, anchorArrivedMs: isPlaying ? nowMs : null };
  }
  if (STOPPING_EVENTS.has(message.event)) {
    return { ...nextState, live: { ...live, anchorAtMs: null }, anchorArrivedMs: null };
  }
  return { ...nextState, live, anchorArrivedMs };
}

/**
 * The DJ that others have removed cannot be DJ again for a while, unless a host makes it. The server says how long with the next live message.
 * @param {LiveState} live
 * @param {Room} room before the event
 * @param {EventMessage['payload']} payload of `dj.changed`
 * @returns {LiveState}
 */
function withDjCooldown(live, room, { memberId, reason, by }) {
  const { djCooldown = {} } = live;
  const removedId = reason === 'removed' && by !== room.dj ? room.dj : null;
  if (removedId) return { ...live, djCooldown: { ...djCooldown, [removedId]: rulesOf(room).djCooldownSec } };
  const { [String(memberId)]: _, ...others } = djCooldown;
  return { ...live, djCooldown: others };
}

/**
 * Moves the arrival time of the anchor `byMs` earlier on the page clock, for servers that send no `anchorAtMs`.
 * @param {Room} room
 * @param {number} byMs
 * @returns {Room}
 */
export function withEarlierArrival(room, byMs) {
  return { ...room, anchorArrivedMs: room.anchorArrivedMs === null ? null : room.anchorArrivedMs - byMs };
}
