// Chooses the engine of each prepared track. The buffer engine plays the tracks of known length whose decoded
// samples fit into memory. The element engine plays all others, and those that cannot be decoded.

/** @typedef {import('../types.js').TrackId} TrackId */

const BYTES_PER_SAMPLE = 4;

/** The largest decoded track: about 12 minutes of stereo at 48 kHz. */
const MAX_TRACK_BYTES = 280e6;

/** The limits of all decoded tracks together. Phones close pages that use too much memory. */
const MAX_TOTAL_BYTES = 400e6;
const MAX_TOTAL_BYTES_ON_TOUCH_DEVICE = 250e6;

/** The limit where the browser does not report the device's memory: Safari, Firefox, and all browsers on insecure pages. */
const MAX_TOTAL_BYTES_UNKNOWN_MEMORY = 120e6;

/** Devices that report less memory than this do not use the buffer engine. */
const MIN_DEVICE_MEMORY_GIB = 2;

/**
 * Whether this browser can use the buffer engine at all. iOS before 16.4 silences an AudioContext when the screen
 * locks; from 16.4 on, `navigator.audioSession` prevents that (WebKit PR 17812).
 */
export function canUseBuffers() {
  if (typeof AudioContext === 'undefined') return false;
  const { audioSession, deviceMemory } = /** @type {{audioSession?: object, deviceMemory?: number}} */ (navigator);
  const isIos = 'GestureEvent' in window && navigator.maxTouchPoints > 0;
  return !(isIos && !audioSession) && (deviceMemory ?? MIN_DEVICE_MEMORY_GIB) >= MIN_DEVICE_MEMORY_GIB;
}

/** The limit of all decoded tracks together on this device, in bytes. */
function maxTotalBytes() {
  const { deviceMemory } = /** @type {{deviceMemory?: number}} */ (navigator);
  if (deviceMemory === undefined) return MAX_TOTAL_BYTES_UNKNOWN_MEMORY;
  return navigator.maxTouchPoints > 0 ? MAX_TOTAL_BYTES_ON_TOUCH_DEVICE : MAX_TOTAL_BYTES;
}

/** @param {(() => number) | null} getSampleRate the sample rate of the buffer engine in Hz; `null` if there is none */
export function createEngineChoice(getSampleRate) {
  /** The bytes that each track of the buffer engine has or will have once it is decoded. */
  /** @type {Map<TrackId, number>} */
  const reservedBytes = new Map();
  /** @type {Set<TrackId>} */
  const undecodableTrackIds = new Set();

  /** @param {number} durationSec @param {number} channels */
  const bytesOf = (durationSec, channels) => durationSec * (getSampleRate?.() ?? 0) * channels * BYTES_PER_SAMPLE;

  /**
   * Whether a track of this size fits beside the other tracks, apart from `droppedTrackId`.
   * @param {TrackId} trackId
   * @param {number} bytes
   * @param {TrackId | null} [droppedTrackId]
   */
  function fits(trackId, bytes, droppedTrackId = null) {
    const otherBytes = [...reservedBytes].reduce((sum, [id, other]) => (id === trackId || id === droppedTrackId ? sum : sum + other), 0);
    return bytes <= MAX_TRACK_BYTES && bytes + otherBytes <= maxTotalBytes();
  }

  return {
    /**
     * Whether the buffer engine can play the track: whether its samples fit into memory beside those of the other tracks.
     * @param {TrackId} trackId
     * @param {number} durationSec 0 if unknown
     * @param {number} channels
     * @param {TrackId | null} [droppedTrackId] a track that does not count
     */
    fitsBufferEngine: (trackId, durationSec, channels, droppedTrackId) => {
      if (getSampleRate === null || undecodableTrackIds.has(trackId) || durationSec === 0) return false;
      return fits(trackId, bytesOf(durationSec, channels), droppedTrackId);
    },

    /** Reserves the memory of a track that is to be decoded. @param {TrackId} trackId @param {number} durationSec @param {number} channels */
    reserve: (trackId, durationSec, channels) => void reservedBytes.set(trackId, bytesOf(durationSec, channels)),
    /**
     * Whether a track fits as it was decoded. Its file may have named another length or number of channels.
     * @param {TrackId} trackId
     * @param {number} durationSec
     * @param {number} channels
     */
    confirm: (trackId, durationSec, channels) => {
      const bytes = bytesOf(durationSec, channels);
      if (reservedBytes.has(trackId)) reservedBytes.set(trackId, bytes);
      return fits(trackId, bytes);
    },

    /** Leaves an undecodable track to the element engine. @param {TrackId} trackId */
    markUndecodable: (trackId) => {
      reservedBytes.delete(trackId);
      undecodableTrackIds.add(trackId);
    },
    /** @param {TrackId} trackId */
    drop: (trackId) => {
      reservedBytes.delete(trackId);
      undecodableTrackIds.delete(trackId);
    },
  };
}
