// The source of an <audio> element: creates the Blob URLs of prepared tracks, loads a track into the element, and seeks in
// the loaded track. Loaded means that the element's `src` is the track's URL; the element may still be reading the file.

import { after } from '../timer.js';

/** @typedef {import('../types.js').TrackId} TrackId */

/** An element that is not ready after this time is treated as ready. */
const READY_TIMEOUT_MS = 2_000;

/** Positions that differ by less need no seek. */
const SAME_POSITION_SEC = 0.001;

/** @typedef {ReturnType<typeof createElementSource>} ElementSource */

/** @param {HTMLAudioElement} audio */
export function createElementSource(audio) {
  /** @type {Map<TrackId, string>} */
  const preparedUrls = new Map();
  /** @type {TrackId | null} */
  let loadedTrackId = null;
  /** The URL that the element has loaded; it may belong to an older version of the track than the prepared URL. */
  let loadedUrl = '';

  /** Whether the element has loaded the prepared version of the track. @param {TrackId} trackId */
  function isLoaded(trackId) {
    return loadedTrackId === trackId && loadedUrl === preparedUrls.get(trackId);
  }

  /** Revokes the loaded URL, unless it is still prepared. */
  function releaseUrl() {
    if (loadedUrl !== '' && ![...preparedUrls.values()].includes(loadedUrl)) URL.revokeObjectURL(loadedUrl);
    loadedUrl = '';
  }

  /**
   * Resolves when the condition holds, when the element has failed, or after a timeout.
   * @param {() => boolean} condition
   */
  async function waitFor(condition) {
    const abort = new AbortController();
    await new Promise((resolve) => {
      const check = () => {
        if (condition() || audio.error) resolve(null);
      };
      for (const name of ['loadedmetadata', 'canplay', 'seeked', 'error', 'emptied']) {
        audio.addEventListener(name, check, { signal: abort.signal });
      }
      const cancel = after(READY_TIMEOUT_MS, () => resolve(null));
      abort.signal.addEventListener('abort', cancel);
      check();
    });
    abort.abort();
  }

  return {
    loadedTrackId: () => loadedTrackId,
    isLoaded,

    /** @param {TrackId} trackId @param {Blob} blob */
    prepare: (trackId, blob) => {
      if (!preparedUrls.has(trackId)) preparedUrls.set(trackId, URL.createObjectURL(blob));
    },
    /** As `prepare`, in place of an earlier Blob. @param {TrackId} trackId @param {Blob} blob */
    replace: (trackId, blob) => {
      const oldUrl = preparedUrls.get(trackId);
      if (oldUrl !== undefined && oldUrl !== loadedUrl) URL.revokeObjectURL(oldUrl);
      preparedUrls.set(trackId, URL.createObjectURL(blob));
    },
    isPrepared: (/** @type {TrackId} */ trackId) => preparedUrls.has(trackId),
    /** Drops all other tracks. @param {ReadonlySet<TrackId>} trackIds */
    retainOnly: (trackIds) => {
      for (const [trackId, url] of preparedUrls) {
        if (trackIds.has(trackId)) continue;
        preparedUrls.delete(trackId);
        // The loaded track may play on until the next load.
        if (url !== loadedUrl) URL.revokeObjectURL(url);
      }
    },

    /** @param {TrackId} trackId */
    load: (trackId) => {
      if (isLoaded(trackId)) return;
      loadedTrackId = trackId;
      releaseUrl();
      loadedUrl = preparedUrls.get(trackId) ?? '';
      audio.loop = false;
      audio.src = loadedUrl;
    },

    /** Whether the element is at the position, apart from rounding. @param {number} positionSec */
    isAt: (positionSec) => Math.abs(audio.currentTime - positionSec) <= SAME_POSITION_SEC,

    /**
     * Seeks, and resolves when the element can play from `positionSec`, has failed, or is not ready in time.
     * @param {number} positionSec
     * @param {() => boolean} isCurrent whether the caller still needs this seek
     */
    seek: async (positionSec, isCurrent) => {
      await waitFor(() => audio.readyState >= HTMLMediaElement.HAVE_METADATA);
      if (!isCurrent()) return;
      if (Math.abs(audio.currentTime - positionSec) > SAME_POSITION_SEC) audio.currentTime = positionSec;
      await waitFor(() => audio.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA && !audio.seeking);
    },

    /** No track counts as loaded any more, but the element's `src` does not change. */
    clearTrack: () => {
      loadedTrackId = null;
    },
    /** As `clearTrack`, and also releases the loaded URL. To be called before `src` is changed. */
    unload: () => {
      loadedTrackId = null;
      releaseUrl();
    },
  };
}
