// PURE: decides which tracks this phone downloads and in which order, which tracks it evicts, and how large the cache
// may become.

import { picksOf } from '../room/picks.js';
import { currentTrackId, nextUpId, queueFromCurrent } from '../room/selectors.js';

/** @typedef {import('../types.js').CacheEntry} CacheEntry */
/** @typedef {import('../types.js').Snapshot} Snapshot */
/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * @typedef {object} CacheInputs
 * @property {Snapshot} room
 * @property {ReadonlyMap<TrackId, Track>} index
 * @property {ReadonlySet<TrackId>} cachedTrackIds
 * @property {ReadonlyMap<TrackId, unknown>} unplayableReasons
 * @property {number} budgetBytes
 */

/** Share of the browser's quota, less what other data of the page occupies, that the cache may fill. */
const QUOTA_SHARE = 0.8;

/** Number of tracks before the current one, in queue order, that are kept if there is space. */
const RECENT_TRACK_COUNT = 3;

/** Number of picks after next-up that are fetched before everything else, even in place of recent tracks. */
const PICKS_AHEAD = 3;

/** @param {CacheEntry} entry */
export function isComplete(entry) {
  return entry.receivedBytes === entry.size;
}

/**
 * The barrier's track, the current track and next-up: they are downloaded first and never evicted.
 * @param {Snapshot} room
 * @returns {TrackId[]}
 */
export function urgentTrackIds(room) {
  const ids = [room.barrier?.trackId, currentTrackId(room), nextUpId(room)];
  return [...new Set(ids.filter((id) => typeof id === 'string'))];
}

/** @param {Snapshot} room @returns {TrackId[]} the tracks before the current one */
function recentTrackIds(room) {
  return queueFromCurrent(room).slice(1).slice(-RECENT_TRACK_COUNT);
}

/** @param {Snapshot} room @returns {TrackId[]} */
function trackIdsAhead(room) {
  const urgent = urgentTrackIds(room);
  const waiting = picksOf(room).map(({ trackId }) => trackId).filter((trackId) => !urgent.includes(trackId));
  return waiting.slice(0, PICKS_AHEAD);
}

/**
 * The tracks to prefetch: those after the urgent ones, in queue order, as far as the budget allows. A track that is too
 * large for the rest of the budget is skipped.
 * @param {CacheInputs} inputs
 * @returns {TrackId[]}
 */
export function trackIdsToPrefetch(inputs) {
  return plannedTrackIds(inputs).prefetched;
}

/**
 * Divides the budget: urgent tracks, the picks ahead, recent tracks that are stored, then the rest of the queue.
 * @param {CacheInputs} inputs
 * @returns {{prefetched: TrackId[], displaced: TrackId[]}} `displaced`: recent tracks that make room for picks
 */
function plannedTrackIds({ room, index, cachedTrackIds, unplayableReasons, budgetBytes }) {
  const planned = new Set(urgentTrackIds(room).filter((id) => !unplayableReasons.has(id)));
  const sizeOf = (/** @type {TrackId} */ id) => index.get(id)?.size ?? 0;
  let remainingBytes = [...planned].reduce((bytes, id) => bytes - sizeOf(id), budgetBytes);
  /** @param {TrackId[]} trackIds @returns {TrackId[]} those that fit and were not planned before */
  const plan = (trackIds) => {
    const fitting = [];
    for (const id of trackIds) {
      const size = sizeOf(id);
      if (planned.has(id) || unplayableReasons.has(id) || size > remainingBytes) continue;
      remainingBytes -= size;
      planned.add(id);
      fitting.push(id);
    }
    return fitting;
  };
  const ahead = plan(trackIdsAhead(room));
  const storedRecent = recentTrackIds(room).filter((id) => cachedTrackIds.has(id) && !planned.has(id));
  const displaced = ahead.length === 0 ? [] : storedRecent.filter((id) => sizeOf(id) > remainingBytes);
  for (const id of storedRecent) {
    if (displaced.includes(id)) continue;
    planned.add(id);
    remainingBytes -= sizeOf(id);
  }
  return { prefetched: [...ahead, ...plan(queueFromCurrent(room))], displaced };
}

/**
 * The tracks that this phone should have, in the order in which missing ones are downloaded. While a barrier is open
 * nothing is prefetched, so that the network is free for the phones that the barrier waits for.
 * @param {CacheInputs} inputs
 * @returns {Track[]}
 */
export function downloadOrder(inputs) {
  const { room, index, unplayableReasons } = inputs;
  const wantedTracks = [...urgentTrackIds(room), ...(room.barrier ? [] : trackIdsToPrefetch(inputs))];
  return wantedTracks.filter((trackId) => !unplayableReasons.has(trackId)).flatMap((trackId) => index.get(trackId) ?? []);
}

/** Retention rank of a track: lower ranks are evicted first. `absent`: neither the queue nor the index has the track. */
export const RANK = /** @type {const} */ ({ absent: 0, other: 1, prefetched: 2, recent: 3, urgent: 4 });

/** @param {CacheInputs} inputs @returns {(trackId: TrackId) => number} a track's RANK */
export function rankFunction(inputs) {
  const urgentSet = new Set(urgentTrackIds(inputs.room));
  const { prefetched, displaced } = plannedTrackIds(inputs);
  const recentSet = new Set(recentTrackIds(inputs.room).filter((id) => !displaced.includes(id)));
  const prefetchedSet = new Set(prefetched);
  return (trackId) => {
    if (urgentSet.has(trackId)) return RANK.urgent;
    if (recentSet.has(trackId)) return RANK.recent;
    if (prefetchedSet.has(trackId)) return RANK.prefetched;
    return inputs.index.has(trackId) ? RANK.other : RANK.absent;
  };
}

/**
 * The tracks to evict so that `neededBytes` further bytes fit within the limit: lowest rank first, and least recently
 * used first within a rank. Tracks above `maxRank` are not evicted, even if the limit is then exceeded.
 * @param {readonly CacheEntry[]} entries
 * @param {(trackId: TrackId) => number} rankOf
 * @param {number} maxRank
 * @param {number} neededBytes
 * @param {number} limitBytes
 * @returns {TrackId[]}
 */
export function trackIdsToEvict(entries, rankOf, maxRank, neededBytes, limitBytes) {
  let excessBytes = entries.reduce((sum, entry) => sum + entry.receivedBytes, neededBytes) - limitBytes;
  const evictedTracks = [];
  const evictionOrder = entries
    .map((entry) => ({ ...entry, rank: rankOf(entry.trackId) }))
    .sort((a, b) => a.rank - b.rank || a.usedAtMs - b.usedAtMs);
  for (const entry of evictionOrder) {
    if (excessBytes <= 0 || entry.rank > maxRank) break;
    evictedTracks.push(entry.trackId);
    excessBytes -= entry.receivedBytes;
  }
  return evictedTracks;
}

/**
 * The tracks of which the cache holds another version than the index. A track that is not in the index may return, for
 * example with the disk that holds its file, so its entry stays until space is needed.
 * @param {readonly CacheEntry[]} entries
 * @param {ReadonlyMap<TrackId, Track>} index
 * @returns {TrackId[]}
 */
export function outdatedTrackIds(entries, index) {
  const isOutdated = (/** @type {CacheEntry} */ { trackId, version }) => (index.get(trackId)?.version ?? version) !== version;
  return entries.filter(isOutdated).map((entry) => entry.trackId);
}

/**
 * Complete tracks in the version of the index. A track that is not in the index counts too, because the index may not
 * have been loaded yet, and so does any version of the track that is playing.
 * @param {readonly CacheEntry[]} entries
 * @param {ReadonlyMap<TrackId, Track>} index
 * @param {TrackId | null} playingTrackId
 * @returns {Set<TrackId>}
 */
export function cachedTrackIds(entries, index, playingTrackId) {
  const cachedEntries = entries.filter((entry) => {
    const { trackId, version } = entry;
    const isCurrent = (index.get(trackId)?.version ?? version) === version;
    return isComplete(entry) && (isCurrent || trackId === playingTrackId);
  });
  return new Set(cachedEntries.map(({ trackId }) => trackId));
}

/**
 * The size limit of the whole cache, in bytes.
 * @param {{quota?: number, usage?: number} | null} estimate result of `navigator.storage.estimate()`
 * @param {number} usedBytes bytes used by this cache, which `usage` includes
 * @param {number} fallbackBytes the budget if the browser reports no quota
 */
export function storageBudget(estimate, usedBytes, fallbackBytes) {
  if (!estimate?.quota) return fallbackBytes;
  const freeBytes = Math.max(0, estimate.quota - (estimate.usage ?? 0));
  return (freeBytes + usedBytes) * QUOTA_SHARE;
}
