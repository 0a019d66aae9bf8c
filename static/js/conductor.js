// Looks again and again at what the room wants and what the player does, and tells the player the
// difference; has the next track at hand; asks for the next one at a track's end. Where the needle
// should be is decided in align.js, and how it gets there in player.js.

import { BRIEF_MS, FRESH, anchorKey, decide, goalOf, isOver, lineAfter, offMs, overlayHolds, positionAt, trustSound } from './align.js';
import { send } from './api.js';
import { offsetAt } from './clock.js';
import { idles } from './idle.js';
import { inTurn } from './in-turn.js';
import { catchUp } from './presses.js';
import { currentTrack, firstAfter, nextUp, ownDelay, segueNow } from './state.js';
import { after, every } from './timer.js';

/** @typedef {import('./align.js').Goal} Goal */
/** @typedef {import('./align.js').Overlay} Overlay */
/** @typedef {import('./player.js').Player} Player */
/** @typedef {import('./store.js').Store} Store */
/** @typedef {import('./types.js').AppState} AppState */
/** @typedef {import('./types.js').TrackId} TrackId */

const LOOK_EVERY_MS = 250;

/** A phone that does not sound the track itself leaves the end to those that do, for so long. */
const OTHERS_FIRST_MS = 700;

const ONE_TAP_MS = 500;

/** Looks further apart than this, by the clock on the wall, have a sleep between them. */
const SLEPT_MS = 10_000;

const ASK_AGAIN_MS = 1_000;

/** A speaker's delay is no more than this, and neither is how early its phone gets to a track's end. */
const MOST_EARLY_MS = 1_000;

/**
 * @param {object} options
 * @param {Store} options.store
 * @param {Player} options.player
 * @param {import('./figures.js').Figures} options.figures
 * @param {(trackId: TrackId) => Promise<Blob | null>} options.read from this phone's storage
 * @param {() => void} options.onWake the page has slept, so the server is to be heard anew
 */
export function createConductor({ store, player, figures, read, onWake }) {
  let memory = FRESH;
  /** @type {Overlay | null} */
  let overlay = null;
  /** @type {Set<TrackId>} */
  const reading = new Set();
  /** @type {string | null} */
  let asked = null;
  let gestureMs = -Infinity;
  /** @type {number | null} */
  let quietSinceMs = null;
  let lookedAt = Date.now();
  /** The track that has come to its end, while nothing sounds after it. */
  /** @type {TrackId | null} */
  let finished = null;
  /** What the player goes on with by itself, on this page's clock. */
  /** @type {{trackId: TrackId, atMs: number} | null} */
  let lined = null;

  /** @param {TrackId} trackId */
  function able(trackId) {
    const { held, unplayable } = store.get();
    return held.has(trackId) && !unplayable.has(trackId);
  }

  /** @returns {Goal} */
  function goal() {
    const { room, clock, settings } = store.get();
    if (!room) return { kind: 'silent' };
    return goalOf({
      room,
      offsetMs: offsetAt(clock, performance.now()),
      silent: settings.remote,
      playable: able,
      overlay,
      delayMs: ownDelay(store.get()),
    });
  }

  /** What a look finds out makes others look: one after the other, not one within the other. */
  const look = inTurn(() => {
    const slept = Date.now() - lookedAt > SLEPT_MS;
    lookedAt = Date.now();
    if (slept) {
      // By what was seen of the output before, the sound would be as far on as the clock.
      player.forget();
      woke();
    }
    const state = store.get();
    const { room } = state;
    if (overlay && (!room || !overlayHolds(overlay, room))) overlay = null;
    const want = goal();
    const nowMs = performance.now();
    if (room) gather(room);
    const idle = idleFor(want, nowMs, state);
    if (room && over(want, nowMs, state)) return;
    if (idle) {
      memory = FRESH;
      show();
      return;
    }
    const at = 'trackId' in want ? want.trackId : null;
    if (at !== null && !player.has(at)) {
      // Another track must not sound on while this one is read.
      if (player.report().trackId !== at) tell('silence');
    } else if (!(want.kind === 'play' && player.locked())) {
      const report = player.report();
      if (goesOnTo(want, report, nowMs)) return show();
      const { plan, memory: next } = decide(want, report, memory, nowMs);
      const known = want.kind === 'play' && memory.key === want.key;
      memory = next;
      notice(want, report);
      if (plan) tell(plan, known);
      follow(want, report, state);
    }
    show();
  });

  /**
   * Whether the room waits for just the track that is about to follow here by itself: another phone has got to the
   * end first, and the room's word on when it begins is that it begins then.
   * @param {Goal} want
   * @param {import('./types.js').Report} report
   * @param {number} nowMs
   */
  function goesOnTo(want, report, nowMs) {
    if (want.kind !== 'hold' || lined?.trackId !== want.trackId) return false;
    return report.phase === 'playing' && Math.abs(lined.atMs - nowMs) < BRIEF_MS;
  }

  /**
   * Lines up what is to follow by itself on what sounds now.
   * @param {Goal} want
   * @param {import('./types.js').Report} report
   * @param {AppState} state
   */
  function follow(want, report, { room, clock, connection, index }) {
    if (!room || want.kind !== 'play' || report.phase !== 'playing' || report.trackId !== want.trackId) {
      lined = null;
      return player.lineUp(null);
    }
    const segue = segueNow(room);
    const line = lineAfter({
      goal: want,
      durationSec: index.get(want.trackId)?.duration ?? 0,
      segue: segue && able(segue.trackId) ? segue : null,
      offsetMs: offsetAt(clock, performance.now()),
      delayMs: ownDelay(store.get()),
      alone: connection === 'open' ? null : firstAfter(room, want.trackId, able),
    });
    lined = line && line.trackId !== want.trackId ? line : null;
    player.lineUp(lined);
  }

  /**
   * Plays silence where there is nothing to play for the moment; says whether it does.
   * @param {Goal} want
   * @param {number} nowMs
   * @param {AppState} state
   */
  function idleFor(want, nowMs, { room, index, settings }) {
    const { phase } = player.report();
    if (phase === 'playing' || phase === 'starting') {
      quietSinceMs = null;
      finished = null;
      return false;
    }
    quietSinceMs ??= nowMs;
    const due =
      want.kind === 'play' &&
      player.has(want.trackId) &&
      !isOver(want, index.get(want.trackId)?.duration ?? 0, nowMs);
    const idle = idles({
      room,
      hidden: document.visibilityState === 'hidden',
      able: !settings.remote && player.allowed(),
      quietMs: nowMs - quietSinceMs,
    });
    if (due || !idle) return false;
    player.idle();
    return true;
  }

  /** What sounds goes on as if nothing had been, until the server is heard. */
  function woke() {
    const { room, clock } = store.get();
    const report = player.report();
    const want = goal();
    if (room && want.kind === 'play' && report.phase === 'playing' && report.trackId === want.trackId) {
      const trusted = trustSound({ room, clock, overlay }, offMs(want, report));
      overlay = trusted.overlay;
      store.update({ room: trusted.room, clock: trusted.clock });
    } else {
      store.update({ clock: null });
    }
    onWake();
  }

  /**
   * @param {import('./types.js').Plan | 'silence'} plan
   * @param {boolean} [corrects] nobody has asked for anything else
   */
  function tell(plan, corrects = false) {
    const { phase, trackId } = player.report();
    if (plan === 'silence' && phase === 'empty') return;
    if (plan !== 'silence' && plan.kind === 'slew') figures.corrected('slews');
    else if (corrects && plan !== 'silence' && phase === 'playing' && plan.trackId === trackId) figures.corrected('cuts');
    player.follow(plan);
  }

  /**
   * Has what plays and what comes next at hand, so that neither a start nor a change of tracks waits
   * for storage.
   * @param {import('./types.js').Room} room
   */
  function gather(room) {
    const { held, settings, connection } = store.get();
    const current = currentTrack(room);
    const sounding = overlay?.trackId ?? current;
    // With the server away the next one is the next that is here.
    const then = sounding === null || connection === 'open' ? null : firstAfter(room, sounding, able);
    const wanted = [current, overlay?.trackId, nextUp(room), then];
    const ids = [...new Set(wanted)].filter((id) => typeof id === 'string');
    // One that is held no more has been cleared away, or has another version by now.
    player.keep(new Set(ids.filter((id) => held.has(id))));
    if (settings.remote) return;
    for (const id of ids) {
      if (able(id) && !player.knows(id) && (id === sounding || !busy(sounding))) fetchBlob(id);
    }
    const ready = ids.filter((id) => player.has(id));
    if (ready.length !== store.get().ready.size || ready.some((id) => !store.get().ready.has(id))) {
      store.update({ ready: new Set(ready) });
    }
  }

  /**
   * Whether the player had better not be disturbed: it has just begun, or is about to.
   * @param {TrackId | null} sounding
   */
  function busy(sounding) {
    const { phase, settled } = player.report();
    if (sounding !== null && able(sounding) && !player.has(sounding)) return true;
    return phase === 'starting' || (phase === 'playing' && !settled);
  }

  /** @param {TrackId} trackId */
  async function fetchBlob(trackId) {
    if (reading.has(trackId)) return;
    reading.add(trackId);
    const blob = await read(trackId);
    reading.delete(trackId);
    if (!blob) return;
    player.prepare(trackId, blob, store.get().index.get(trackId) ?? {});
    look();
  }

  /**
   * Sees to a track that is over by the clock and that this phone does not sound (any more).
   * @param {Goal} want
   * @param {number} nowMs
   * @param {AppState} state
   */
  function over(want, nowMs, state) {
    const { room, index } = state;
    if (!room) return false;
    const { phase } = player.report();
    const own = want.kind === 'play' && !want.confirmed;
    const durationSec = index.get(currentTrack(room) ?? '')?.duration ?? 0;
    if (own && isOver(want, durationSec, nowMs) && phase !== 'playing') {
      show();
      if (isOver(want, durationSec, nowMs - OTHERS_FIRST_MS)) askNext();
      return true;
    }
    if (want.kind === 'silent' && !state.settings.remote && state.unplayable.has(currentTrack(room) ?? '')) {
      const heard = goalOf({
        room,
        offsetMs: offsetAt(state.clock, nowMs),
        silent: false,
        playable: () => true,
        overlay: null,
        delayMs: 0,
      });
      if (isOver(heard, durationSec, nowMs - OTHERS_FIRST_MS)) askNext();
    }
    return false;
  }

  /** @param {TrackId} trackId */
  function ended(trackId) {
    const { room, connection, clock } = store.get();
    if (room?.playState.mode !== 'playing') return;
    const current = currentTrack(room);
    const playing = overlay?.trackId ?? current;
    if (trackId !== playing || !current) return;
    finished = trackId;
    const was = goal();
    const durationSec = store.get().index.get(trackId)?.duration ?? 0;
    const endMs = was.kind === 'play' && durationSec > 0 ? was.atMs + ownDelay(store.get()) + (durationSec - was.positionSec) * 1000 : 0;
    const segue = segueNow(room);
    const promised = !overlay && clock && segue && able(segue.trackId) ? segue : null;
    // The server is away: the music is not.
    const alone = connection === 'open' ? null : firstAfter(room, playing, able);
    const next = promised?.trackId ?? alone;
    const offsetMs = offsetAt(clock, performance.now());
    // Its own delay is taken off again, as for everything that is to be heard at a moment.
    const own = (lined?.trackId === next && lined ? lined.atMs : performance.now()) + ownDelay(store.get());
    const atMs = promised && offsetMs !== null ? promised.anchorAtMs - offsetMs : own;
    if (next !== null) overlay = { trackId: next, after: current, anchorKey: anchorKey(room), atMs };
    look();
    if (connection !== 'open') return;
    // Sooner than the room is at the track's end, the others would lose the end of it.
    const earlyMs = Math.min(endMs - performance.now(), MOST_EARLY_MS);
    if (earlyMs > 0) after(earlyMs, askNext);
    else askNext();
  }

  /** Asks for the next track, as long as it is this one, from this anchor, that is over. */
  async function askNext() {
    const { room } = store.get();
    if (!room || room.playState.mode !== 'playing' || asked === anchorKey(room)) return;
    const about = anchorKey(room);
    asked = about;
    try {
      for (;;) {
        const now = store.get().room;
        if (!now || anchorKey(now) !== about || now.playState.mode !== 'playing') return;
        const outcome = await send({ name: 'next' }, now.eventCount);
        if (outcome.accepted) return;
        await catchUp(store, outcome.eventCount);
      }
    } catch {
      // The server moves on by itself if nobody reaches it; until then this phone asks again.
      after(ASK_AGAIN_MS, () => {
        if (asked === about) asked = null;
      });
    }
  }

  /**
   * @param {Goal} want
   * @param {import('./types.js').Report} report
   */
  function notice(want, report) {
    const told = want.kind === 'play' && report.settled && report.trackId === want.trackId;
    figures.look(report.atMs, told ? offMs(want, report) : null, report.latencyMs);
  }

  function show() {
    const { sound } = store.get();
    const offMs = figures.offMs();
    const next = {
      locked: player.locked(),
      mute: player.mute(),
      sounding: player.report().phase === 'playing',
      errorMs: offMs === null ? null : Math.round(offMs),
      overlay,
    };
    const same =
      next.locked === sound.locked &&
      next.mute === sound.mute &&
      next.sounding === sound.sounding &&
      next.errorMs === sound.errorMs &&
      next.overlay === sound.overlay;
    if (!same) store.update({ sound: next });
  }

  every(LOOK_EVERY_MS, look);
  store.subscribe(({ connection }, before) => {
    // The end of the track may have come before the loss was known.
    const lost = connection !== 'open' && before.connection === 'open';
    if (lost && finished !== null) ended(finished);
  });

  return {
    look,
    ended,
    /** What plays here now, by the room's line, for a server that lost its place. */
    place: () => {
      const { trackId, phase } = player.report();
      const want = goal();
      if (phase !== 'playing' || want.kind !== 'play' || want.trackId !== trackId) return null;
      const nowMs = performance.now();
      const positionSec = positionAt(want, nowMs) - ownDelay(store.get()) / 1000;
      const offsetMs = offsetAt(store.get().clock, nowMs);
      return { trackId, positionSec, serverMs: offsetMs === null ? null : nowMs + offsetMs };
    },
    /** To be called within a gesture: from then on sound is allowed. */
    gesture: () => {
      // One tap is several events.
      const nowMs = performance.now();
      if (nowMs - gestureMs < ONE_TAP_MS) return;
      gestureMs = nowMs;
      const want = goal();
      player.unlock(want.kind === 'play' ? want : undefined);
      look();
    },
  };
}
