// The tracks on this phone: what lies on the back, known without asking it, and room made when it
// gets full. Which tracks go is decided in cache.js.

import { RANK, budget, isWhole, outdated, toEvict } from '../cache.js';
import { PART_BYTES } from './back.js';
import { openMemory } from './memory.js';

/** @typedef {import('../cache.js').Entry} Entry */
/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {Awaited<ReturnType<typeof createShelf>>} Shelf */

/** Of this page's memory, which the browser may take back with the page, no more is filled. */
const MEMORY_BYTES = 150e6;

/**
 * @param {import('./back.js').Back} back
 * @param {object} options
 * @param {(budgetBytes: number) => (trackId: TrackId) => number} options.ranks how dear each track is just now
 * @param {(trackId: TrackId) => boolean} options.isUrgent whether it plays, or comes next
 * @param {() => TrackId | null} [options.sounding]
 * @param {() => number} options.fixedBytes what may be filled where the browser does not tell
 * @param {() => void} options.onRemoved
 * @param {() => void} options.onFallen nothing can be kept any more but in memory
 */
export async function createShelf(back, { ranks, isUrgent, sounding = () => null, fixedBytes, onRemoved, onFallen }) {
  let kept = back;
  /** @type {Map<TrackId, Entry>} */
  const entries = new Map();
  /** @type {number | null} `null` where the browser does not tell */
  let toldBytes = null;
  /** What the browser has been seen to take, and what it has been seen to refuse. */
  let takenBytes = Infinity;
  let refusedBytes = Infinity;
  for (const entry of await back.list().catch(fall)) entries.set(entry.trackId, entry);
  await measure();

  /** @returns {never[]} what is there then */
  function fall() {
    kept = openMemory();
    entries.clear();
    toldBytes = MEMORY_BYTES;
    takenBytes = refusedBytes = Infinity;
    onFallen();
    return [];
  }

  async function measure() {
    if (kept.kind === 'memory') {
      toldBytes = MEMORY_BYTES;
      return;
    }
    const estimate = (await navigator.storage?.estimate?.().catch(() => null)) ?? null;
    toldBytes = estimate?.quota ? budget(estimate, usedBytes(), 0) : null;
  }

  /** @param {TrackId} trackId */
  async function remove(trackId) {
    entries.delete(trackId);
    onRemoved();
    // What stays there is found outdated at the next start, or written over.
    await kept.remove(trackId).catch(() => {});
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
   * Writes, and once more if that fails: evicts what it can first when the browser says that it is full. A
   * storage that fails for another reason is not trusted any more.
   * @param {TrackId} own
   * @param {number} needBytes
   * @param {() => Promise<void>} write
   */
  async function withRoom(own, needBytes, write) {
    try {
      await write();
    } catch (error) {
      if (isQuota(error)) {
        takenBytes = usedBytes();
        // The last ones played make way for what plays and comes next, and nothing does for what comes later.
        const most = isUrgent(own) ? RANK.played : RANK.other;
        await makeRoom(needBytes, takenBytes, most, own);
      }
      await write().catch((again) => {
        if (isQuota(again)) refusedBytes = Math.min(refusedBytes, usedBytes() + needBytes);
        else fall();
        throw again;
      });
    }
  }

  /**
   * The entry without its last part, and the bytes of that, to go on with: parts are cut at the same places
   * whoever writes them, another tab maybe.
   * @param {Entry} entry
   * @returns {Promise<{entry: Entry, tail: Blob} | null>} `null` if they are not there after all
   */
  async function resumed(entry) {
    const parts = entry.parts - 1;
    const receivedBytes = parts * PART_BYTES;
    const tail = await kept.part(entry, parts).catch(() => null);
    if (tail?.size !== entry.receivedBytes - receivedBytes) return null;
    return { entry: { ...entry, parts, receivedBytes }, tail };
  }

  return {
    get kind() {
      return kept.kind;
    },
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
    /**
     * What is whole, and of no other version than the index says, if it knows of it; or sounds right now.
     * @param {ReadonlyMap<TrackId, Track>} index
     * @returns {Set<TrackId>}
     */
    held: (index) => {
      /** @param {Entry} entry */
      const current = ({ trackId, version }) => (index.get(trackId)?.version ?? version) === version;
      const own = sounding();
      const counts = (/** @type {Entry} */ entry) => isWhole(entry) && (current(entry) || entry.trackId === own);
      const whole = [...entries.values()].filter(counts);
      return new Set(whole.map(({ trackId }) => trackId));
    },

    /**
     * What to go on with for `track`: the entry of this version with its full parts, or an empty one; and
     * the bytes that are there of the part after them.
     * @param {Track} track
     * @returns {Promise<{entry: Entry, tail: Blob}>}
     */
    begin: async (track) => {
      const { trackId, version, mime, size } = track;
      const known = entries.get(trackId);
      const same = known?.version === version && known.size === size && known.parts > 0;
      const before = same ? await resumed(known) : null;
      if (before && entries.get(trackId) === known) return before;
      if (known) await remove(trackId);
      await measure();
      const most = isUrgent(trackId) ? RANK.ahead : RANK.other;
      await makeRoom(size, budgetBytes(), most);
      const entry = { trackId, version, mime, size, receivedBytes: 0, parts: 0, usedAtMs: Date.now() };
      return { entry, tail: new Blob() };
    },

    /**
     * @param {Entry} entry
     * @param {ArrayBuffer} bytes of the next part
     * @returns {Promise<Entry>} the entry with it
     */
    append: async (entry, bytes) => {
      const longer = {
        ...entry,
        parts: entry.parts + 1,
        receivedBytes: entry.receivedBytes + bytes.byteLength,
        usedAtMs: Date.now(),
      };
      // Cleared in the meantime, its first parts are gone: what follows would be a track with a hole.
      const gone = () => (entries.get(entry.trackId)?.parts ?? 0) < entry.parts;
      await withRoom(entry.trackId, bytes.byteLength, async () => {
        if (!gone()) await kept.append(longer, bytes);
      });
      if (gone()) throw new Error('the entry is gone');
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
        const blob = await kept.read(entry);
        if (blob.size !== entry.size) throw new Error('bytes are missing');
        const used = { ...entry, usedAtMs: Date.now() };
        entries.set(trackId, used);
        kept.put(used).catch(() => {});
        return blob;
      } catch {
        // A browser may take back what it kept, at any time; then it is fetched again.
        await remove(trackId);
        return null;
      }
    },

    /**
     * Lets go of what the library no longer has in this version, but for what sounds right now. An empty library
     * is more likely a disk that is not mounted than music given up.
     * @param {ReadonlyMap<TrackId, Track>} index
     */
    follow: async (index) => {
      if (index.size === 0) return;
      const own = sounding();
      const leaving = outdated([...entries.values()], index).filter((trackId) => trackId !== own);
      await Promise.all(leaving.map(remove));
    },

    remove,
    /** Lets go of all but the one that sounds, if any does. */
    clear: async () => {
      const own = sounding();
      const others = [...entries.keys()].filter((trackId) => trackId !== own);
      for (const trackId of others) entries.delete(trackId);
      takenBytes = refusedBytes = Infinity;
      onRemoved();
      // What will not go now is known to nobody any more.
      await (entries.size > 0 ? Promise.all(others.map(kept.remove)) : kept.clear()).catch(() => {});
    },
  };
}

/** @param {unknown} error */
export function isQuota(error) {
  return error instanceof DOMException && error.name === 'QuotaExceededError';
}
