// The cache of tracks on this phone: stores tracks part by part, resumes incomplete ones, and evicts others when space
// is needed.

import { RANK, cachedTrackIds, outdatedTrackIds } from './cache-policy.js';
import { createCacheQuota } from './cache-quota.js';
import { createCacheSpace } from './cache-space.js';
import { PART_BYTES } from './storage.js';
import { openStoredTracks } from './stored-tracks.js';

/** @typedef {import('../types.js').CacheEntry} CacheEntry */
/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {Awaited<ReturnType<typeof createTrackCache>>} TrackCache */

/**
 * @param {import('./storage.js').TrackStorage} storage
 * @param {object} options
 * @param {(budgetBytes: number) => (trackId: TrackId) => number} options.rankFunction returns each track's
 *   current RANK
 * @param {(trackId: TrackId) => boolean} options.isUrgent
 * @param {() => TrackId | null} [options.protectedTrackId] the playing track, which must not be removed
 * @param {() => number} options.settingsLimitBytes the budget if the browser reports no quota
 * @param {() => void} options.onRemoved tracks were removed
 * @param {() => void} options.onFallback the storage failed, and tracks are stored in memory only
 */
export async function createTrackCache(
  storage,
  { rankFunction, isUrgent, protectedTrackId = () => null, settingsLimitBytes, onRemoved, onFallback },
) {
  const quota = createCacheQuota(settingsLimitBytes);
  const storedTracks = await openStoredTracks(storage, {
    onRemoved,
    onFallback: () => {
      quota.switchToMemory();
      onFallback();
    },
  });
  const space = createCacheSpace(storedTracks, quota, { rankFunction, isUrgent });
  await measureQuota();

  function measureQuota() {
    return quota.measure(storedTracks.kind, storedTracks.usedBytes);
  }

  return {
    get kind() {
      return storedTracks.kind;
    },
    usedBytes: storedTracks.usedBytes,
    usesSettingsLimit: quota.usesSettingsLimit,
    prefetchBudgetBytes: quota.prefetchBudgetBytes,
    mayFit: quota.mayFit,
    read: storedTracks.read,
    remove: storedTracks.remove,
    /** @param {ReadonlyMap<TrackId, Track>} index */
    cachedTrackIds: (index) => cachedTrackIds(storedTracks.entries(), index, protectedTrackId()),
    /** Evicts tracks beyond the budget. To be called when the limit in the settings was lowered. */
    trim: () => space.evict(0, quota.budgetBytes(), RANK.prefetched),

    /**
     * Prepares the download of a track: returns the stored entry of this version, to be resumed, or an empty one.
     * @param {Track} track
     * @returns {Promise<{entry: CacheEntry, tail: Blob}>} `tail`: bytes received after the entry's parts
     */
    begin: async (track) => {
      const { trackId, version, mime, size } = track;
      const storedEntry = storedTracks.entryOf(trackId);
      const isResumable = storedEntry?.version === version && storedEntry.size === size && storedEntry.partCount > 0;
      const resumedDownload = isResumable ? await reopenLastPart(storedTracks, storedEntry) : null;
      if (resumedDownload && storedTracks.entryOf(trackId) === storedEntry) return resumedDownload;
      if (storedEntry) await storedTracks.remove(trackId);
      await measureQuota();
      await space.evict(size, quota.budgetBytes(), isUrgent(trackId) ? RANK.prefetched : RANK.other);
      const entry = { trackId, version, mime, size, receivedBytes: 0, partCount: 0, usedAtMs: Date.now() };
      return { entry, tail: new Blob() };
    },

    /**
     * @param {CacheEntry} entry
     * @param {ArrayBuffer} bytes the next part
     * @returns {Promise<CacheEntry>} the entry including that part
     */
    append: async (entry, bytes) => {
      const extendedEntry = {
        ...entry,
        partCount: entry.partCount + 1,
        receivedBytes: entry.receivedBytes + bytes.byteLength,
        usedAtMs: Date.now(),
      };
      // After a removal the earlier parts are missing, so a further part must not be added.
      const wasRemoved = () => (storedTracks.entryOf(entry.trackId)?.partCount ?? 0) < entry.partCount;
      await space.writeWithRetry(entry.trackId, bytes.byteLength, async () => {
        if (!wasRemoved()) await storedTracks.write(extendedEntry, bytes);
      });
      if (wasRemoved()) throw new Error('the entry was removed during the download');
      storedTracks.record(extendedEntry);
      return extendedEntry;
    },

    /**
     * Removes tracks of which the index has another version, except for the protected track.
     * @param {ReadonlyMap<TrackId, Track>} index
     */
    removeOutdated: async (index) => {
      const exemptTrackId = protectedTrackId();
      const outdatedIds = outdatedTrackIds(storedTracks.entries(), index).filter((trackId) => trackId !== exemptTrackId);
      await Promise.all(outdatedIds.map(storedTracks.remove));
    },

    /** Removes all tracks, except for the protected track. */
    clear: async () => {
      quota.forgetRefusals();
      await storedTracks.clear(protectedTrackId());
    },
  };
}

/**
 * The entry without its last part, and the bytes of that part. The last part must be written again together with
 * further bytes, because all parts except the last have exactly `PART_BYTES`.
 * @param {Awaited<ReturnType<typeof openStoredTracks>>} storedTracks
 * @param {CacheEntry} entry
 * @returns {Promise<{entry: CacheEntry, tail: Blob} | null>} `null` if the last part is missing or has another size
 *   than the entry says
 */
async function reopenLastPart(storedTracks, entry) {
  const partCount = entry.partCount - 1;
  const receivedBytes = partCount * PART_BYTES;
  const tail = await storedTracks.readPart(entry, partCount);
  if (tail?.size !== entry.receivedBytes - receivedBytes) return null;
  return { entry: { ...entry, partCount, receivedBytes }, tail };
}
