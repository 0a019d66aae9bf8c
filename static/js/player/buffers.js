// The engine that is exact to the sample: whole tracks, decoded, on one AudioContext. What sounds and when
// is laid down on the context's own clock; which moment of that is heard when is worked out in output.js.

import { after } from '../timer.js';
import { BLOCK_FRAMES, lag, positionOn, sight, slew } from './output.js';
import { chirp, tick } from './sounds.js';

/** @typedef {import('../types.js').Plan} Plan */
/** @typedef {import('../types.js').Report} Report */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * What plays one track from one place, on a way through it that is known.
 * @typedef {object} Voice
 * @property {TrackId} trackId
 * @property {AudioBufferSourceNode} source
 * @property {GainNode} gain
 * @property {import('./output.js').Stretch[]} way
 * @property {number} durationSec
 */

/** From here to the thread that renders the sound, in seconds. */
const HAND_OVER_SEC = 0.015;

/** Sounds begin and end in mid-song over this, in seconds: a step would be heard as a click. */
const FADE_SEC = 0.008;

/** After a start, or something odd, it is looked at the output so often, for so long. */
const KEEN_EVERY_MS = 30;
const KEEN_MS = 1_500;

/** Right after a jump something was heard anyway. */
const SHAKEN_MS = 2_000;

/** A context that has nothing to play is a battery's loss after so long. */
const REST_MS = 60_000;

/** A context that is to run and whose clock stands still for so long is taken for dead. */
const STILL_MS = 1_000;

/** So long a browser may take until a context runs. Then it is waiting for a touch. */
const RESUME_MS = 1_500;

/** What a browser says of its output is believed up to so much, in seconds; and what stands in for it. */
const MOST_LATENCY_SEC = 0.5;
const USUAL_LATENCY_SEC = 0.04;

/** A voice that is to begin sooner than this is left as it is, in seconds. */
const TOO_SOON_SEC = 0.1;

/** The same voice, in milliseconds: moved for more than this only. */
const SAME_MS = 0.5;

/** A short sound is laid down so long before it is heard, which is enough for the slowest output: until then it is looked at. */
const LAY_DOWN_MS = 600;

/** What is left of a track whose length was told wrong ends so long after the next has begun, in seconds. */
const TAIL_SEC = 0.05;

/**
 * @param {object} on
 * @param {() => void} on.change It can do something that it could not do before, or the reverse.
 * @param {(trackId: TrackId) => void} on.ended
 * @param {(trackId: TrackId) => void} on.began The voice that was lined up took over.
 * @param {(trackId: TrackId, durationSec: number) => void} on.decoded
 * @param {(trackId: TrackId) => void} on.undecodable
 */
export function createBuffers(on) {
  const context = new AudioContext({ latencyHint: 'interactive' });
  /** @type {Map<TrackId, AudioBuffer | null>} `null` while it is being decoded. */
  const tracks = new Map();
  /** @type {Voice | null} */
  let voice = null;
  /** What follows it by itself. */
  /** @type {Voice | null} */
  let next = null;
  let forgetNext = () => {};
  /** @type {{trackId: TrackId, positionSec: number} | null} */
  let held = null;
  /** @type {Plan | null} */
  let plan = null;
  /** @type {import('./output.js').Sighting[]} */
  let sightings = [];
  let keenUntilMs = 0;
  let shakenUntilMs = 0;
  let slewUntilSec = 0;
  let ended = false;
  let locked = false;
  let resting = false;
  let cancelRest = () => {};
  let still = { atSec: -1, sinceMs: 0, revived: false };
  /** Each plan takes the turn away from the one before. */
  let turn = 0;

  function look() {
    if (context.state !== 'running' || context.currentTime === 0) return;
    const nowMs = performance.now();
    const seen = sight(sightings, { atMs: nowMs, lagMs: lagNow(context, nowMs) });
    sightings = seen.sightings;
    if (seen.jumped) shakenUntilMs = nowMs + SHAKEN_MS;
    if (seen.odd) keen();
  }

  function keen() {
    const idle = performance.now() >= keenUntilMs;
    keenUntilMs = performance.now() + KEEN_MS;
    if (idle) watch();
  }

  function watch() {
    look();
    if (performance.now() < keenUntilMs) after(KEEN_EVERY_MS, watch);
  }

  /** @param {number} atMs a moment of this page's clock, on the context's */
  function secAt(atMs) {
    const known = lag(sightings);
    return (atMs - (known ? known.lagMs : lagNow(context, performance.now()))) / 1000;
  }

  /** @param {number} sec */
  function onFrame(sec) {
    return Math.round(sec * context.sampleRate) / context.sampleRate;
  }

  /**
   * Lays a voice down; `null` if the track is over by then.
   * @param {TrackId} trackId
   * @param {number} positionSec
   * @param {number} atMs
   * @returns {Voice | null}
   */
  function lay(trackId, positionSec, atMs) {
    const buffer = tracks.get(trackId);
    if (!buffer) return null;
    const wantedSec = onFrame(secAt(atMs));
    const atSec = Math.max(wantedSec, onFrame(context.currentTime + HAND_OVER_SEC));
    const fromSec = onFrame(positionSec) + atSec - wantedSec;
    if (fromSec >= buffer.duration) return null;
    const source = new AudioBufferSourceNode(context, { buffer });
    const gain = new GainNode(context);
    source.connect(gain).connect(context.destination);
    if (fromSec > 0) {
      gain.gain.setValueAtTime(0, atSec);
      gain.gain.linearRampToValueAtTime(1, atSec + FADE_SEC);
    }
    source.start(atSec, fromSec);
    const way = [{ atSec, positionSec: fromSec, rate: 1 }];
    const laid = { trackId, source, gain, way, durationSec: buffer.duration };
    source.onended = () => over(laid);
    return laid;
  }

  /**
   * Ends a voice softly, from a moment of the context's clock on.
   * @param {Voice} old
   * @param {number} atSec
   */
  function fade({ source, gain }, atSec) {
    source.onended = () => gain.disconnect();
    gain.gain.cancelScheduledValues(atSec);
    gain.gain.setValueAtTime(1, atSec);
    gain.gain.linearRampToValueAtTime(0, atSec + FADE_SEC);
    source.stop(atSec + FADE_SEC);
  }

  function hush() {
    lineUp(null);
    if (voice) fade(voice, context.currentTime + HAND_OVER_SEC);
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

  /** @param {Voice} done */
  function over(done) {
    done.gain.disconnect();
    if (done !== voice) return;
    if (next) return takeOver();
    ended = true;
    on.ended(done.trackId);
  }

  function takeOver() {
    if (!next || !voice) return;
    const old = voice;
    forgetNext();
    voice = next;
    next = null;
    ended = false;
    plan = { kind: 'start', trackId: voice.trackId, positionSec: 0, atMs: atMsOf(voice), atOnce: false };
    fade(old, Math.max(context.currentTime, (voice.way[0]?.atSec ?? 0) + TAIL_SEC));
    on.ended(old.trackId);
    on.began(voice.trackId);
  }

  /** @param {Voice} laid when its first sample is heard, on this page's clock */
  function atMsOf(laid) {
    return performance.now() + ((laid.way[0]?.atSec ?? 0) - secAt(performance.now())) * 1000;
  }

  /** @param {{trackId: TrackId, atMs: number} | null} line */
  function lineUp(line) {
    if (next) {
      const leftSec = (next.way[0]?.atSec ?? 0) - context.currentTime;
      const same = line?.trackId === next.trackId && Math.abs(line.atMs - atMsOf(next)) < SAME_MS;
      if (same || (line?.trackId === next.trackId && leftSec < TOO_SOON_SEC)) return;
      forgetNext();
      next.source.onended = null;
      next.gain.disconnect();
      next.source.stop();
      next = null;
    }
    if (!line || !voice || ended) return;
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
    ended = false;
    if (!(context.state === 'running' && lag(sightings)?.settled)) {
      if (!(await runs(own))) return;
    }
    const old = voice;
    lineUp(null);
    voice = lay(to.trackId, to.positionSec, to.atMs);
    if (old) fade(old, Math.max(context.currentTime, voice?.way[0]?.atSec ?? 0));
    slewUntilSec = 0;
    ended = voice === null;
    keen();
    on.change();
  }

  /**
   * Has the context run, and its output known; says whether it is still this plan's turn.
   * @param {number} own
   */
  async function runs(own) {
    resting = false;
    const endMs = performance.now() + RESUME_MS;
    context.resume().catch(() => {});
    keen();
    while (own === turn && !(context.state === 'running' && lag(sightings)?.settled)) {
      if (performance.now() > endMs && context.state !== 'running') {
        refuse();
        return false;
      }
      if (performance.now() > endMs) break;
      await new Promise((resolve) => void after(KEEN_EVERY_MS, () => resolve(null)));
    }
    return own === turn;
  }

  function refuse() {
    turn += 1;
    plan = null;
    locked = true;
    on.change();
  }

  /** @param {Extract<Plan, {kind: 'slew'}>} by */
  function move({ byMs }) {
    if (!voice) return;
    const { rate, blocks } = slew(byMs, context.sampleRate);
    const blockSec = BLOCK_FRAMES / context.sampleRate;
    // A rate counts from the first block on that begins after its moment.
    const block = Math.ceil((context.currentTime + HAND_OVER_SEC) / blockSec);
    const [fromSec, toSec] = [(block + 1) * blockSec, (block + 1 + blocks) * blockSec];
    const { playbackRate } = voice.source;
    playbackRate.setValueAtTime(rate, (block + 0.5) * blockSec);
    playbackRate.setValueAtTime(1, (block + blocks + 0.5) * blockSec);
    const positionSec = positionOn(voice.way, fromSec);
    voice.way = [
      ...voice.way,
      { atSec: fromSec, positionSec, rate },
      { atSec: toSec, positionSec: positionSec + (toSec - fromSec) * rate, rate: 1 },
    ];
    slewUntilSec = toSec;
  }

  /** After a call a context may say that it runs, with a clock that stands still. */
  function revive() {
    const nowMs = performance.now();
    if (!voice || context.state !== 'running' || context.currentTime !== still.atSec) {
      still = { atSec: context.currentTime, sinceMs: nowMs, revived: still.revived && context.currentTime === still.atSec };
      return;
    }
    if (nowMs - still.sinceMs < STILL_MS) return;
    still.sinceMs = nowMs;
    if (still.revived) return taken();
    still.revived = true;
    sightings = [];
    context.suspend().then(() => context.resume(), () => {});
  }

  /** Not by us: a call, the system. To go on by itself would be rude. */
  function taken() {
    const was = voice;
    hush();
    held = was && { trackId: was.trackId, positionSec: positionOn(was.way, secAt(performance.now())) };
    refuse();
  }

  context.onstatechange = () => {
    sightings = [];
    if (context.state === 'running') {
      keen();
      on.change();
    } else if (voice && !resting && !still.revived) {
      taken();
    }
  };

  /** @returns {Report['phase']} */
  function phase() {
    if (ended) return 'ended';
    if (voice) return secAt(performance.now()) < (voice.way[0]?.atSec ?? 0) ? 'starting' : 'playing';
    if (plan?.kind === 'start') return 'starting';
    return held ? 'held' : 'empty';
  }

  return {
    locked: () => locked,

    /** To be called within a gesture. */
    unlock: () => {
      locked = false;
      resting = false;
      context.resume().catch(() => {});
      keen();
    },

    /**
     * @param {TrackId} trackId
     * @param {Blob} blob
     */
    prepare: async (trackId, blob) => {
      if (tracks.has(trackId)) return;
      tracks.set(trackId, null);
      try {
        const buffer = await context.decodeAudioData(await blob.arrayBuffer());
        if (tracks.get(trackId) !== null) return;
        tracks.set(trackId, buffer);
        on.decoded(trackId, buffer.duration);
      } catch {
        tracks.delete(trackId);
        on.undecodable(trackId);
      }
    },
    has: (/** @type {TrackId} */ trackId) => Boolean(tracks.get(trackId)),
    /** @param {ReadonlySet<TrackId>} trackIds */
    keep: (trackIds) => {
      for (const trackId of tracks.keys()) {
        if (!trackIds.has(trackId)) tracks.delete(trackId);
      }
    },

    /** @param {Plan | 'silence'} to */
    follow: (to) => {
      if (to !== 'silence' && to.kind === 'slew') return move(to);
      turn += 1;
      plan = to === 'silence' ? null : to;
      held = to !== 'silence' && to.kind === 'hold' ? to : null;
      if (to !== 'silence' && to.kind === 'start') {
        start(to, turn);
      } else {
        ended = false;
        hush();
      }
    },
    lineUp,

    /**
     * @param {'tick' | 'chirp'} name
     * @param {number} atMs when it is to be heard
     */
    sound: (name, atMs) => {
      if (locked) return;
      // While nothing plays, the output may sleep, and what is known of it is old.
      if (resting) context.resume().catch(() => {});
      resting = false;
      keen();
      rest();
      after(Math.max(0, atMs - performance.now() - LAY_DOWN_MS), () => {
        const atSec = secAt(atMs);
        // Late, it would say that the speaker is.
        if (context.state !== 'running' || atSec < context.currentTime) return;
        const samples = (name === 'tick' ? tick : chirp)(context.sampleRate);
        const buffer = context.createBuffer(1, samples.length, context.sampleRate);
        buffer.copyToChannel(samples, 0);
        const source = new AudioBufferSourceNode(context, { buffer });
        source.connect(context.destination);
        source.start(atSec);
      });
    },

    /** @returns {Report} */
    report: () => {
      look();
      revive();
      const atMs = performance.now();
      const known = lag(sightings);
      const heardSec = secAt(atMs);
      const now = phase();
      const aheadMs = known ? (context.currentTime - heardSec) * 1000 : USUAL_LATENCY_SEC * 1000;
      const leadMs = Math.max(0, aheadMs) + HAND_OVER_SEC * 1000;
      const positionSec = voice
        ? Math.min(positionOn(voice.way, heardSec), voice.durationSec)
        : (held?.positionSec ?? 0);
      return {
        trackId: voice?.trackId ?? (plan?.kind === 'start' ? plan.trackId : (held?.trackId ?? null)),
        phase: now,
        exact: true,
        settled: now === 'playing' && known !== null && known.settled,
        slewing: context.currentTime < slewUntilSec,
        shaken: atMs < shakenUntilMs,
        spreadMs: known?.spreadMs ?? 0,
        positionSec,
        atMs,
        plan,
        latencyMs: leadMs,
        leadMs,
        changeMs: leadMs,
      };
    },
  };
}

/**
 * How much earlier, by this page's clock, a moment of the context's clock is heard than it says; in ms.
 * @param {AudioContext} context
 * @param {number} nowMs
 */
function lagNow(context, nowMs) {
  const { contextTime = 0, performanceTime = 0 } = context.getOutputTimestamp?.() ?? {};
  const behindSec = context.currentTime - contextTime;
  const agoMs = nowMs - performanceTime;
  const likely = contextTime > 0 && behindSec >= 0 && behindSec < MOST_LATENCY_SEC && Math.abs(agoMs) < MOST_LATENCY_SEC * 1000;
  if (likely) return performanceTime - contextTime * 1000;
  const told = context.outputLatency || context.baseLatency || USUAL_LATENCY_SEC;
  return nowMs - (context.currentTime - Math.min(told, MOST_LATENCY_SEC)) * 1000;
}
