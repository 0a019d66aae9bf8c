// Makes space in the track cache: evicts less important tracks, and retries failed writes, after an eviction if the
// browser's quota was exceeded.

import { RANK, trackIdsToEvict } from './cache-policy.js';
import { isQuotaError } from './cache-quota.js';

/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * @param {Awaited<ReturnType<typeof import('./stored-tracks.js').openStoredTracks>>} storedTracks
 * @param {ReturnType<typeof import('./cache-quota.js').createCacheQuota>} quota
 * @param {object} options
 * @param {(budgetBytes: number) => (trackId: TrackId) => number} options.rankFunction returns a function from a track to
 *   its current `RANK`
 * @param {(trackId: TrackId) => boolean} options.isUrgent
 */
export function createCacheSpace(storedTracks, quota, { rankFunction, isUrgent }) {
  /**
   * Evicts tracks up to `maxRank` until `neededBytes` more fit within the limit.
   * @param {number} neededBytes
   * @param {number} limitBytes
   * @param {number} maxRank
   * @param {TrackId} [exemptTrackId] the track that the space is for
   */
  async function evict(neededBytes, limitBytes, maxRank, exemptTrackId) {
    if (storedTracks.usedBytes() + neededBytes <= limitBytes) return;
    const rankOf = rankFunction(quota.prefetchBudgetBytes());
    const rankWithExemption = (/** @type {TrackId} */ id) => (id === exemptTrackId ? Infinity : rankOf(id));
    for (const trackId of trackIdsToEvict(storedTracks.entries(), rankWithExemption, maxRank, neededBytes, limitBytes)) {
      await storedTracks.remove(trackId);
    }
  }

  return {
    evict,

    /**
     * Retries a failed write once. If the quota was exceeded, tracks are evicted before the retry. If the retry fails
     * for a reason other than the quota, the cache falls back to memory.
     * @param {TrackId} trackId
     * @param {number} neededBytes
     * @param {() => Promise<void>} write
     */
    writeWithRetry: async (trackId, neededBytes, write) => {
      try {
        return await write();
      } catch (error) {
        if (isQuotaError(error)) {
          quota.recordFull(storedTracks.usedBytes());
          // For an urgent track, all tracks that are not urgent may be evicted; for a prefetched track, only those of the
          // lowest rank.
          const maxRank = isUrgent(trackId) ? RANK.recent : RANK.other;
          await evict(neededBytes, storedTracks.usedBytes(), maxRank, trackId);
        }
      }
      try {
        await write();
      } catch (error) {
        if (isQuotaError(error)) quota.recordRefusal(storedTracks.usedBytes() + neededBytes);
        else storedTracks.fallBackToMemory();
        throw error;
      }
    },
  };
}
