// The only way to sound, over two engines. Decoded buffers, exact to the sample, play what has a known length and
// fits into memory; the plain element plays everything else: older phones, very long tracks, those of unknown
// length, and what cannot be decoded. It is told where to be and when (a Plan), and reports where it is. What it
// should be told is decided in align.js, when silence is to sound in idle.js.
//
// While buffers sound, the element plays silence of the same length, at the same place: the lock screen, the
// headset's keys and a phone's patience with hidden pages all belong to a media element. (iOS gives "Now
// Playing" to nothing else, and neither does Android to one shorter than 5 s.)

import { createBuffers } from './player/buffers.js';
import { createElement } from './player/element.js';
import { silence } from './player/silence.js';
import { after } from './timer.js';

/** @typedef {import('./types.js').Plan} Plan */
/** @typedef {import('./types.js').Report} Report */
/** @typedef {import('./types.js').TrackId} TrackId */
/** @typedef {ReturnType<typeof createPlayer>} Player */

/** Decoded, a track takes 4 bytes for each sample: this is about 12 minutes in stereo. */
const MOST_TRACK_BYTES = 280e6;

/** All decoded ones together; what is next and does not fit is the element's. Phones let go of pages that take much. */
const MOST_BYTES = 400e6;
const MOST_PHONE_BYTES = 250e6;

/** A phone that says it has less memory than this, in GiB, plays files instead. */
const LEAST_MEMORY = 2;

const CHANNELS = 2;

/**
 * So late the element's silence follows the music. To load even silence, or to open an output for it, is work that the
 * music's own output may stumble over, and where the music begins that would be heard.
 */
const SHADOW_LATE_MS = 300;

/**
 * @param {HTMLAudioElement} audio
 * @param {object} on
 * @param {() => void} on.change It can do something that it could not do before, or the reverse.
 * @param {(trackId: TrackId) => void} on.ended
 * @param {(trackId: TrackId) => void} on.unplayable
 * @param {(trackId: TrackId) => void} on.lost Its bytes are not there any more.
 * @param {(trackId: TrackId, durationSec: number) => void} on.duration
 */
export function createPlayer(audio, on) {
  /** Tracks for the buffers, and how many seconds they last. */
  /** @type {Map<TrackId, number>} */
  const exact = new Map();
  /** Those at hand, as they came; `null` once they are decoded. */
  /** @type {Map<TrackId, Blob | null>} */
  const blobs = new Map();
  /** What the buffers could not decode. */
  /** @type {Set<TrackId>} */
  const refused = new Set();
  /** The engine that was told last. */
  let byBuffers = false;
  let cancelShadow = () => {};

  const element = createElement(audio, {
    change: () => {
      // What takes the element's silence away means the music.
      if (byBuffers && element.locked()) {
        cancelShadow();
        buffers?.follow('silence');
      }
      on.change();
    },
    ended: (trackId) => {
      if (!exact.has(trackId)) on.ended(trackId);
    },
    unplayable: (trackId) => {
      if (!exact.has(trackId)) judge(trackId);
    },
    duration: (trackId, durationSec) => {
      if (!exact.has(trackId)) on.duration(trackId, durationSec);
    },
  });

  const buffers = offersBuffers()
    ? createBuffers({
        change: () => {
          // Silence that goes on would hold on to Bluetooth, and to the lock screen.
          if (byBuffers && buffers?.locked()) {
            cancelShadow();
            element.follow('silence');
          }
          on.change();
        },
        ended: on.ended,
        began: (trackId) => shadow({ kind: 'start', trackId, positionSec: 0, atMs: performance.now(), atOnce: true }),
        decoded: (trackId, durationSec) => {
          blobs.set(trackId, null);
          element.prepare(trackId, silence(durationSec));
          on.duration(trackId, durationSec);
          on.change();
        },
        undecodable: (trackId) => {
          // The element may know better, and says so if it does not.
          exact.delete(trackId);
          refused.add(trackId);
          const blob = blobs.get(trackId);
          if (blob) element.prepare(trackId, blob);
          on.change();
        },
      })
    : null;

  /**
   * Has the element's silence do the same as the music, a little later.
   * @param {Exclude<Plan, {kind: 'slew'}>} plan
   */
  function shadow(plan) {
    cancelShadow();
    const aheadMs = plan.kind === 'start' ? Math.max(0, plan.atMs - performance.now()) : 0;
    cancelShadow = after(aheadMs + SHADOW_LATE_MS, () => {
      if (plan.kind === 'hold') return element.follow(plan);
      const atMs = performance.now();
      const positionSec = plan.positionSec + (atMs - plan.atMs) / 1000;
      element.follow({ ...plan, positionSec, atMs, atOnce: true });
    });
  }

  /** Whether the element sounds a track itself, or is about to. */
  function isElementHeard() {
    const { trackId } = element.report();
    return trackId !== null && !exact.has(trackId);
  }

  /**
   * Tells a format that is not known here from bytes that the browser has taken back.
   * @param {TrackId} trackId
   */
  async function judge(trackId) {
    const blob = blobs.get(trackId);
    try {
      await blob?.slice(0, 1).arrayBuffer();
      on.unplayable(trackId);
    } catch {
      blobs.delete(trackId);
      on.lost(trackId);
    }
  }

  /**
   * @param {TrackId} trackId
   * @param {number} durationSec
   */
  function suits(trackId, durationSec) {
    if (!buffers || refused.has(trackId) || durationSec === 0) return false;
    const bytesOf = (/** @type {number} */ seconds) => seconds * buffers.sampleRate * CHANNELS * 4;
    const others = [...exact].reduce((sum, [id, seconds]) => (id === trackId ? sum : sum + bytesOf(seconds)), 0);
    const bytes = bytesOf(durationSec);
    const most = navigator.maxTouchPoints > 0 ? MOST_PHONE_BYTES : MOST_BYTES;
    return bytes <= MOST_TRACK_BYTES && bytes + others <= most;
  }

  /** @param {TrackId} trackId */
  function has(trackId) {
    return exact.has(trackId) ? Boolean(buffers?.has(trackId)) : element.has(trackId);
  }

  return {
    canPlay: element.canPlay,
    /** Whether sound was refused, or taken away, and needs a gesture. */
    locked: () => element.locked() || Boolean(buffers?.locked()),
    /** Whether it is so because there is nothing to sound from. */
    mute: element.mute,
    /** Whether it is known that sound is allowed now. */
    allowed: () => element.allowed() && !buffers?.locked(),

    /**
     * To be called within a gesture: from then on sound is allowed. Plays along `line` if that helps.
     * @param {{trackId: TrackId, positionSec: number, atMs: number}} [line]
     */
    unlock: (line) => {
      // Safari: with this neither the mute switch nor the lock silences the music. It counts from the next start on.
      const { audioSession } = /** @type {{audioSession?: {type: string}}} */ (navigator);
      if (audioSession) audioSession.type = 'playback';
      buffers?.unlock();
      element.unlock(line && !exact.has(line.trackId) ? line : undefined);
    },

    /**
     * Begins to have a track at hand.
     * @param {TrackId} trackId
     * @param {Blob} blob
     * @param {{duration?: number, padding?: import('./types.js').Padding}} [told] by the index
     */
    prepare: (trackId, blob, { duration: durationSec = 0, padding } = {}) => {
      blobs.set(trackId, blob);
      if (!suits(trackId, durationSec)) return element.prepare(trackId, blob);
      exact.set(trackId, durationSec);
      buffers?.prepare(trackId, blob, { durationSec, padding });
    },
    /** @param {TrackId} trackId */
    has,
    /** How long the index said that a track for the buffers is, in seconds. @param {TrackId} trackId */
    lasts: (trackId) => exact.get(trackId),
    /** @param {TrackId} trackId */
    knows: (trackId) => blobs.has(trackId),
    /**
     * Lets go of all others.
     * @param {ReadonlySet<TrackId>} trackIds
     */
    keep: (trackIds) => {
      for (const trackId of blobs.keys()) {
        if (trackIds.has(trackId)) continue;
        blobs.delete(trackId);
        exact.delete(trackId);
        refused.delete(trackId);
      }
      element.keep(trackIds);
      buffers?.keep(trackIds);
    },

    /** @param {Plan | 'silence'} plan */
    follow: (plan) => {
      if (plan !== 'silence' && plan.kind === 'slew') return buffers?.follow(plan);
      cancelShadow();
      const toBuffers = plan !== 'silence' && exact.has(plan.trackId);
      if (byBuffers && !toBuffers) buffers?.follow('silence');
      byBuffers = toBuffers;
      if (!toBuffers) return element.follow(plan);
      if (isElementHeard()) element.follow('silence');
      buffers?.follow(plan);
      shadow(plan);
    },

    /**
     * What is to follow by itself, at that moment; `null` for nothing.
     * @param {{trackId: TrackId, atMs: number} | null} line
     */
    lineUp: (line) => buffers?.lineUp(byBuffers && line && exact.has(line.trackId) && has(line.trackId) ? line : null),

    /**
     * @param {import('./player/sounds.js').Sound} name
     * @param {number} atMs when it is to be heard
     */
    sound: (name, atMs) => buffers?.sound(name, atMs),

    /** What is known of the output is old. */
    forget: () => buffers?.forget(),

    idle: () => {
      cancelShadow();
      if (byBuffers) buffers?.follow('silence');
      byBuffers = false;
      element.idle();
    },

    /** @returns {Report} */
    report: () => (byBuffers && buffers ? buffers.report() : element.report()),
  };
}

/**
 * On iOS a context falls silent with the screen, unless the page may say that it plays music, which came with
 * `audioSession` (16.4).
 */
function offersBuffers() {
  if (typeof AudioContext === 'undefined') return false;
  const phone = /** @type {{audioSession?: object, deviceMemory?: number}} */ (navigator);
  const iOS = 'GestureEvent' in window && navigator.maxTouchPoints > 0;
  return !(iOS && !phone.audioSession) && (phone.deviceMemory ?? LEAST_MEMORY) >= LEAST_MEMORY;
}
