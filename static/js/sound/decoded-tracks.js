// The decoded tracks in memory: decodes whole tracks, and drops those that are no longer needed.

import { withTimeout } from '../timer.js';
import { trimPadding } from './output-clock.js';

/** @typedef {import('./output-clock.js').DecodedTrack} DecodedTrack */
/** @typedef {import('../types.js').TrackId} TrackId */

/** A track whose decoding takes longer counts as undecodable. */
const DECODE_TIMEOUT_MS = 20_000;

/**
 * @param {() => BaseAudioContext} getContext the context that decodes, at whose sample rate the samples are
 * @param {object} on
 * @param {(trackId: TrackId, durationSec: number, buffer: AudioBuffer) => void} on.decoded
 * @param {(trackId: TrackId) => void} on.undecodable decoding has failed or taken too long
 */
export function createDecodedTracks(getContext, on) {
  /** @type {Map<TrackId, {decoded: DecodedTrack | null}>} `null` while the track is being decoded. */
  const entries = new Map();

  /** @param {Blob} blob */
  async function decode(blob) {
    return getContext().decodeAudioData(await blob.arrayBuffer());
  }

  return {
    /**
     * Begins to decode a track, unless that has already begun.
     * @param {TrackId} trackId
     * @param {Blob} blob
     * @param {{durationSec: number, padding?: import('../types.js').Padding}} indexValues the track's values in the
     *   index
     */
    prepare: async (trackId, blob, indexValues) => {
      if (entries.has(trackId)) return;
      const entry = { decoded: /** @type {DecodedTrack | null} */ (null) };
      entries.set(trackId, entry);
      const buffer = await withTimeout(DECODE_TIMEOUT_MS, decode(blob)).catch(() => null);
      // During the decoding the track may have been dropped, and even prepared again with another file.
      if (entries.get(trackId) !== entry) return;
      if (!buffer) {
        entries.delete(trackId);
        return on.undecodable(trackId);
      }
      entry.decoded = { buffer, ...trimPadding(buffer.duration, indexValues) };
      on.decoded(trackId, entry.decoded.durationSec, buffer);
    },

    /** The decoded track; `null` while it is not ready. @param {TrackId} trackId */
    get: (trackId) => entries.get(trackId)?.decoded ?? null,

    /** @param {TrackId} trackId */
    drop: (trackId) => void entries.delete(trackId),
    /** Drops all other tracks. @param {ReadonlySet<TrackId>} trackIds */
    retainOnly: (trackIds) => {
      for (const trackId of entries.keys()) {
        if (!trackIds.has(trackId)) entries.delete(trackId);
      }
    },
  };
}
