// The engine that every browser has: one <audio> element, fed with Blobs. It does what it is told as exactly
// as the element lets it, and reports where it is.

import { after, sleep } from '../timer.js';
import { canSound } from './probe.js';
import { silence } from './silence.js';

/** @typedef {import('../types.js').Plan} Plan */
/** @typedef {import('../types.js').Report} Report */
/** @typedef {import('../types.js').TrackId} TrackId */

/** Until starts have been measured: browsers are heard 55 to 95 ms after the call. */
const FIRST_LATENCY_MS = 75;
const MOST_LATENCY_MS = 250;

/** The same from one track's end to the next one's sound. */
const FIRST_CHANGE_MS = 110;

/** How long a load or a seek takes, until it has been measured; and what is left as reserve. */
const FIRST_SEEK_MS = 60;
const MOST_SEEK_MS = 1_000;
const RESERVE_MS = 15;

/** So long after the call the reported position is one of sound. */
const SETTLED_MS = 300;

/** Timers come late by a few ms: the last of them are waited out. */
const SPIN_MS = 3;

/** An element that says nothing for so long is told to play all the same. */
const PATIENCE_MS = 2_000;

const TRIES = 3;

/** Long enough to carry lock-screen controls, which Android gives only to sounds of more than 5 s. */
const IDLE_SEC = 10;

/**
 * @param {HTMLAudioElement} audio
 * @param {object} on
 * @param {() => void} on.change It can do something that it could not do before, or the reverse.
 * @param {(trackId: TrackId) => void} on.ended
 * @param {(trackId: TrackId) => void} on.unplayable
 * @param {(trackId: TrackId, durationSec: number) => void} on.duration
 */
export function createElement(audio, on) {
  /** @type {Map<TrackId, string>} */
  const urls = new Map();
  const tapUrl = URL.createObjectURL(silence(0.5));
  const idleUrl = URL.createObjectURL(silence(IDLE_SEC));

  /** @type {TrackId | null} */
  let loaded = null;
  /** The bytes in the element, which may be older than those at hand. */
  let loadedUrl = '';
  /** @type {Report['phase']} */
  let phase = 'empty';
  /** @type {Plan | null} */
  let plan = null;
  let unlocked = false;
  let locked = false;
  let mute = false;
  let blaming = false;
  let taps = 0;
  let latencyMs = FIRST_LATENCY_MS;
  let seekMs = FIRST_SEEK_MS;
  let changeMs = FIRST_CHANGE_MS;
  /** The last start: when it was begun, for which position, and whether it has been learned from. */
  let started = { atMs: 0, positionSec: 0, change: false, measured: true };
  /** Each plan takes the turn away from the one before. */
  let turn = 0;

  /** @param {TrackId} trackId */
  function load(trackId) {
    if (isLoaded(trackId)) return;
    loaded = trackId;
    release();
    loadedUrl = urls.get(trackId) ?? '';
    audio.loop = false;
    audio.src = loadedUrl;
  }

  function unload() {
    loaded = null;
    release();
  }

  /**
   * Whether the element has just those bytes of the track that are at hand now.
   * @param {TrackId} trackId
   */
  function isLoaded(trackId) {
    return loaded === trackId && loadedUrl === urls.get(trackId);
  }

  /** Lets go of what is loaded, unless it is still at hand. */
  function release() {
    if (loadedUrl !== '' && ![...urls.values()].includes(loadedUrl)) URL.revokeObjectURL(loadedUrl);
    loadedUrl = '';
  }

  /**
   * @param {number} positionSec
   * @param {number} own
   */
  async function place(positionSec, own) {
    await until(() => audio.readyState >= HTMLMediaElement.HAVE_METADATA);
    if (own !== turn) return;
    if (Math.abs(audio.currentTime - positionSec) > 0.001) audio.currentTime = positionSec;
    await until(() => audio.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA && !audio.seeking);
  }

  /**
   * Resolves when the element has come so far, or has said nothing for too long.
   * @param {() => boolean} reached
   */
  async function until(reached) {
    const abort = new AbortController();
    await new Promise((resolve) => {
      const look = () => {
        if (reached() || audio.error) resolve(null);
      };
      for (const name of ['loadedmetadata', 'canplay', 'seeked', 'error', 'emptied']) {
        audio.addEventListener(name, look, { signal: abort.signal });
      }
      const cancel = after(PATIENCE_MS, () => resolve(null));
      abort.signal.addEventListener('abort', cancel);
      look();
    });
    abort.abort();
  }

  /** @param {Extract<Plan, {kind: 'hold'}>} to */
  async function hold(to) {
    phase = 'held';
    audio.pause();
    load(to.trackId);
    await place(to.positionSec, turn);
  }

  /**
   * @param {Extract<Plan, {kind: 'start'}>} to
   * @param {number} own
   */
  async function start(to, own) {
    phase = 'starting';
    let { positionSec, atMs } = to;
    if (to.atOnce && !isLoaded(to.trackId)) {
      const begunMs = performance.now();
      load(to.trackId);
      // Each event that is waited for at a change of tracks is heard as silence. Before it has
      // loaded, an element takes the position as the one to begin at.
      if (positionSec > 0) audio.currentTime = positionSec;
      await play({ atMs: begunMs, positionSec, change: true, measured: false }, own);
      return;
    }
    for (let tries = 1; ; tries += 1) {
      const begunMs = performance.now();
      if (!isLoaded(to.trackId) || Math.abs(audio.currentTime - positionSec) > 0.001) audio.pause();
      load(to.trackId);
      await place(positionSec, own);
      if (own !== turn) return;
      const nowMs = performance.now();
      const tookMs = nowMs - begunMs;
      const missedMs = nowMs - (atMs - latencyMs);
      if (missedMs <= RESERVE_MS || tries === TRIES) {
        // One slow load is no reason to be slow for ever.
        seekMs = Math.max(FIRST_SEEK_MS, seekMs + (tookMs + RESERVE_MS - seekMs) / 4);
        break;
      }
      seekMs = Math.min(MOST_SEEK_MS, Math.max(seekMs, tookMs) + RESERVE_MS);
      const laterMs = nowMs + leadMs() - atMs;
      positionSec += laterMs / 1000;
      atMs += laterMs;
    }
    await moment(atMs - latencyMs);
    if (own === turn) await play(fromNow(positionSec), own);
  }

  /** @param {number} positionSec */
  function fromNow(positionSec) {
    return { atMs: performance.now(), positionSec, change: false, measured: false };
  }

  /**
   * @param {typeof started} from
   * @param {number} own
   */
  async function play(from, own) {
    started = from;
    phase = 'playing';
    try {
      await audio.play();
      if (own === turn) allow();
    } catch (error) {
      if (own === turn) refused(error);
    }
  }

  function allow() {
    unlocked = true;
    locked = false;
    on.change();
  }

  /** @param {unknown} error */
  function refused(error) {
    const name = error instanceof DOMException ? error.name : '';
    if (name === 'AbortError') return;
    phase = loaded === null ? 'empty' : 'held';
    plan = null;
    if (name === 'NotAllowedError') {
      locked = true;
      on.change();
    }
  }

  function leadMs() {
    return latencyMs + seekMs + RESERVE_MS;
  }

  /** Learns from a start that has settled how long it took to sound. */
  function measure() {
    const sinceMs = performance.now() - started.atMs;
    const playedMs = (audio.currentTime - started.positionSec) * 1000;
    const tookMs = Math.min(MOST_LATENCY_MS, Math.max(0, sinceMs - playedMs));
    if (started.change) changeMs += (tookMs - changeMs) / 2;
    else latencyMs += (tookMs - latencyMs) / 2;
    started.measured = true;
  }

  function look() {
    if (phase !== 'playing' || loaded === null) return;
    if (!audio.ended && !(audio.currentTime >= audio.duration)) return;
    phase = 'ended';
    on.ended(loaded);
  }

  // On a locked iPhone any of these may be the first to tell of the end, and the last may not come.
  for (const name of ['timeupdate', 'pause', 'ended']) audio.addEventListener(name, look);

  audio.addEventListener('loadedmetadata', () => {
    if (loaded !== null && Number.isFinite(audio.duration)) on.duration(loaded, audio.duration);
  });
  audio.addEventListener('pause', () => {
    // Not by us: a call, a lost headset, the system. To go on by itself would be rude.
    const own = phase !== 'playing' && phase !== 'idle';
    if (own || audio.ended || audio.error || !audio.paused) return;
    phase = loaded === null ? 'empty' : 'held';
    plan = null;
    locked = true;
    on.change();
  });
  audio.addEventListener('error', () => {
    const trackId = loaded;
    loaded = null;
    phase = 'empty';
    plan = null;
    turn += 1;
    blame(trackId);
  });

  /**
   * Tells a track that cannot be played from a device that has nothing to play it on.
   * @param {TrackId | null} trackId `null` if what failed was silence
   */
  async function blame(trackId) {
    if (trackId === null && ![tapUrl, idleUrl].includes(audio.src)) return;
    // Meanwhile it may be tried again, to no other end.
    if (blaming) return;
    blaming = true;
    const own = taps;
    const able = trackId !== null && (await canSound(tapUrl));
    const tapped = own !== taps;
    if (!tapped) blaming = false;
    if (able) return on.unplayable(trackId);
    // The tap has tried anew, maybe with something to sound from.
    if (tapped) return;
    mute = true;
    locked = true;
    on.change();
  }

  return {
    canPlay: (/** @type {string} */ mime) => audio.canPlayType(mime) !== '',
    locked: () => locked,
    /** Whether there turned out to be nothing to sound from. A touch tries again. */
    mute: () => mute,
    allowed: () => unlocked && !locked,

    /**
     * To be called within a gesture; plays along `line` if it is given and loaded, else stays silent.
     * @param {{trackId: TrackId, positionSec: number, atMs: number}} [line]
     */
    unlock: (line) => {
      mute = false;
      // What fails from here on is looked into anew.
      blaming = false;
      taps += 1;
      turn += 1;
      const own = turn;
      if (line && isLoaded(line.trackId)) {
        plan = { kind: 'start', ...line, atOnce: true };
        const soonSec = (performance.now() + latencyMs - line.atMs) / 1000;
        audio.currentTime = Math.max(0, line.positionSec + soonSec);
        play(fromNow(audio.currentTime), own);
        return;
      }
      if (loaded === null) {
        audio.loop = false;
        audio.src = tapUrl;
      }
      phase = loaded === null ? 'empty' : 'held';
      plan = null;
      audio.play().then(allow, refused);
      if (loaded !== null) {
        audio.pause();
        // The pause cuts the promise short, but the gesture has counted.
        allow();
      }
    },

    /**
     * @param {TrackId} trackId
     * @param {Blob} blob
     */
    prepare: (trackId, blob) => {
      if (!urls.has(trackId)) urls.set(trackId, URL.createObjectURL(blob));
    },
    has: (/** @type {TrackId} */ trackId) => urls.has(trackId),
    /** @param {ReadonlySet<TrackId>} trackIds */
    keep: (trackIds) => {
      for (const [trackId, url] of urls) {
        if (trackIds.has(trackId)) continue;
        urls.delete(trackId);
        // What is loaded may sound on; but from the next start on it is another's turn.
        if (url !== loadedUrl) URL.revokeObjectURL(url);
      }
    },

    /** @param {Exclude<Plan, {kind: 'slew'}> | 'silence'} next */
    follow: (next) => {
      turn += 1;
      plan = next === 'silence' ? null : next;
      if (next === 'silence') {
        phase = 'empty';
        loaded = null;
        audio.pause();
      } else if (next.kind === 'hold') {
        hold(next);
      } else {
        start(next, turn);
      }
    },

    /** Plays silence, until it is told something else. */
    idle: () => {
      if (phase === 'idle') return;
      turn += 1;
      const own = turn;
      plan = null;
      unload();
      phase = 'idle';
      audio.loop = true;
      audio.src = idleUrl;
      audio.play().catch((error) => {
        if (own === turn) refused(error);
      });
    },

    /** @returns {Report} */
    report: () => {
      const atMs = performance.now();
      const settled = phase === 'playing' && atMs - started.atMs > SETTLED_MS && !audio.seeking;
      if (settled && !started.measured) measure();
      return {
        trackId: loaded,
        phase,
        exact: false,
        settled,
        slewing: false,
        shaken: false,
        spreadMs: 0,
        positionSec: audio.currentTime,
        atMs,
        plan,
        latencyMs,
        leadMs: leadMs(),
        changeMs,
      };
    },
  };
}

/**
 * Resolves at a moment of this page's clock.
 * @param {number} atMs
 */
async function moment(atMs) {
  const waitMs = atMs - performance.now() - SPIN_MS;
  if (waitMs > 0) await sleep(waitMs);
  while (performance.now() < atMs);
}
