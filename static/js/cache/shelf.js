// The tracks on this phone: what lies on the back, known without asking it, and room made when it
// gets full. Which tracks go is decided in cache.js.

import { RANK, budget, isWhole, outdated, toEvict } from '../cache.js';

/** @typedef {import('../cache.js').Entry} Entry */
/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {Awaited<ReturnType<typeof createShelf>>} Shelf */

/**
 * @param {import('./back.js').Back} back
 * @param {object} options
 * @param {(budgetBytes: number) => (trackId: TrackId) => number} options.ranks how dear each track is just now
 * @param {(trackId: TrackId) => boolean} options.isUrgent whether it plays, or comes next
 * @param {() => number} options.fixedBytes what may be filled where the browser does not tell
 * @param {() => void} options.onRemoved
 */
export async function createShelf(back, { ranks, isUrgent, fixedBytes, onRemoved }) {
  /** @type {Map<TrackId, Entry>} */
  const entries = new Map((await back.list()).map((entry) => [entry.trackId, entry]));
  /** @type {number | null} `null` where the browser does not tell */
  let toldBytes = null;
  /** What the browser has been seen to take, and what it has been seen to refuse. */
  let takenBytes = Infinity;
  let refusedBytes = Infinity;
  await measure();

  async function measure() {
    const estimate = (await navigator.storage?.estimate?.().catch(() => null)) ?? null;
    toldBytes = estimate?.quota ? budget(estimate, usedBytes(), 0) : null;
  }

  /** @param {TrackId} trackId */
  async function remove(trackId) {
    entries.delete(trackId);
    onRemoved();
    await back.remove(trackId);
  }

  function usedBytes() {
    let bytes = 0;
    for (const { receivedBytes } of entries.values()) bytes += receivedBytes;
    return bytes;
  }

  function budgetBytes() {
    return toldBytes ?? fixedBytes();
  }

  function roomBytes() {
    return Math.min(budgetBytes(), takenBytes);
  }

  /**
   * Lets go of tracks up to the rank `most`, until `needBytes` more are within the limit.
   * @param {number} needBytes
   * @param {number} limitBytes
   * @param {number} most
   * @param {TrackId} [own] what it is for
   */
  async function makeRoom(needBytes, limitBytes, most, own) {
    if (usedBytes() + needBytes <= limitBytes) return;
    const rank = ranks(roomBytes());
    const others = (/** @type {TrackId} */ id) => (id === own ? Infinity : rank(id));
    for (const trackId of toEvict([...entries.values()], others, most, needBytes, limitBytes)) {
      await remove(trackId);
    }
  }

  /**
   * Evicts what it can when the browser says that it is full, and tries once more.
   * @param {TrackId} own
   * @param {number} needBytes
   * @param {() => Promise<void>} write
   */
  async function withRoom(own, needBytes, write) {
    try {
      await write();
    } catch (error) {
      if (!isQuota(error)) throw error;
      takenBytes = usedBytes();
      // The last ones played make way for what plays and comes next, and nothing does for what comes later.
      const most = isUrgent(own) ? RANK.played : RANK.other;
      await makeRoom(needBytes, takenBytes, most, own);
      await write().catch((again) => {
        if (isQuota(again)) refusedBytes = Math.min(refusedBytes, usedBytes() + needBytes);
        throw again;
      });
    }
  }

  return {
    kind: back.kind,
    usedBytes,
    /** Whether the budget is the one in Settings, because the browser does not tell how much there is. */
    fixed: () => toldBytes === null,
    /** What may be filled with tracks that nobody needs yet. */
    roomBytes,
    /**
     * Whether a track of that size may find room at all.
     * @param {number} size
     */
    mayFit: (size) => size < refusedBytes,
    /** After the budget has become smaller. */
    trim: () => makeRoom(0, budgetBytes(), RANK.ahead),
    /** @returns {Set<TrackId>} */
    held: () => new Set([...entries.values()].filter(isWhole).map(({ trackId }) => trackId)),

    /**
     * The entry to go on with for `track`: what is there of this version, or an empty one.
     * @param {Track} track
     * @returns {Promise<Entry>}
     */
    begin: async (track) => {
      const { trackId, version, mime, size } = track;
      const known = entries.get(trackId);
      if (known?.version === version && known.size === size) return known;
      if (known) await remove(trackId);
      await measure();
      const most = isUrgent(trackId) ? RANK.ahead : RANK.other;
      await makeRoom(size, budgetBytes(), most);
      return { trackId, version, mime, size, receivedBytes: 0, parts: 0, usedAtMs: Date.now() };
    },

    /**
     * @param {Entry} entry
     * @param {ArrayBuffer} part
     * @returns {Promise<Entry>} the entry with it
     */
    append: async (entry, part) => {
      const longer = {
        ...entry,
        parts: entry.parts + 1,
        receivedBytes: entry.receivedBytes + part.byteLength,
        usedAtMs: Date.now(),
      };
      // Cleared in the meantime, its first parts are gone: what follows would be a track with a hole.
      const check = () => {
        if (entry.parts > 0 && entries.get(entry.trackId) !== entry) throw new Error('the entry is gone');
      };
      await withRoom(entry.trackId, part.byteLength, async () => {
        check();
        await back.append(longer, part);
      });
      check();
      entries.set(longer.trackId, longer);
      return longer;
    },

    /**
     * @param {TrackId} trackId
     * @returns {Promise<Blob | null>} `null` when it is not there after all
     */
    read: async (trackId) => {
      const entry = entries.get(trackId);
      if (!entry || !isWhole(entry)) return null;
      try {
        const blob = await back.read(entry);
        if (blob.size !== entry.size) throw new Error('bytes are missing');
        const used = { ...entry, usedAtMs: Date.now() };
        entries.set(trackId, used);
        back.put(used).catch(() => {});
        return blob;
      } catch {
        // A browser may take back what it kept, at any time; then it is fetched again.
        await remove(trackId).catch(() => {});
        return null;
      }
    },

    /**
     * Lets go of what the library no longer has in this version. An empty library is more likely a
     * disk that is not mounted than music given up.
     * @param {ReadonlyMap<TrackId, Track>} index
     */
    follow: async (index) => {
      if (index.size === 0) return;
      await Promise.all(outdated([...entries.values()], index).map(remove));
    },

    remove,
    clear: async () => {
      entries.clear();
      takenBytes = refusedBytes = Infinity;
      onRemoved();
      await back.clear();
    },
  };
}

/** @param {unknown} error */
export function isQuota(error) {
  return error instanceof DOMException && error.name === 'QuotaExceededError';
}
