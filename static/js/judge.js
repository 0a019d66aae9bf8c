// Which tracks of the library this phone does not play, and why: it does not know the format, has no
// room, or cannot fetch them. A verdict is about one version of a track.

/** @typedef {import('./store.js').Store} Store */
/** @typedef {import('./types.js').TrackId} TrackId */
/** @typedef {import('./types.js').Unable} Unable */

/**
 * @param {object} options
 * @param {Store} options.store
 * @param {(mime: string) => boolean} options.canPlay by what the browser says of formats
 */
export function createJudge({ store, canPlay }) {
  /** What a try has shown. */
  /** @type {Map<TrackId, {reason: Unable, version: string}>} */
  const failed = new Map();
  /** What cannot be fetched just now. */
  /** @type {ReadonlySet<TrackId>} */
  let aside = new Set();

  function judge() {
    const { index } = store.get();
    /** @type {Map<string, boolean>} */
    const formats = new Map();
    /** @type {Map<TrackId, Unable>} */
    const unplayable = new Map();
    for (const { trackId, mime, version } of index.values()) {
      const able = formats.get(mime) ?? canPlay(mime);
      formats.set(mime, able);
      const verdict = failed.get(trackId);
      if (!able) unplayable.set(trackId, 'format');
      else if (verdict?.version === version) unplayable.set(trackId, verdict.reason);
      else if (aside.has(trackId)) unplayable.set(trackId, 'fetch');
    }
    const lacksRoom = (/** @type {ReadonlyMap<TrackId, Unable>} */ all) => [...all.values()].includes('room');
    const relieved = lacksRoom(store.get().unplayable) && !lacksRoom(unplayable);
    store.update(relieved ? { unplayable, storageNote: null } : { unplayable });
  }

  return {
    judge,
    /**
     * @param {TrackId} trackId
     * @param {'format' | 'room'} reason
     */
    fail: (trackId, reason) => {
      failed.set(trackId, { reason, version: store.get().index.get(trackId)?.version ?? '' });
      judge();
    },
    /** @param {ReadonlySet<TrackId>} trackIds */
    putAside: (trackIds) => {
      aside = trackIds;
      judge();
    },
    /**
     * There may be room now for what found none.
     * @param {(trackId: TrackId) => boolean} fits
     */
    retry: (fits) => {
      const freed = [...failed].filter(([trackId, { reason }]) => reason === 'room' && fits(trackId));
      for (const [trackId] of freed) failed.delete(trackId);
      if (freed.length > 0) judge();
    },
  };
}
