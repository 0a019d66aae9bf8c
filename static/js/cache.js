// PURE: which tracks this phone fetches, in which order, which it never gives up, which go first,
// and what it has to tell the server of them. Where the bytes lie is the business of cache/.

import { currentTrack, nextUp, ringOrder } from './state.js';

/** @typedef {import('./types.js').MemberId} MemberId */
/** @typedef {import('./types.js').Room} Room */
/** @typedef {import('./types.js').Snapshot} Snapshot */
/** @typedef {import('./types.js').Track} Track */
/** @typedef {import('./types.js').TrackId} TrackId */

/**
 * A track on this phone, whole or in part.
 * @typedef {object} Entry
 * @property {TrackId} trackId
 * @property {string} version
 * @property {string} mime
 * @property {number} size
 * @property {number} receivedBytes
 * @property {number} parts
 * @property {number} usedAtMs Wall clock: it has to outlive the page.
 */

/** What a phone may fill where the browser does not tell how much there is. */
export const FIXED_BUDGET_BYTES = 500e6;

/** Of what the browser offers, this much is left for it and for others. */
const SHARE = 0.8;

/** How many tracks are fetched: the current one, next-up, and one to spare for a skip. */
const AHEAD = 3;

const LAST_PLAYED = 3;

/** @param {Entry} entry */
export function isWhole(entry) {
  return entry.receivedBytes === entry.size;
}

/**
 * What to fetch, the most urgent first.
 * @param {object} scene
 * @param {Snapshot} scene.room
 * @param {ReadonlyMap<TrackId, Track>} scene.index
 * @param {ReadonlySet<TrackId>} scene.held
 * @param {ReadonlyMap<TrackId, unknown>} scene.unplayable
 * @returns {Track[]}
 */
export function wanted({ room, index, held, unplayable }) {
  const order = [...(room.barrier ? [room.barrier.trackId] : []), ...ringOrder(room).slice(0, AHEAD)];
  return [...new Set(order)]
    .filter((trackId) => !held.has(trackId) && !unplayable.has(trackId))
    .flatMap((trackId) => index.get(trackId) ?? []);
}

/**
 * What is never given up: what plays, what comes, and the last ones played.
 * @param {Snapshot} room
 * @returns {Set<TrackId>}
 */
export function pinned(room) {
  const ring = ringOrder(room);
  const played = ring.slice(1).slice(-LAST_PLAYED);
  const ids = [currentTrack(room), nextUp(room), room.barrier?.trackId, ...played];
  return new Set(ids.filter((id) => typeof id === 'string'));
}

/**
 * What must go so that `needBytes` more fit: the least recently used first, and nothing pinned.
 * @param {readonly Entry[]} entries
 * @param {ReadonlySet<TrackId>} pins
 * @param {number} needBytes
 * @param {number} budgetBytes
 * @returns {TrackId[]}
 */
export function toEvict(entries, pins, needBytes, budgetBytes) {
  let over = entries.reduce((sum, entry) => sum + entry.receivedBytes, needBytes) - budgetBytes;
  const leaving = [];
  for (const entry of entries.toSorted((a, b) => a.usedAtMs - b.usedAtMs)) {
    if (over <= 0) break;
    if (pins.has(entry.trackId)) continue;
    leaving.push(entry.trackId);
    over -= entry.receivedBytes;
  }
  return leaving;
}

/**
 * Entries that no track of the library stands behind any more.
 * @param {readonly Entry[]} entries
 * @param {ReadonlyMap<TrackId, Track>} index
 * @returns {TrackId[]}
 */
export function outdated(entries, index) {
  return entries
    .filter((entry) => index.get(entry.trackId)?.version !== entry.version)
    .map((entry) => entry.trackId);
}

/**
 * @param {{quota?: number, usage?: number} | null} estimate `navigator.storage.estimate()`
 * @param {number} ownBytes what this app holds of it
 */
export function budget(estimate, ownBytes) {
  if (!estimate?.quota) return FIXED_BUDGET_BYTES;
  const free = Math.max(0, estimate.quota - (estimate.usage ?? 0));
  return (free + ownBytes) * SHARE;
}

/**
 * What the server should hear of now: the tracks that matter and are decided here, unless it was
 * told on this connection; and the barrier's, as long as it counts this phone as missing.
 * @param {object} scene
 * @param {Snapshot} scene.room
 * @param {MemberId | null} scene.memberId
 * @param {(trackId: TrackId) => boolean} scene.decided Held, or found unplayable.
 * @param {ReadonlySet<TrackId>} scene.told
 * @returns {TrackId[]}
 */
export function acksDue({ room, memberId, decided, told }) {
  const { barrier } = room;
  const missing =
    barrier !== null &&
    memberId !== null &&
    barrier.members.includes(memberId) &&
    !barrier.ready.includes(memberId);
  const ids = [
    ...(missing ? [barrier.trackId] : []),
    ...[currentTrack(room), nextUp(room)].filter((id) => id !== null && !told.has(id)),
  ];
  return [...new Set(ids)].filter((id) => id !== null).filter(decided);
}
