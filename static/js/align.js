// PURE: where should the needle be, and what should the player do about it now. The room's snapshot,
// the clock and the player's own report come in; one plan comes out. Nothing here touches audio,
// timers or the network. Positions are seconds in a track; moments are milliseconds of this page's
// clock unless they say `Server`.

import { currentTrack } from './state.js';

/** @typedef {import('./types.js').Plan} Plan */
/** @typedef {import('./types.js').Report} Report */
/** @typedef {import('./types.js').Room} Room */
/** @typedef {import('./types.js').TrackId} TrackId */

/**
 * What this phone plays by itself, ahead of the server's word: the next track when the current one
 * has ended, by the server's promise or because the server is away.
 * @typedef {object} Overlay
 * @property {TrackId} trackId
 * @property {TrackId} after The room's current track when it began.
 * @property {string} anchorKey The anchor of the room then; another one ends the overlay.
 * @property {number} atMs When its track is at 0.
 */

/**
 * What the room wants of this phone's sound. `asIs`: nobody knows better, so go on. `brief`: the
 * silence may be over in a moment. `confirmed`: the moment was known ahead, so that a start at 0 a
 * little late beats one without the first notes.
 * @typedef {{kind: 'asIs'}
 *   | {kind: 'silent'}
 *   | {kind: 'hold', trackId: TrackId, positionSec: number, brief: boolean}
 *   | {kind: 'play', trackId: TrackId, positionSec: number, atMs: number, key: string, confirmed: boolean}} Goal
 */

/** What the next look needs to know of the looks before. */
/** @typedef {{key: string, offSinceMs: number | null, coolUntilMs: number, briefSinceMs: number | null}} Memory */

/** @type {Memory} */
export const FRESH = { key: '', offSinceMs: null, coolUntilMs: 0, briefSinceMs: null };

/** A difference that is only corrected when it stays: below it, a correction is worse than the error. */
const GROSS_MS = 120;

/** After an anchor that is new to the player, the difference that is corrected at once. */
const NEW_ANCHOR_MS = 40;

/**
 * An exact player is left alone below this, and below what its positions scatter by; and moved without being
 * heard up to the other, above which a cut is the lesser evil.
 */
const DEAD_MS = 0.6;
const SLEW_MOST_MS = 30;

/** Right after something was heard anyway, a cut is lost in it, and quicker than being moved. */
const SHAKEN_CUT_MS = 6;

const COOL_DOWN_MS = 5_000;
const EXACT_COOL_DOWN_MS = 1_500;

/** A difference that calls for a cut is confirmed by a look that comes so much later. */
const CONFIRM_MS = 200;

/** Barriers that everybody is ready for end at once; going silent for that would be heard. */
export const BRIEF_MS = 700;

/** Up to so late a track that was promised starts at its first note, and later in its midst. */
const FIRST_NOTE_MS = 100;

/** Closer to its end than this a track is not started any more. */
const TAIL_SEC = 0.25;

/** Ends the key of a start that was made ahead of the server's word. */
const AHEAD = ' ahead';

/** Plans that differ by less are the same plan. */
const SAME_MS = 5;

/**
 * Names an anchor: the same track, started at the same place at the same moment.
 * @param {Room} room
 */
export function anchorKey(room) {
  const at = room.live.anchorAtMs ?? `event ${room.arrivedMs}`;
  return `${currentTrack(room)}@${room.playState.anchorPositionSec}@${at}`;
}

/**
 * When the room's track is at its anchor, on this page's clock; `null` while nobody knows.
 * @param {Room} room
 * @param {number | null} offsetMs server's clock = page's clock + offset
 */
export function anchorMoment(room, offsetMs) {
  if (room.playState.mode !== 'playing' || room.barrier) return null;
  if (room.live.anchorAtMs === null) return room.arrivedMs;
  return offsetMs === null ? null : room.live.anchorAtMs - offsetMs;
}

/**
 * @param {{positionSec: number, atMs: number}} line
 * @param {number} nowMs
 */
export function positionAt(line, nowMs) {
  return line.positionSec + (nowMs - line.atMs) / 1000;
}

/**
 * Where the room is in its track, for the eye: never before the anchor and never past the end.
 * @param {Room} room
 * @param {number | null} offsetMs
 * @param {number} nowMs
 * @param {number} durationSec
 */
export function roomPosition(room, offsetMs, nowMs, durationSec) {
  const positionSec = room.playState.anchorPositionSec;
  const atMs = anchorMoment(room, offsetMs);
  const run = atMs === null ? positionSec : positionAt({ positionSec, atMs }, Math.max(nowMs, atMs));
  return Math.min(run, durationSec || Infinity);
}

/**
 * Whether an overlay still stands for what the room is about to say.
 * @param {Overlay} overlay
 * @param {Room} room
 */
export function overlayHolds(overlay, room) {
  return currentTrack(room) === overlay.after && anchorKey(room) === overlay.anchorKey;
}

/**
 * @param {object} scene
 * @param {Room} scene.room
 * @param {number | null} scene.offsetMs
 * @param {boolean} scene.silent This phone is a remote control.
 * @param {(trackId: TrackId) => boolean} scene.playable Held here, and of a kind that plays here.
 * @param {Overlay | null} scene.overlay
 * @param {number} scene.delayMs How late this speaker sounds.
 * @returns {Goal}
 */
export function goalOf({ room, offsetMs, silent, playable, overlay, delayMs }) {
  const trackId = currentTrack(room);
  if (silent || trackId === null) return { kind: 'silent' };
  if (overlay && overlayHolds(overlay, room)) {
    return {
      kind: 'play',
      trackId: overlay.trackId,
      positionSec: 0,
      atMs: overlay.atMs - delayMs,
      key: overlay.trackId + AHEAD,
      confirmed: true,
    };
  }
  if (!playable(trackId)) return { kind: 'silent' };
  const positionSec = room.playState.anchorPositionSec;
  if (room.barrier) return { kind: 'hold', trackId, positionSec, brief: true };
  if (room.playState.mode === 'paused') return { kind: 'hold', trackId, positionSec, brief: false };
  const atMs = anchorMoment(room, offsetMs);
  if (atMs === null) return { kind: 'asIs' };
  return {
    kind: 'play',
    trackId,
    positionSec,
    atMs: atMs - delayMs,
    key: `${anchorKey(room)} ${delayMs}`,
    confirmed: false,
  };
}

/**
 * One look: what to tell the player, `null` for nothing, and what to remember for the next look.
 * @param {Goal} goal
 * @param {Report} report
 * @param {Memory} memory
 * @param {number} nowMs
 * @returns {{plan: Plan | 'silence' | null, memory: Memory}}
 */
export function decide(goal, report, memory, nowMs) {
  switch (goal.kind) {
    case 'asIs':
      return { plan: null, memory };
    case 'silent':
      return { plan: report.phase === 'empty' ? null : 'silence', memory: FRESH };
    case 'hold':
      return decideHold(goal, report, memory, nowMs);
    case 'play':
      return decidePlay(goal, report, memory, nowMs);
  }
}

/**
 * @param {Extract<Goal, {kind: 'hold'}>} goal
 * @param {Report} report
 * @param {Memory} memory
 * @param {number} nowMs
 * @returns {{plan: Plan | null, memory: Memory}}
 */
function decideHold(goal, report, memory, nowMs) {
  const { trackId, positionSec } = goal;
  const sounds = report.phase === 'playing' || report.phase === 'starting';
  // The server's word on a start ahead of it comes in several events; only the last one counts.
  const brief = goal.brief || memory.key.endsWith(AHEAD);
  if (brief && sounds && report.trackId === trackId) {
    const briefSinceMs = memory.briefSinceMs ?? nowMs;
    if (nowMs - briefSinceMs < BRIEF_MS) return { plan: null, memory: { ...memory, briefSinceMs } };
  }
  const { plan } = report;
  const told = plan?.kind === 'hold' && plan.trackId === trackId && plan.positionSec === positionSec;
  return { plan: told ? null : { kind: 'hold', trackId, positionSec }, memory: FRESH };
}

/**
 * @param {Extract<Goal, {kind: 'play'}>} goal
 * @param {Report} report
 * @param {Memory} memory
 * @param {number} nowMs
 * @returns {{plan: Plan | null, memory: Memory}}
 */
function decidePlay(goal, report, memory, nowMs) {
  const looked = { ...memory, key: goal.key, briefSinceMs: null };
  const start = () => startPlan(goal, report, nowMs);
  if (report.trackId !== goal.trackId || report.phase === 'empty' || report.phase === 'held') {
    return { plan: start(), memory: { ...looked, offSinceMs: null } };
  }
  if (report.phase === 'starting') {
    const { plan } = report;
    const off = plan?.kind === 'start' ? Math.abs(offMs(goal, plan)) : Infinity;
    const ahead = goal.confirmed || memory.key.endsWith(AHEAD);
    const keep = off <= (ahead ? GROSS_MS : SAME_MS);
    return { plan: keep ? null : start(), memory: { ...looked, offSinceMs: null } };
  }
  if (report.phase === 'ended') {
    // It is at its end, and stays there unless somebody sought back.
    const back = memory.key !== goal.key;
    return { plan: back ? start() : null, memory: { ...looked, offSinceMs: null } };
  }

  // Until it has settled, its position says less than what it was told.
  const where = report.settled || report.plan?.kind !== 'start' ? report : report.plan;
  const off = Math.abs(offMs(goal, where));
  if (memory.key !== goal.key && !goal.confirmed) {
    const told = report.exact ? SLEW_MOST_MS : NEW_ANCHOR_MS;
    const limit = memory.key.endsWith(AHEAD) ? GROSS_MS : told;
    return { plan: off > limit ? start() : null, memory: { ...looked, offSinceMs: null } };
  }
  if (!report.settled) return { plan: null, memory: looked };
  if (report.exact) return refine(goal, report, looked, start);
  if (off <= GROSS_MS) return { plan: null, memory: { ...looked, offSinceMs: null } };
  const offSinceMs = memory.offSinceMs ?? nowMs;
  if (nowMs - offSinceMs < CONFIRM_MS || nowMs < memory.coolUntilMs) {
    return { plan: null, memory: { ...looked, offSinceMs } };
  }
  return { plan: start(), memory: { ...looked, offSinceMs: null, coolUntilMs: nowMs + COOL_DOWN_MS } };
}

/**
 * What an exact player that sounds is told: nothing within the dead band, to be moved a little, or, once a
 * second look has confirmed it, to be somewhere else.
 * @param {Extract<Goal, {kind: 'play'}>} goal
 * @param {Report} report
 * @param {Memory} memory
 * @param {() => Plan} start
 * @returns {{plan: Plan | null, memory: Memory}}
 */
function refine(goal, report, memory, start) {
  const byMs = -offMs(goal, report);
  const off = Math.abs(byMs);
  const calm = { ...memory, offSinceMs: null };
  if (off > (report.shaken ? SHAKEN_CUT_MS : SLEW_MOST_MS)) {
    const offSinceMs = memory.offSinceMs ?? report.atMs;
    if (report.atMs - offSinceMs < CONFIRM_MS || report.atMs < memory.coolUntilMs) {
      return { plan: null, memory: { ...memory, offSinceMs } };
    }
    return { plan: start(), memory: { ...calm, coolUntilMs: report.atMs + EXACT_COOL_DOWN_MS } };
  }
  if (report.slewing || off < Math.max(DEAD_MS, report.spreadMs)) return { plan: null, memory: calm };
  return { plan: { kind: 'slew', byMs }, memory: calm };
}

/**
 * How far `where` is ahead of the goal.
 * @param {{positionSec: number, atMs: number}} goal
 * @param {{positionSec: number, atMs: number}} where
 */
export function offMs(goal, where) {
  return (where.positionSec - positionAt(goal, where.atMs)) * 1000;
}

/**
 * The room, the clock and the overlay so that what sounds is where it is meant to be, `aheadMs` (`offMs`)
 * being where it is now. After a sleep the page's clock may have run on without the sound, or the server's
 * without the page's, and until the server is heard again the sound itself is the best witness.
 * @template {{room: Room, clock: import('./types.js').ClockEstimate | null, overlay: Overlay | null}} Scene
 * @param {Scene} scene
 * @param {number} aheadMs
 * @returns {Pick<Scene, 'room' | 'clock' | 'overlay'>}
 */
export function trustSound({ room, clock, overlay }, aheadMs) {
  if (overlay) return { room, clock, overlay: { ...overlay, atMs: overlay.atMs - aheadMs } };
  if (room.live.anchorAtMs === null) {
    const arrivedMs = room.arrivedMs === null ? null : room.arrivedMs - aheadMs;
    return { room: { ...room, arrivedMs }, clock, overlay };
  }
  return { room, clock: clock && { ...clock, offsetMs: clock.offsetMs + aheadMs }, overlay };
}

/**
 * The start that reaches the goal's line: at its anchor, or as soon as the player can.
 * @param {Extract<Goal, {kind: 'play'}>} goal
 * @param {Report} report
 * @param {number} nowMs
 * @returns {Plan}
 */
function startPlan(goal, report, nowMs) {
  const { trackId, positionSec, atMs } = goal;
  const there =
    report.phase === 'held' && report.trackId === trackId && report.positionSec === positionSec;
  const leadMs = there ? report.latencyMs : report.leadMs;
  if (goal.confirmed && atMs < nowMs + report.changeMs) {
    const soon = nowMs + report.changeMs;
    const runSec = positionAt(goal, soon);
    const lateMs = report.exact ? SLEW_MOST_MS : FIRST_NOTE_MS;
    const fromSec = runSec * 1000 <= lateMs ? 0 : runSec;
    return { kind: 'start', trackId, positionSec: fromSec, atMs: soon, atOnce: true };
  }
  if (atMs >= nowMs + leadMs) return { kind: 'start', trackId, positionSec, atMs, atOnce: false };
  const soon = nowMs + report.leadMs;
  const runSec = Math.max(0, positionAt(goal, soon));
  return { kind: 'start', trackId, positionSec: runSec, atMs: soon, atOnce: false };
}

/**
 * What is to follow by itself on what sounds now: by the server's promise or, with the server away, whatever
 * is here, as soon as this is over. `null` while nobody knows.
 * @param {object} scene
 * @param {Extract<Goal, {kind: 'play'}>} scene.goal
 * @param {number} scene.durationSec of the track that sounds, 0 if it is not known
 * @param {import('./types.js').Segue | null} scene.segue
 * @param {number | null} scene.offsetMs
 * @param {number} scene.delayMs
 * @param {TrackId | null} scene.alone What is next if the server is away.
 * @returns {{trackId: TrackId, atMs: number} | null}
 */
export function lineAfter({ goal, durationSec, segue, offsetMs, delayMs, alone }) {
  if (segue && offsetMs !== null && !goal.confirmed) {
    return { trackId: segue.trackId, atMs: segue.anchorAtMs - offsetMs - delayMs };
  }
  if (alone === null || durationSec === 0) return null;
  return { trackId: alone, atMs: goal.atMs + (durationSec - goal.positionSec) * 1000 };
}

/**
 * Whether a track of known length is over by the goal's line.
 * @param {Goal} goal
 * @param {number} durationSec
 * @param {number} nowMs
 */
export function isOver(goal, durationSec, nowMs) {
  return goal.kind === 'play' && durationSec > 0 && positionAt(goal, nowMs) > durationSec - TAIL_SEC;
}
