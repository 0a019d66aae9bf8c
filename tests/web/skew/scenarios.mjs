// What is measured. Each scenario has a way to bring something about and to record what is heard of it, and says
// what is read off the recording.

import { setTimeout as sleep } from 'node:timers/promises';
import { RATE, apart, clicks, cut, heardAt, holes, onset, runs } from './listen.mjs';
import { quiet } from './machine.mjs';
import { music, pureTone } from './music.mjs';

/** @typedef {import('./room.mjs').Room} Room */
/** @typedef {import('./speakers.mjs').Recording} Recording */
/** @typedef {{phone: number, atSec: number, ms: number, onAll: boolean}} Hole `onAll`: on all phones at once, as a machine makes them */

/**
 * @typedef {object} Take What one recording tells. Skew is that of the widest pair, in ms, one for each window.
 * @property {number} stalled
 * @property {number[]} early the skew in the first 2 s
 * @property {number[]} later from 5 s on
 * @property {number} unmatched windows in which some phone could not be compared
 * @property {Hole[]} holes
 * @property {number} [pressToSoundMs] from the press to the last phone's first sound
 * @property {number | null} [backSec] until all were within 5 ms for good
 * @property {number[]} [gapsMs] for each phone, the silence between two tracks, of which the files hold none
 * @property {number[]} [slipsMs] for each phone, how much later the next track's line begins than the other one's ends
 * @property {number[]} [clicks] when they were heard
 * @property {number} [shiftMs] by how much a phone left its line within half a second, at most
 */

/**
 * @typedef {object} Scenario
 * @property {string} name
 * @property {(room: Room, i: number) => Promise<Take>} take
 * @property {() => Record<string, Float32Array>} [tracks]
 * @property {'jitter' | 'wire'} [network]
 * @property {boolean} [lastIsLate]
 * @property {boolean} [fresh] Each take wants a room of its own.
 * @property {number} [most] More takes than this are not worth the time.
 */

/** Round trips of 10, 20 and 30 ms, and up to 40 more each way. @param {number} k */
export const JITTER = (k) => ({ delayMs: 5 + 5 * (k % 3), jitterMs: 40 });
export const WIRE = () => ({ delayMs: 0, jitterMs: 0 });

const SONG_SEC = 30;
const LONG_SEC = 11 * 60;
const LONG_LISTEN_MS = 10 * 60_000;
const TONE_HZ = 440;

const EARLY_SEC = 2;
const LATER_SEC = 5;
const LISTEN_MS = 10_500;
const SETTLED_MS = 4_000;

/** What a command has brought about is heard by then. */
const HEARD_SEC = 3;

/** A change to another place or track is over so long before and after its moment. */
const AROUND_SEC = 0.8;

/** An end is recognised by what is so long before it. */
const TAIL_SEC = 1.2;

const IN_STEP_MS = 5;
const FREEZE_MS = 200;
const CUT_BEFORE_END_MS = 5_000;
const CUT_AFTER_END_MS = 3_000;

export const songs = () => ({ 'Song 1': music(SONG_SEC, 1), 'Song 2': music(SONG_SEC, 2) });

/** @type {Record<string, Scenario>} */
export const SCENARIOS = {
  start: { name: 'start', take: start },
  jitter: { name: 'start, jitter', take: start, network: 'jitter' },
  seek: { name: 'seek', take: seek },
  pause: { name: 'pause and play', take: pauseAndPlay },
  next: { name: 'Next', take: next },
  segue: { name: 'the next track by itself', take: (room, i) => segue(room, i) },
  pocket: { name: 'the next track, phones in pockets', take: (room, i) => segue(room, i, { inPockets: true }), fresh: true },
  cut: { name: 'the next track, no network from 5 s before', take: (room, i) => segue(room, i, { isCut: true }), network: 'wire' },
  late: { name: 'a late joiner', take: lateJoiner, lastIsLate: true, fresh: true },
  stall: { name: `a stall of ${FREEZE_MS} ms`, take: stall },
  restart: { name: 'kill -9 and restart', take: restart },
  tone: { name: 'a pure tone', take: tone, tracks: () => ({ Tone: pureTone(SONG_SEC, TONE_HZ) }), most: 3 },
  long: { name: '10 minutes of one track', take: long, tracks: () => ({ Long: music(LONG_SEC, 3) }), most: 1 },
};

/** @param {Room} room @param {number} i */
async function start(room, i) {
  await room.rest(1 + ((1.7 * i) % 10));
  const { recording, pressSec } = await pressed(room, 'Play', LISTEN_MS);
  const fromSec = onsetOfAll(recording, pressSec);
  return { ...compared(recording, fromSec), pressToSoundMs: (fromSec - pressSec) * 1_000 };
}

/** @param {Room} room @param {number} i */
async function seek(room, i) {
  await playing(room, 2);
  const { current } = await room.tracks();
  const targetSec = 12 + (i % 5);
  const { recording, atSec } = await during(room, async () => {
    const atMs = Date.now();
    await room.remote.command('seek', { positionSec: targetSec });
    await sleep(LISTEN_MS);
    return atMs;
  });
  return compared(recording, placeOnAll(recording, current, targetSec, atSec));
}

/** @param {Room} room */
async function pauseAndPlay(room) {
  await playing(room, 2);
  await firstOf(room).press('Pause');
  await sleep(1_000);
  const { recording, pressSec } = await pressed(room, 'Play', LISTEN_MS);
  const fromSec = onsetOfAll(recording, pressSec);
  return { ...compared(recording, fromSec), pressToSoundMs: (fromSec - pressSec) * 1_000 };
}

/** @param {Room} room */
async function next(room) {
  await playing(room, 2);
  const { next: track } = await room.tracks();
  const { recording, pressSec } = await pressed(room, 'Next', LISTEN_MS);
  const fromSec = placeOnAll(recording, track, 0, pressSec);
  return { ...compared(recording, fromSec), pressToSoundMs: (fromSec - pressSec) * 1_000 };
}

/**
 * @param {Room} room
 * @param {number} _
 * @param {{inPockets?: boolean, isCut?: boolean}} [how]
 */
async function segue(room, _, { inPockets = false, isCut = false } = {}) {
  const beforeEndMs = SETTLED_MS + CUT_BEFORE_END_MS + 2_000;
  await playing(room, SONG_SEC - beforeEndMs / 1_000);
  const endMs = Date.now() + beforeEndMs - SETTLED_MS;
  const { current, next: track } = await room.tracks();
  if (inPockets) await Promise.all(room.phones.map((phone) => phone.pocket()));
  const { recording, atSec } = await during(room, async () => {
    if (isCut) {
      await sleep(endMs - CUT_BEFORE_END_MS - Date.now());
      for (const network of room.networks) network.cut();
      await sleep(endMs + CUT_AFTER_END_MS - Date.now());
      for (const network of room.networks) network.mend();
    }
    await sleep(endMs + LISTEN_MS - Date.now());
    return endMs;
  });
  const span = { fromSec: Math.max(0, atSec - HEARD_SEC), toSec: atSec + HEARD_SEC };
  const changes = recording.sounds.map((sound, k) => {
    const lastSec = current.length / RATE - TAIL_SEC;
    const end = begins(sound, current, lastSec, span);
    const begin = begins(sound, track, 0, span);
    if (!end || !begin) throw new Error(`phone ${k} did not play the end and the beginning`);
    const gapMs = holes(sound, around(begin.lineSec), 1).reduce((sum, { ms }) => sum + ms, 0);
    return { ...begin, gapMs, slipMs: (begin.lineSec - end.lineSec - TAIL_SEC) * 1_000 };
  });
  return {
    ...compared(recording, Math.max(...changes.map(({ soundSec }) => soundSec))),
    // The silence between the tracks is told apart.
    holes: holesIn(recording, 0).filter(({ phone, atSec: holeSec }) => {
      const { fromSec, toSec } = around(changes[phone]?.lineSec ?? NaN);
      return !(holeSec >= fromSec && holeSec < toSec);
    }),
    gapsMs: changes.map(({ gapMs }) => gapMs),
    slipsMs: changes.map(({ slipMs }) => slipMs),
  };
}

/** @param {Room} room */
async function lateJoiner(room) {
  await playing(room, 2);
  const late = /** @type {import('./phones.mjs').SkewPhone} */ (room.phones.at(-1));
  const { recording, atSec } = await during(room, async () => {
    await late.join('Late');
    const atMs = await late.pressedAtMs();
    await sleep(LISTEN_MS + 1_500);
    return atMs;
  });
  const fromSec = onset(/** @type {Float32Array} */ (recording.sounds.at(-1)));
  if (fromSec === null) throw new Error('the late joiner was not heard');
  return { ...compared(recording, fromSec), holes: holesIn(recording, 0), pressToSoundMs: (fromSec - atSec) * 1_000 };
}

/** @param {Room} room */
async function stall(room) {
  await playing(room, 2);
  const { recording, atSec } = await during(room, async () => {
    await room.phones.at(-1)?.freeze(FREEZE_MS);
    const atMs = Date.now();
    await sleep(LISTEN_MS);
    return atMs;
  });
  return { ...compared(recording, atSec), holes: holesIn(recording, 0), backSec: backAfter(recording, atSec) };
}

/** @param {Room} room */
async function restart(room) {
  await playing(room, 2);
  const { recording, atSec } = await during(room, async () => {
    await sleep(1_000);
    await room.server.kill();
    await room.server.start();
    const atMs = Date.now();
    await sleep(LISTEN_MS);
    return atMs;
  });
  return { ...compared(recording, atSec), holes: holesIn(recording, 0), backSec: backAfter(recording, atSec) };
}

/** @param {Room} room @param {number} i */
async function tone(room, i) {
  await room.rest(1 + i);
  const { recording, pressSec } = await pressed(room, 'Play', LISTEN_MS);
  const [fromSec, toSec] = [onsetOfAll(recording, pressSec) + 0.05, lengthOf(recording)];
  const heard = recording.sounds.flatMap((sound) => clicks(sound, TONE_HZ, { fromSec, toSec }));
  return { stalled: recording.stalled, early: [], later: [], unmatched: 0, holes: holesIn(recording, fromSec), clicks: heard };
}

/** @param {Room} room */
async function long(room) {
  await room.rest(0);
  const { current } = await room.tracks();
  const { recording, pressSec } = await pressed(room, 'Play', LONG_LISTEN_MS);
  const fromSec = onsetOfAll(recording, pressSec);
  const shifts = recording.sounds.flatMap((sound) => {
    const lines = runs(sound, current, fromSec, fromSec).map(({ beginSec }) => beginSec * 1_000);
    return lines.slice(1).map((line, i) => Math.abs(line - (lines[i] ?? line)));
  });
  const shiftMs = shifts.reduce((most, shift) => Math.max(most, shift), 0);
  return { ...compared(recording, fromSec, 1), pressToSoundMs: (fromSec - pressSec) * 1_000, shiftMs };
}

/** Has the room play on from there, settled. @param {Room} room @param {number} positionSec */
async function playing(room, positionSec) {
  await room.rest(positionSec);
  await quiet();
  await room.remote.command('play', { positionSec });
  await sleep(SETTLED_MS);
}

/**
 * Records while something is brought about, which gives the moment that counts.
 * @param {Room} room
 * @param {() => Promise<number>} act
 */
async function during(room, act) {
  const recorder = await room.speakers.record();
  /** @type {number} */
  let atMs;
  try {
    atMs = await act();
  } catch (error) {
    await recorder.stop();
    throw error;
  }
  const recording = await recorder.stop();
  return { recording, atSec: (atMs - recording.startedMs) / 1_000 };
}

/**
 * Records what comes of a press on the first phone.
 * @param {Room} room
 * @param {string} button
 * @param {number} listenMs
 */
async function pressed(room, button, listenMs) {
  if (button === 'Play') await quiet();
  const { recording, atSec } = await during(room, async () => {
    await firstOf(room).press(button);
    await sleep(listenMs);
    return firstOf(room).pressedAtMs();
  });
  return { recording, pressSec: atSec };
}

/** @param {Room} room */
function firstOf(room) {
  return /** @type {import('./phones.mjs').SkewPhone} */ (room.phones[0]);
}

/** When the last phone begins to sound. @param {Recording} recording @param {number} fromSec */
function onsetOfAll({ sounds }, fromSec) {
  return Math.max(...sounds.map((sound, k) => {
    const atSec = onset(sound, fromSec);
    if (atSec === null) throw new Error(`phone ${k} was not heard`);
    return atSec;
  }));
}

/**
 * When the last phone sounds from that place of the track on.
 * @param {Recording} recording
 * @param {Float32Array} track
 * @param {number} positionSec
 * @param {number} fromSec
 */
function placeOnAll({ sounds }, track, positionSec, fromSec) {
  return Math.max(...sounds.map((sound, k) => {
    const begin = begins(sound, track, positionSec, { fromSec, toSec: fromSec + HEARD_SEC });
    if (!begin) throw new Error(`phone ${k} did not play that place`);
    return begin.soundSec;
  }));
}

/**
 * When a phone is at that place of the track, by what it plays there or a little later, since who comes late leaves
 * something out; and when it has its sound then.
 * @param {Float32Array} sound
 * @param {Float32Array} track
 * @param {number} positionSec
 * @param {import('./listen.mjs').Span} span
 */
function begins(sound, track, positionSec, span) {
  for (const laterSec of [0, 0.5]) {
    const atSec = heardAt(sound, cut(track, Math.round((positionSec + laterSec) * RATE), RATE / 2), span);
    if (atSec === null) continue;
    const lineSec = atSec - laterSec;
    const soundSec = holes(sound, around(lineSec)).reduce((last, hole) => Math.max(last, hole.atSec + hole.ms / 1_000), lineSec);
    return { lineSec, soundSec };
  }
  return null;
}

/** @param {number} atSec */
function around(atSec) {
  return { fromSec: atSec - AROUND_SEC, toSec: atSec + AROUND_SEC };
}

/**
 * @param {Recording} recording
 * @param {number} fromSec
 * @param {number} [everySec]
 * @returns {Take}
 */
function compared(recording, fromSec, everySec = 0.5) {
  const looks = apart(recording.sounds, { fromSec, toSec: lengthOf(recording) }, everySec);
  const early = looks.filter(({ atSec }) => atSec < fromSec + EARLY_SEC - 0.25);
  const later = looks.filter(({ atSec }) => atSec >= fromSec + LATER_SEC);
  const widest = (/** @type {typeof looks} */ some) => some.flatMap(({ widestMs }) => (widestMs === null ? [] : [widestMs]));
  const unmatched = [...early, ...later].filter(({ widestMs }) => widestMs === null).length;
  return { stalled: recording.stalled, early: widest(early), later: widest(later), unmatched, holes: holesIn(recording, fromSec) };
}

/** How long it takes until all are in step for good. @param {Recording} recording @param {number} fromSec */
function backAfter(recording, fromSec) {
  const looks = apart(recording.sounds, { fromSec, toSec: lengthOf(recording) }, 0.1);
  // A window without a match says nothing of step; where sound is missing, that is told as a hole.
  const last = looks.findLastIndex(({ widestMs }) => widestMs !== null && widestMs > IN_STEP_MS);
  const back = looks[last + 1];
  return back ? back.atSec - fromSec : null;
}

/** @param {Recording} recording @param {number} fromSec @returns {Hole[]} */
function holesIn(recording, fromSec) {
  const each = recording.sounds.map((sound) => holes(sound, { fromSec, toSec: lengthOf(recording) }));
  const meets = (/** @type {{atSec: number, ms: number}} */ one) => (/** @type {{atSec: number, ms: number}} */ other) =>
    other.atSec < one.atSec + one.ms / 1_000 && one.atSec < other.atSec + other.ms / 1_000;
  return each.flatMap((found, phone) =>
    found.map((hole) => ({ phone, ...hole, onAll: each.every((others) => others.some(meets(hole))) })));
}

/** @param {Recording} recording */
function lengthOf({ sounds }) {
  return Math.min(...sounds.map(({ length }) => length)) / RATE;
}
