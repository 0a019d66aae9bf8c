// The tracks that the player has prepared: assigns each to an engine, and finds out why a track cannot be played. A track that
// does not fit into memory beside the others starts on the element engine. It is decoded once the others are dropped, and the
// buffer engine takes over (engine-pair.js).

import { createEngineChoice } from './engine-choice.js';
import { silentWav } from './silence.js';

/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * A version of a track, and its length in the server's index, in seconds; 0 if unknown.
 * @typedef {{version: string, indexedSec: number}} PreparedTrack
 */

/**
 * What is known of a track before it is decoded: its length in seconds (0 if unknown), and the channels of its file.
 * @typedef {{durationSec: number, padding?: import('../types.js').Padding, channels: number}} DecoderInput
 */

/**
 * @param {Pick<ReturnType<typeof import('./engine-pair.js').createEnginePair>, 'elementEngine' | 'bufferEngine'>} engines
 * @param {Pick<import('./player.js').PlayerCallbacks, 'change' | 'unplayable' | 'lost' | 'decoded'>} on
 */
export function createPlayerTracks({ elementEngine, bufferEngine }, on) {
  const engineChoice = createEngineChoice(bufferEngine?.sampleRate ?? null);
  /** The stored bytes of the prepared tracks; `null` once the buffer engine has decoded them. */
  /** @type {Map<TrackId, Blob | null>} */
  const blobs = new Map();
  /** The entry in the index of each prepared track, as it was when the track was prepared. */
  /** @type {Map<TrackId, PreparedTrack>} */
  const preparedTracks = new Map();
  /** @type {Map<TrackId, DecoderInput>} */
  const decoderInputs = new Map();
  /** The tracks that the buffer engine plays. @type {Set<TrackId>} */
  const bufferTrackIds = new Set();
  /** Tracks that the element engine plays, and that are being decoded for the buffer engine. @type {Set<TrackId>} */
  const catchingUpTrackIds = new Set();

  /** Begins to decode a track if it fits into memory. @param {TrackId} trackId @returns {boolean} whether it fits */
  function decode(trackId) {
    const input = decoderInputs.get(trackId);
    const blob = blobs.get(trackId);
    if (!input || !blob || !engineChoice.fitsBufferEngine(trackId, input.durationSec, input.channels)) return false;
    engineChoice.reserve(trackId, input.durationSec, input.channels);
    bufferEngine?.prepare(trackId, blob, input);
    return true;
  }

  /** Leaves a track to the element engine. @param {TrackId} trackId */
  function useElement(trackId) {
    // The media element may support the format nevertheless. Otherwise it reports an error when the track starts.
    engineChoice.markUndecodable(trackId);
    bufferTrackIds.delete(trackId);
    catchingUpTrackIds.delete(trackId);
    const blob = blobs.get(trackId);
    if (blob) elementEngine.prepare(trackId, blob);
    elementEngine.endMutedStart(trackId);
    on.change();
  }

  return {
    /** @param {TrackId} trackId */
    usesBufferEngine: (trackId) => bufferTrackIds.has(trackId),
    /**
     * Whether a track of the element engine is being decoded, or will be once `droppedTrackId` is dropped.
     * @param {TrackId} trackId
     * @param {TrackId | null} droppedTrackId
     */
    willDecode: (trackId, droppedTrackId) => {
      if (catchingUpTrackIds.has(trackId)) return true;
      const input = decoderInputs.get(trackId);
      return Boolean(input && blobs.get(trackId) && engineChoice.fitsBufferEngine(trackId, input.durationSec, input.channels, droppedTrackId));
    },
    /** Whether playback can start without further loading. @param {TrackId} trackId */
    isReady: (trackId) => (bufferTrackIds.has(trackId) ? Boolean(bufferEngine?.isReady(trackId)) : elementEngine.isPrepared(trackId)),
    /** Whether `prepare` was called for the track. @param {TrackId} trackId */
    isPrepared: (trackId) => blobs.has(trackId),
    /**
     * What the index described when a track of the buffer engine was prepared; `undefined` for tracks of the element engine.
     * @param {TrackId} trackId
     */
    preparedTrack: (trackId) => (bufferTrackIds.has(trackId) ? preparedTracks.get(trackId) : undefined),

    /**
     * @param {TrackId} trackId
     * @param {Blob} blob
     * @param {Partial<import('../types.js').Track> & {channels?: number}} [track] the track's entry in the index, and the
     *   channels of its file
     */
    prepare: (trackId, blob, { duration: durationSec = 0, uncorrectedDuration, padding, version = '', channels = 2 } = {}) => {
      blobs.set(trackId, blob);
      preparedTracks.set(trackId, { version, indexedSec: uncorrectedDuration ?? durationSec });
      decoderInputs.set(trackId, { durationSec, padding, channels });
      if (decode(trackId)) bufferTrackIds.add(trackId);
      else elementEngine.prepare(trackId, blob);
    },

    /** @param {ReadonlySet<TrackId>} trackIds in the order in which they get the memory that this frees */
    retainOnly: (trackIds) => {
      for (const trackId of blobs.keys()) {
        if (trackIds.has(trackId)) continue;
        for (const collection of [blobs, preparedTracks, decoderInputs, bufferTrackIds, catchingUpTrackIds]) collection.delete(trackId);
        engineChoice.drop(trackId);
      }
      elementEngine.retainOnly(trackIds);
      bufferEngine?.retainOnly(trackIds);
      for (const trackId of trackIds) {
        if (bufferTrackIds.has(trackId) || catchingUpTrackIds.has(trackId) || !decode(trackId)) continue;
        catchingUpTrackIds.add(trackId);
      }
    },

    /** @param {TrackId} trackId @param {number} durationSec @param {AudioBuffer} buffer */
    handleDecoded: (trackId, durationSec, buffer) => {
      if (!engineChoice.confirm(trackId, buffer.duration, buffer.numberOfChannels)) {
        bufferEngine?.drop(trackId);
        return useElement(trackId);
      }
      blobs.set(trackId, null);
      const silence = silentWav(durationSec);
      // The silence that the element plays beside the buffer engine (silent-mirror.js) has the track's length.
      if (catchingUpTrackIds.delete(trackId)) elementEngine.replace(trackId, silence);
      else elementEngine.prepare(trackId, silence);
      bufferTrackIds.add(trackId);
      on.decoded(trackId, preparedTracks.get(trackId)?.version ?? '', durationSec);
      on.change();
    },

    handleUndecodable: useElement,

    /** Distinguishes an unsupported format from bytes that the browser has discarded. @param {TrackId} trackId */
    handleUnplayable: async (trackId) => {
      const blob = blobs.get(trackId);
      try {
        await blob?.slice(0, 1).arrayBuffer();
        on.unplayable(trackId);
      } catch {
        blobs.delete(trackId);
        on.lost(trackId);
      }
    },
  };
}
