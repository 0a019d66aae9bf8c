// The size limit of the track cache: from the browser's quota estimate or the settings, and lowered by the writes that
// the browser has refused.

import { storageBudget } from './cache-policy.js';

/** @typedef {import('./storage.js').TrackStorage} TrackStorage */

/** Limit for the memory storage: a page that uses more memory is likely to be discarded by the browser. */
const MAX_MEMORY_BYTES = 150e6;

/** @param {() => number} settingsLimitBytes the storage limit of the settings, for browsers that report no quota */
export function createCacheQuota(settingsLimitBytes) {
  /** The budget; `null` if the browser reports no quota, so that the limit of the settings applies. */
  /** @type {number | null} */
  let measuredBudgetBytes = null;
  /** Bytes in the cache when the browser last refused a write; `Infinity` if it has refused none. */
  let fullAtBytes = Infinity;
  /** The smallest total size at which the browser has refused a write although tracks had been evicted. */
  let refusedBytes = Infinity;

  const budgetBytes = () => measuredBudgetBytes ?? settingsLimitBytes();

  function forgetRefusals() {
    fullAtBytes = Infinity;
    refusedBytes = Infinity;
  }

  return {
    /**
     * Sets the budget: from the browser's quota, or a fixed limit for the memory storage.
     * @param {TrackStorage['kind']} kind
     * @param {() => number} usedBytes
     */
    measure: async (kind, usedBytes) => {
      if (kind === 'memory') {
        measuredBudgetBytes = MAX_MEMORY_BYTES;
        return;
      }
      const estimate = (await navigator.storage?.estimate?.().catch(() => null)) ?? null;
      measuredBudgetBytes = estimate?.quota ? storageBudget(estimate, usedBytes(), 0) : null;
    },
    budgetBytes,
    /** Budget for tracks that are not urgent: stays below the size at which the browser refused a write. */
    prefetchBudgetBytes: () => Math.min(budgetBytes(), fullAtBytes),
    /** Whether the limit of the settings applies, because the browser reports no quota. */
    usesSettingsLimit: () => measuredBudgetBytes === null,
    /**
     * Whether a track may fit: `false` if the browser has refused a write at a total size no larger than the track.
     * @param {number} size in bytes
     */
    mayFit: (size) => size < refusedBytes,
    /** To be called when the browser has refused a write. @param {number} usedBytes bytes in the cache */
    recordFull: (usedBytes) => (fullAtBytes = usedBytes),
    /** To be called when the browser has refused the repeated write too. @param {number} totalBytes used and needed */
    recordRefusal: (totalBytes) => (refusedBytes = Math.min(refusedBytes, totalBytes)),
    forgetRefusals,
    /** To be called when the storage has failed, so that tracks are stored in memory from now on. */
    switchToMemory: () => {
      forgetRefusals();
      measuredBudgetBytes = MAX_MEMORY_BYTES;
    },
  };
}

/** @param {unknown} error */
export function isQuotaError(error) {
  return error instanceof DOMException && error.name === 'QuotaExceededError';
}
