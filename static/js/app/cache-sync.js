// Updates the track cache when the library or the queue changes, and lists the cached tracks in the store.

import { coalesce } from '../coalesce.js';

/** @typedef {import('../tracks/track-cache.js').TrackCache} TrackCache */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {() => Promise<Pick<TrackCache, 'cachedTrackIds' | 'clear' | 'mayFit' | 'remove' | 'removeOutdated'>>}
 *   options.getTrackCache
 * @param {Pick<ReturnType<typeof import('../tracks/playability.js').createPlayability>, 'refresh' | 'retryTracksLackingSpace'>}
 *   options.playability
 */
export function createCacheSync({ store, getTrackCache, playability }) {
  // Coalesced, because the cache reports each removed track separately, and each store update calls all subscribers.
  const updateCachedTrackIds = coalesce(async () => {
    const trackCache = await getTrackCache();
    store.update({ cachedTrackIds: trackCache.cachedTrackIds(store.get().index) });
  });

  async function removeOutdated() {
    await (await getTrackCache()).removeOutdated(store.get().index);
    await updateCachedTrackIds();
  }

  /** Retries the downloads that failed for lack of storage space, if the browser may have space for them now. */
  async function retryTracksLackingSpace() {
    const { mayFit } = await getTrackCache();
    playability.retryTracksLackingSpace((trackId) => mayFit(store.get().index.get(trackId)?.size ?? Infinity));
  }

  store.subscribe(async ({ index }, previous) => {
    if (index === previous.index) return;
    playability.refresh();
    await removeOutdated();
  });
  store.subscribe(async ({ room }, previous) => {
    if (room?.queue === previous.room?.queue && room?.queueIndex === previous.room?.queueIndex) return;
    // The previous track may be an outdated version, which was kept only because it was playing.
    await removeOutdated();
    // The priorities have changed, so a download may now replace other tracks.
    await retryTracksLackingSpace();
  });

  return {
    /** Lists the cached tracks in the store again. To be called when tracks have been removed from the cache. */
    updateCachedTrackIds,

    /** Records in the store that the browser's storage has failed. To be called after the cache has switched to memory. */
    handleStorageFailure: () => {
      store.update({ hasStorageFailed: true });
      updateCachedTrackIds();
    },

    /**
     * Removes a track whose bytes the browser has discarded, so that the track is downloaded again.
     * @param {TrackId} trackId
     */
    removeLostTrack: async (trackId) => {
      await (await getTrackCache()).remove(trackId);
      await updateCachedTrackIds();
    },

    /** Removes all tracks except the playing one, and retries all downloads that failed for lack of storage space. */
    clearStorage: async () => {
      await (await getTrackCache()).clear();
      playability.retryTracksLackingSpace(() => true);
    },
  };
}
