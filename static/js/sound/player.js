// The player: one interface over two engines. The buffer engine is accurate to the sample; the element engine plays the
// tracks that the buffer engine cannot play (engine-choice.js). The player executes the plans that align.js makes, and
// reports its position.

import { createEnginePair } from './engine-pair.js';
import { createPlayerTracks } from './player-tracks.js';

/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {ReturnType<typeof createPlayer>} Player */

/**
 * @typedef {object} PlayerCallbacks
 * @property {() => void} change An engine was locked or unlocked, a start was scheduled, or a track became ready.
 * @property {(trackId: TrackId) => void} ended The track has played to its end.
 * @property {(trackId: TrackId) => void} unplayable The browser does not support the format.
 * @property {(trackId: TrackId) => void} lost The browser has discarded the track's stored bytes.
 * @property {(trackId: TrackId, durationSec: number) => void} duration The media element has loaded the track and reports this
 *   duration, which may be an estimate.
 * @property {(trackId: TrackId, version: string, durationSec: number) => void} decoded The whole track has been decoded, in the
 *   version with which the track was prepared.
 */

/**
 * @param {HTMLAudioElement} audio
 * @param {PlayerCallbacks} on
 * @param {(trackId: TrackId) => number} [levelOf] the factor with which a track is played
 */
export function createPlayer(audio, on, levelOf = () => 1) {
  const engines = createEnginePair(audio, (trackId) => tracks.usesBufferEngine(trackId), {
    change: on.change,
    ended: on.ended,
    duration: on.duration,
    unplayable: (trackId) => tracks.handleUnplayable(trackId),
    decoded: (...decoded) => tracks.handleDecoded(...decoded),
    undecodable: (trackId) => tracks.handleUndecodable(trackId),
  }, levelOf, (...ids) => tracks.willDecode(...ids));
  const { elementEngine, bufferEngine } = engines;
  const tracks = createPlayerTracks(engines, on);

  return {
    canPlay: elementEngine.canPlay,
    /** Whether the browser has refused or interrupted sound, so that the player is silent until a gesture. */
    isLocked: () => elementEngine.isLocked() || Boolean(bufferEngine?.isLocked()),
    /** Whether the system has interrupted sound. */
    isInterrupted: () => elementEngine.isInterrupted() || Boolean(bufferEngine?.isInterrupted()),
    /** Whether the device has no audio output. */
    isOutputMissing: elementEngine.isOutputMissing,
    /** Whether the browser is known to allow sound. */
    isSoundAllowed: () => elementEngine.isSoundAllowed() && !bufferEngine?.isLocked(),

    /**
     * Must be called within a gesture: from then on the browser allows sound.
     * @param {{trackId: TrackId, positionSec: number, atMs: number}} [timeline] the track that the element engine plays
     *   at once if the track is loaded; at `atMs` the track is at `positionSec`
     */
    unlock: (timeline) => {
      // Safari 16.4 and later: with this type, neither the mute switch nor the screen lock silences an AudioContext. The
      // type takes effect at the next start of playback.
      const { audioSession } = /** @type {{audioSession?: {type: string}}} */ (navigator);
      if (audioSession) audioSession.type = 'playback';
      bufferEngine?.unlock();
      elementEngine.unlock(timeline && !tracks.usesBufferEngine(timeline.trackId) ? timeline : undefined);
    },

    /** Begins to make a track ready, given its stored bytes and its entry in the index. */
    prepare: tracks.prepare,
    /** Whether the track can start without further loading. */
    isReady: tracks.isReady,
    /** Whether the track was prepared, and has not been dropped since. */
    isPrepared: tracks.isPrepared,
    /** The version and indexed length with which a track of the buffer engine was prepared. */
    preparedTrack: tracks.preparedTrack,
    /** The samples of a track; `null` unless the buffer engine has decoded it. @param {TrackId} trackId */
    decodedBuffer: (trackId) => bufferEngine?.decodedBuffer(trackId) ?? null,
    /** Drops all other tracks. */
    retainOnly: tracks.retainOnly,

    execute: engines.execute,

    /** Sets the factor of all tracks: the volume of this phone. */
    setOutputGain: engines.setOutputGain,
    /** Applies the levels of the tracks (`levelOf`) to scheduled tracks that have not begun. */
    updateLevels: () => bufferEngine?.updateLevels(),

    /**
     * Schedules the track that follows the current one without a gap, if both are assigned to the buffer engine; `null`
     * cancels.
     * @param {{trackId: TrackId, atMs: number} | null} start
     */
    scheduleNext: (start) =>
      engines.scheduleNext(start && tracks.usesBufferEngine(start.trackId) && tracks.isReady(start.trackId) ? start : null),

    /** @param {import('./test-sound-samples.js').TestSound} name @param {number} atMs when the sound is to be heard */
    playTestSound: (name, atMs) => bufferEngine?.playTestSound(name, atMs),

    /** Drops the measurements of the output clock. */
    resetOutputClock: () => bufferEngine?.resetOutputClock(),
    /** The latency of the output while the buffer engine plays; `null` if unknown. */
    outputLatencyMs: () => bufferEngine?.outputLatencyMs() ?? null,

    /** Plays silence until the next plan, so that the system does not suspend the page. */
    keepAlive: engines.keepAlive,
    report: engines.report,
  };
}
