// The tracks that this phone cannot play, and why (UnplayableReason). A failure applies to one version of a track.

/** @typedef {import('../store.js').Store} Store */
/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {import('../types.js').UnplayableReason} UnplayableReason */

/**
 * @param {object} options
 * @param {Store} options.store
 * @param {(mime: string) => boolean} options.canPlay whether the browser claims to support the format
 */
export function createPlayability({ store, canPlay }) {
  /** Failed attempts to decode or to store a track. */
  /** @type {Map<TrackId, {reason: UnplayableReason, version: string}>} */
  const failures = new Map();
  /** @type {ReadonlySet<TrackId>} */
  let postponedIds = new Set();

  /** Recomputes `unplayableReasons` for all tracks of the index. */
  function refresh() {
    const { index } = store.get();
    /** @type {Map<string, boolean>} */
    const supportByMime = new Map();
    /** @type {Map<TrackId, UnplayableReason>} */
    const unplayableReasons = new Map();
    for (const { trackId, mime, version } of index.values()) {
      const isSupported = supportByMime.get(mime) ?? canPlay(mime);
      supportByMime.set(mime, isSupported);
      const failure = failures.get(trackId);
      if (!isSupported) unplayableReasons.set(trackId, 'format');
      else if (failure?.version === version) unplayableReasons.set(trackId, failure.reason);
      else if (postponedIds.has(trackId)) unplayableReasons.set(trackId, 'fetch');
    }
    store.update({ unplayableReasons });
  }

  return {
    refresh,
    /** @param {TrackId} trackId @param {'format' | 'space'} reason */
    markUnplayable: (trackId, reason) => {
      failures.set(trackId, { reason, version: store.get().index.get(trackId)?.version ?? '' });
      refresh();
    },
    /** @param {ReadonlySet<TrackId>} trackIds all tracks whose download is postponed */
    setPostponed: (trackIds) => {
      postponedIds = trackIds;
      refresh();
    },
    /**
     * Makes tracks that did not fit into the storage playable again if they may fit now, so that they are downloaded.
     * @param {(trackId: TrackId) => boolean} mayFit
     */
    retryTracksLackingSpace: (mayFit) => {
      const retriedFailures = [...failures].filter(([trackId, { reason }]) => reason === 'space' && mayFit(trackId));
      for (const [trackId] of retriedFailures) failures.delete(trackId);
      if (retriedFailures.length > 0) refresh();
    },
  };
}
