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

/** Of what the browser offers, this much is left for it and for others. */
const SHARE = 0.8;

const LAST_PLAYED = 3;

/** @param {Entry} entry */
export function isWhole(entry) {
  return entry.receivedBytes === entry.size;
}

/**
 * What plays and what comes next: fetched before all else, and never given up.
 * @param {Snapshot} room
 * @returns {TrackId[]}
 */
export function urgent(room) {
  const ids = [room.barrier?.trackId, currentTrack(room), nextUp(room)];
  return [...new Set(ids.filter((id) => typeof id === 'string'))];
}

/**
 * @param {Snapshot} room
 * @returns {TrackId[]} the last ones played, which are kept for those who go back to them
 */
function lastPlayed(room) {
  return ringOrder(room).slice(1).slice(-LAST_PLAYED);
}

/**
 * What the budget is for besides: the ring ahead, track by track, as far as there is room. A track too
 * large for what is left is passed over.
 * @param {object} scene
 * @param {Snapshot} scene.room
 * @param {ReadonlyMap<TrackId, Track>} scene.index
 * @param {ReadonlySet<TrackId>} scene.held
 * @param {ReadonlyMap<TrackId, unknown>} scene.unplayable
 * @param {number} scene.budgetBytes
 * @returns {TrackId[]}
 */
export function ahead({ room, index, held, unplayable, budgetBytes }) {
  const sizeOf = (/** @type {TrackId} */ id) => index.get(id)?.size ?? 0;
  const first = urgent(room).filter((id) => !unplayable.has(id));
  const pins = new Set([...first, ...lastPlayed(room).filter((id) => held.has(id))]);
  let left = [...pins].reduce((bytes, id) => bytes - sizeOf(id), budgetBytes);
  const fit = [];
  for (const id of ringOrder(room)) {
    const size = sizeOf(id);
    if (pins.has(id) || unplayable.has(id) || size > left) continue;
    left -= size;
    fit.push(id);
  }
  return fit;
}

/**
 * What to have here, the most urgent first; what is not here yet is to be fetched in this order. While
 * somebody is waited for, the network is left to those who fetch what is waited for.
 * @param {Parameters<typeof ahead>[0]} scene
 * @returns {Track[]}
 */
export function wanted(scene) {
  const { room, index, unplayable } = scene;
  const order = [...urgent(room), ...(room.barrier ? [] : ahead(scene))];
  return order.filter((trackId) => !unplayable.has(trackId)).flatMap((trackId) => index.get(trackId) ?? []);
}

/** How dear a track is to this phone; the least dear go first. */
export const RANK = /** @type {const} */ ({ other: 0, ahead: 1, played: 2, urgent: 3 });

/**
 * @param {Parameters<typeof ahead>[0]} scene
 * @returns {(trackId: TrackId) => number} its RANK
 */
export function ranks(scene) {
  const first = new Set(urgent(scene.room));
  const played = new Set(lastPlayed(scene.room));
  const next = new Set(ahead(scene));
  return (trackId) => {
    if (first.has(trackId)) return RANK.urgent;
    if (played.has(trackId)) return RANK.played;
    return next.has(trackId) ? RANK.ahead : RANK.other;
  };
}

/**
 * What must go so that `needBytes` more fit: of the lowest rank first, among these the least recently used
 * first, and nothing above `most`.
 * @param {readonly Entry[]} entries
 * @param {(trackId: TrackId) => number} rank
 * @param {number} most
 * @param {number} needBytes
 * @param {number} budgetBytes
 * @returns {TrackId[]}
 */
export function toEvict(entries, rank, most, needBytes, budgetBytes) {
  let over = entries.reduce((sum, entry) => sum + entry.receivedBytes, needBytes) - budgetBytes;
  const leaving = [];
  const order = entries
    .map((entry) => ({ ...entry, rank: rank(entry.trackId) }))
    .sort((a, b) => a.rank - b.rank || a.usedAtMs - b.usedAtMs);
  for (const entry of order) {
    if (over <= 0 || entry.rank > most) break;
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
 * @param {number} fixedBytes where the browser does not tell how much there is
 */
export function budget(estimate, ownBytes, fixedBytes) {
  if (!estimate?.quota) return fixedBytes;
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
