// The engine that is exact to the sample: whole tracks, decoded, on one AudioContext. What sounds and when is laid
// down on the context's own clock; which moment of that is heard when, watch.js knows.

import { after, within } from '../timer.js';
import { musicIn } from './output.js';
import { SOUNDS } from './sounds.js';
import { HAND_OVER_SEC, createVoice } from './voice.js';
import { createWatch } from './watch.js';

/** @typedef {import('../types.js').Plan} Plan */
/** @typedef {import('../types.js').Report} Report */
/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {import('./voice.js').Voice} Voice */

/** A context that has nothing to play is a battery's loss after so long. */
const REST_MS = 60_000;

/** A context that is to run and whose clock stands still for so long is taken for dead. */
const STILL_MS = 1_000;

/** So long a browser may take until a context runs. Then it is waiting for a touch, as far as anybody can tell. */
const RESUME_MS = 1_500;
const RESUME_LOOK_MS = 30;

/** So long a browser may take to decode a track. */
const DECODE_MS = 20_000;

/** A voice that is lined up is not moved for less than this, */
const LINED_UP_MS = 0.5;

/** nor when it begins sooner than this, in seconds. */
const TOO_SOON_SEC = 0.1;

/** What is left of a track whose length was told wrong ends so long after the next has begun, in seconds. */
const TAIL_SEC = 0.05;

/** A sound for tuning is laid down so long before it is heard: by then what is known of the output is fresh. */
const LAY_DOWN_MS = 600;

/** What is taken for the way from the player to the air while nothing is known, in milliseconds. */
const USUAL_AHEAD_MS = 40;

/**
 * @param {object} on
 * @param {() => void} on.change It can do something that it could not do before, or the reverse.
 * @param {(trackId: TrackId) => void} on.ended
 * @param {(trackId: TrackId) => void} on.began The voice that was lined up took over.
 * @param {(trackId: TrackId, durationSec: number) => void} on.decoded
 * @param {(trackId: TrackId) => void} on.undecodable
 */
export function createBuffers(on) {
  const context = new AudioContext({ latencyHint: 'playback' });
  const watch = createWatch(context);
  /** @type {Map<TrackId, {music: import('./output.js').Decoded | null}>} `null` while it is being decoded. */
  const tracks = new Map();
  /** @type {Voice | null} */
  let voice = null;
  /** What follows it by itself. */
  /** @type {Voice | null} */
  let next = null;
  let forgetNext = () => {};
  /** Where it is silent: where it was told to be, or where its track ended. */
  /** @type {{trackId: TrackId, positionSec: number, ended: boolean} | null} */
  let silentAt = null;
  /** @type {Plan | null} */
  let plan = null;
  /** Why there is no sound until a touch: it was taken away, or the browser was too slow to be told from refusing. */
  /** @type {'taken' | 'slow' | null} */
  let refusal = null;
  let resting = false;
  let cancelRest = () => {};
  let still = { atSec: -1, sinceMs: 0, revived: false };
  /** Each plan takes the turn away from the one before. */
  let turn = 0;

  const nowSec = () => watch.secAt(performance.now());
  const soonSec = () => context.currentTime + HAND_OVER_SEC;

  /** @param {number} sec */
  function onFrame(sec) {
    return Math.round(sec * context.sampleRate) / context.sampleRate;
  }

  /** @param {Blob} blob */
  async function decode(blob) {
    return context.decodeAudioData(await blob.arrayBuffer());
  }

  /**
   * Lays a voice down; `null` if the track is over by then.
   * @param {TrackId} trackId
   * @param {number} positionSec
   * @param {number} atMs
   */
  function lay(trackId, positionSec, atMs) {
    const music = tracks.get(trackId)?.music;
    if (!music) return null;
    const wantedSec = onFrame(watch.secAt(atMs));
    const atSec = Math.max(wantedSec, onFrame(soonSec()));
    const fromSec = onFrame(positionSec) + atSec - wantedSec;
    return fromSec < music.durationSec ? createVoice(context, { trackId, music, atSec, fromSec }, over) : null;
  }

  function hush() {
    lineUp(null);
    voice?.end(soonSec());
    voice = null;
    rest();
  }

  function rest() {
    cancelRest();
    cancelRest = after(REST_MS, () => {
      if (voice || plan?.kind === 'start' || context.state !== 'running') return;
      resting = true;
      context.suspend();
    });
  }

  function wake() {
    resting = false;
    context.resume().catch(() => {});
    watch.keen();
  }

  /** @param {Voice} done */
  function over(done) {
    if (done !== voice) return;
    if (next) return takeOver();
    silentAt = { trackId: done.trackId, positionSec: done.positionAt(Infinity), ended: true };
    voice = null;
    rest();
    on.ended(done.trackId);
  }

  function takeOver() {
    if (!next || !voice) return;
    const old = voice;
    forgetNext();
    voice = next;
    next = null;
    plan = { kind: 'start', trackId: voice.trackId, positionSec: 0, atMs: atMsOf(voice), atOnce: false };
    old.end(Math.max(context.currentTime, voice.atSec + TAIL_SEC));
    on.ended(old.trackId);
    on.began(voice.trackId);
  }

  /** @param {Voice} laid when its first sample is heard, on this page's clock */
  function atMsOf(laid) {
    return performance.now() + (laid.atSec - nowSec()) * 1000;
  }

  /** @param {{trackId: TrackId, atMs: number} | null} line */
  function lineUp(line) {
    if (next) {
      const off = line?.trackId === next.trackId ? Math.abs(line.atMs - atMsOf(next)) : Infinity;
      if (off < LINED_UP_MS || (off < Infinity && next.atSec - context.currentTime < TOO_SOON_SEC)) return;
      forgetNext();
      next.end(context.currentTime);
      next = null;
    }
    if (!line || !voice) return;
    const laid = lay(line.trackId, 0, line.atMs);
    if (!laid) return;
    next = laid;
    // The end of the old track and the beginning of the new one need not meet exactly.
    forgetNext = after(Math.max(0, atMsOf(laid) - performance.now()), takeOver);
  }

  /**
   * @param {Extract<Plan, {kind: 'start'}>} to
   * @param {number} own
   */
  async function start(to, own) {
    if (!isReady() && !(await runs(own))) return;
    const old = voice;
    lineUp(null);
    voice = lay(to.trackId, to.positionSec, to.atMs);
    old?.end(Math.max(context.currentTime, voice?.atSec ?? 0));
    silentAt = voice ? null : { trackId: to.trackId, positionSec: to.positionSec, ended: true };
    watch.keen();
    on.change();
  }

  function isReady() {
    return context.state === 'running' && Boolean(watch.known()?.settled);
  }

  /**
   * Has the context run, and its output known; says whether it is still this plan's turn.
   * @param {number} own
   */
  async function runs(own) {
    const endMs = performance.now() + RESUME_MS;
    wake();
    while (own === turn && !isReady() && performance.now() < endMs) {
      await new Promise((resolve) => void after(RESUME_LOOK_MS, () => resolve(null)));
    }
    if (own !== turn) return false;
    if (context.state === 'running') return true;
    refuse('slow');
    return false;
  }

  /** @param {'taken' | 'slow'} why */
  function refuse(why) {
    turn += 1;
    plan = null;
    refusal = why;
    on.change();
  }

  /** After a call a context may say that it runs, with a clock that stands still. */
  function revive() {
    const nowMs = performance.now();
    const moves = context.currentTime !== still.atSec;
    if (!voice || moves) {
      still = { atSec: context.currentTime, sinceMs: nowMs, revived: false };
      return;
    }
    if (nowMs - still.sinceMs < STILL_MS) return;
    if (still.revived) return taken();
    still = { ...still, sinceMs: nowMs, revived: true };
    watch.forget();
    context.suspend().then(() => context.resume(), () => {});
  }

  /** Not by us: a call, the system. To go on by itself would be rude. */
  function taken() {
    const was = voice;
    const positionSec = was?.positionAt(nowSec()) ?? 0;
    hush();
    silentAt = was && { trackId: was.trackId, positionSec, ended: false };
    refuse('taken');
  }

  context.onstatechange = () => {
    watch.forget();
    if (context.state === 'running') {
      watch.keen();
      if (refusal === 'slow') refusal = null;
      on.change();
    } else if (voice && !resting && !still.revived) {
      taken();
    }
  };

  /** @returns {Report['phase']} */
  function phase() {
    if (voice) return nowSec() < voice.atSec ? 'starting' : 'playing';
    if (silentAt?.ended) return 'ended';
    if (plan?.kind === 'start') return 'starting';
    return silentAt ? 'held' : 'empty';
  }

  return {
    /** Frames a second, of whatever is decoded. */
    sampleRate: context.sampleRate,

    /** Whether it is silent until a touch. */
    locked: () => refusal !== null,

    /** To be called within a gesture. */
    unlock: () => {
      refusal = null;
      wake();
      rest();
    },

    /**
     * @param {TrackId} trackId
     * @param {Blob} blob
     * @param {{durationSec: number, padding?: import('../types.js').Padding}} told by the index
     */
    prepare: async (trackId, blob, told) => {
      if (tracks.has(trackId)) return;
      const own = { music: /** @type {import('./output.js').Decoded | null} */ (null) };
      tracks.set(trackId, own);
      const buffer = await within(DECODE_MS, decode(blob)).catch(() => null);
      // It may have been let go of meanwhile, and even be back with other bytes.
      if (tracks.get(trackId) !== own) return;
      if (!buffer) {
        tracks.delete(trackId);
        return on.undecodable(trackId);
      }
      own.music = { buffer, ...musicIn(buffer.duration, told) };
      on.decoded(trackId, own.music.durationSec);
    },
    has: (/** @type {TrackId} */ trackId) => Boolean(tracks.get(trackId)?.music),
    /** @param {ReadonlySet<TrackId>} trackIds */
    keep: (trackIds) => {
      for (const trackId of tracks.keys()) {
        if (!trackIds.has(trackId)) tracks.delete(trackId);
      }
    },

    /** @param {Plan | 'silence'} to */
    follow: (to) => {
      if (to !== 'silence' && to.kind === 'slew') return voice?.slew(to.byMs);
      turn += 1;
      plan = to === 'silence' ? null : to;
      silentAt = null;
      if (to !== 'silence' && to.kind === 'start') return void start(to, turn);
      if (to !== 'silence') silentAt = { trackId: to.trackId, positionSec: to.positionSec, ended: false };
      hush();
    },
    lineUp,
    forget: watch.forget,

    /**
     * @param {import('./sounds.js').Sound} name
     * @param {number} atMs when it is to be heard
     */
    sound: (name, atMs) => {
      if (refusal) return;
      // While nothing plays, the output may sleep, and what is known of it is old.
      wake();
      rest();
      after(Math.max(0, atMs - performance.now() - LAY_DOWN_MS), () => {
        const atSec = watch.secAt(atMs);
        // Late, it would say that the speaker is.
        if (context.state !== 'running' || atSec < context.currentTime) return;
        const samples = SOUNDS[name](context.sampleRate);
        const buffer = context.createBuffer(1, samples.length, context.sampleRate);
        buffer.copyToChannel(samples, 0);
        const source = new AudioBufferSourceNode(context, { buffer });
        source.connect(context.destination);
        source.start(atSec);
      });
    },

    /** @returns {Report} */
    report: () => {
      watch.look();
      revive();
      const atMs = performance.now();
      const known = watch.known();
      const heardSec = watch.secAt(atMs);
      const now = phase();
      const aheadMs = known ? (context.currentTime - heardSec) * 1000 : USUAL_AHEAD_MS;
      const leadMs = Math.max(0, aheadMs) + HAND_OVER_SEC * 1000;
      return {
        trackId: (voice ?? silentAt)?.trackId ?? (plan?.kind === 'start' ? plan.trackId : null),
        phase: now,
        exact: true,
        settled: now === 'playing' && known !== null && known.settled,
        slewing: Boolean(voice?.isSlewing(heardSec)),
        shaken: watch.shaken(),
        spreadMs: known?.spreadMs ?? 0,
        positionSec: voice ? voice.positionAt(heardSec) : (silentAt?.positionSec ?? 0),
        atMs,
        plan,
        // Nothing is loaded or sought here: each of these takes the same.
        latencyMs: leadMs,
        leadMs,
        changeMs: leadMs,
      };
    },
  };
}
