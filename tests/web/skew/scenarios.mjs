// The measured scenarios. Each scenario performs an action, records the sound, and evaluates the recording.

import { setTimeout as sleep } from 'node:timers/promises';
import { RATE, findClicks, findGaps, findPiece, firstSoundSec, skewByWindow, sliceSamples, trackStarts } from './analysis.mjs';
import { waitForIdleCpu } from './machine.mjs';
import { mixed } from './mixed.mjs';
import { music, pureTone } from './music.mjs';

/** @typedef {import('./room.mjs').Room} Room */
/** @typedef {import('./speakers.mjs').Recording} Recording */
/** @typedef {{phone: number, atSec: number, ms: number, isOnAllPhones: boolean}} Gap `isOnAllPhones`: on all phones at once, so caused by the machine */

/**
 * @typedef {object} Measurement The result of one recording. Skew values are the largest skew of any pair in ms, one for each window.
 * @property {number} cpuWaitShare share of the time in which a task waited for a CPU
 * @property {number[]} earlySkewsMs skew in the first 2 s
 * @property {number[]} laterSkewsMs skew from 5 s on
 * @property {number} unmatchedCount number of windows without a match on some phone
 * @property {Gap[]} gaps
 * @property {number} [pressToSoundMs] from the press to the first sound of the last phone
 * @property {number | null} [recoverySec] time until all phones stay within 5 ms; `null` if they never do
 * @property {number[]} [trackGapsMs] for each phone, the silence between two tracks (the files contain no silence)
 * @property {number[]} [trackDelaysMs] for each phone, the time from the end of a track to position 0 of the next
 * @property {number[]} [clicks] times of clicks in s
 * @property {number} [shiftMs] largest change of a phone's position against the clock within half a second
 */

/**
 * @typedef {object} Scenario
 * @property {string} name
 * @property {(room: Room, attempt: number) => Promise<Measurement | Record<string, Measurement>>} measure several measurements by the
 *   name of their row
 * @property {() => Record<string, Float32Array>} [tracks]
 * @property {'jitter' | 'cuttable'} [network] `cuttable`: a proxy without latency
 * @property {boolean} [lastIsLate] the last phone joins during the measurement
 * @property {boolean} [needsNewRoom] each measurement needs a new room
 * @property {readonly import('./webdriver-phones.mjs').Engine[]} [engines] of the phones, if not all are Chromium
 * @property {boolean} [hasOtherRoom] two muted phones listen in another room of the server
 * @property {number} [maxCpuWaitShare] the limit above which a recording is discarded, if not the usual one
 * @property {number} [maxMeasurements] limit for scenarios that need few measurements or take long
 */

/** Round trips of 10, 20 and 30 ms, plus up to 40 ms of jitter in each direction. @param {number} phoneIndex */
export const JITTER = (phoneIndex) => ({ delayMs: 5 + 5 * (phoneIndex % 3), jitterMs: 40 });
export const NO_LATENCY = () => ({ delayMs: 0, jitterMs: 0 });

const SONG_SEC = 30;
const LONG_SEC = 11 * 60;
const LONG_RECORD_MS = 10 * 60_000;
const TONE_HZ = 440;

/** End of the early windows after the start. */
const EARLY_END_SEC = 2;
/** Begin of the later windows after the start. */
const LATER_START_SEC = 5;
export const RECORD_MS = 10_500;
/** Time from the start of playback until the phones are in step. */
const SETTLE_MS = 4_000;

/** Longest accepted time until the effect of a command is audible. */
const MAX_EFFECT_SEC = 3;

/** Half the length of the span that belongs to a change of position or track. */
const CHANGE_MARGIN_SEC = 0.8;

/** The end of a track is found by the music that starts this long before the end. */
const TAIL_SEC = 1.2;

/** Largest skew of phones that are in step. */
const MAX_IN_STEP_SKEW_MS = 5;
const FREEZE_MS = 200;
const CUT_BEFORE_END_MS = 5_000;
const CUT_AFTER_END_MS = 3_000;

export const songs = () => ({ 'Song 1': music(SONG_SEC, 1), 'Song 2': music(SONG_SEC, 2) });

/** @type {Record<string, Scenario>} */
export const SCENARIOS = {
  start: { name: 'start', measure: start },
  rooms: { name: 'start, while another room plays', measure: start, hasOtherRoom: true, maxCpuWaitShare: 0.3 },
  jitter: { name: 'start, jitter', measure: start, network: 'jitter' },
  seek: { name: 'seek', measure: seek },
  pause: { name: 'pause and play', measure: pauseAndPlay },
  next: { name: 'Next', measure: next },
  segue: { name: 'automatic change to the next track', measure: (room, attempt) => segue(room, attempt) },
  hidden: { name: 'automatic change, hidden pages', measure: (room, attempt) => segue(room, attempt, { isHidden: true }), needsNewRoom: true },
  cut: { name: 'automatic change, no network from 5 s before', measure: (room, attempt) => segue(room, attempt, { isCut: true }), network: 'cuttable' },
  late: { name: 'a phone that joins late', measure: lateJoiner, lastIsLate: true, needsNewRoom: true },
  stall: { name: `a stall of ${FREEZE_MS} ms`, measure: stall },
  restart: { name: 'kill -9 and restart', measure: restart },
  tone: { name: 'a pure tone', measure: tone, tracks: () => ({ Tone: pureTone(SONG_SEC, TONE_HZ) }), maxMeasurements: 3 },
  mixed: { name: 'two Chromiums and a Firefox', measure: mixed, engines: ['chromium', 'chromium', 'firefox'], needsNewRoom: true, maxCpuWaitShare: 0.3 },
  webkit: { name: 'two Chromiums and a WebKitGTK', measure: start, engines: ['chromium', 'chromium', 'webkit'], needsNewRoom: true, maxCpuWaitShare: 0.5 },
  long: { name: '10 minutes of one track', measure: long, tracks: () => ({ Long: music(LONG_SEC, 3) }), maxMeasurements: 1 },
};

/** @param {Room} room @param {number} attempt */
export async function start(room, attempt) {
  await room.pauseAt(1 + ((1.7 * attempt) % 10));
  const { recording, pressSec } = await recordPress(room, 'Play', RECORD_MS);
  const fromSec = firstSoundOfLastPhoneSec(recording, pressSec);
  return { ...evaluate(recording, fromSec), pressToSoundMs: (fromSec - pressSec) * 1_000 };
}

/** @param {Room} room @param {number} attempt */
async function seek(room, attempt) {
  await playSettled(room, 2);
  const { current } = await room.tracks();
  const targetSec = 12 + (attempt % 5);
  const { recording, atSec } = await recordDuring(room, async () => {
    const atMs = Date.now();
    await room.remote.command('seek', { positionSec: targetSec });
    await sleep(RECORD_MS);
    return atMs;
  });
  return evaluate(recording, lastStartAtPosition(recording, current, targetSec, atSec));
}

/** @param {Room} room */
export async function pauseAndPlay(room) {
  await playSettled(room, 2);
  await firstPhone(room).press('Pause');
  await sleep(1_000);
  const { recording, pressSec } = await recordPress(room, 'Play', RECORD_MS);
  const fromSec = firstSoundOfLastPhoneSec(recording, pressSec);
  return { ...evaluate(recording, fromSec), pressToSoundMs: (fromSec - pressSec) * 1_000 };
}

/** @param {Room} room */
export async function next(room) {
  await playSettled(room, 2);
  const { next: track } = await room.tracks();
  const { recording, pressSec } = await recordPress(room, 'Next', RECORD_MS);
  const fromSec = lastStartAtPosition(recording, track, 0, pressSec);
  return { ...evaluate(recording, fromSec), pressToSoundMs: (fromSec - pressSec) * 1_000 };
}

/**
 * Records an automatic change to the next track.
 * @param {Room} room
 * @param {number} _
 * @param {{isHidden?: boolean, isCut?: boolean}} [options]
 */
export async function segue(room, _, { isHidden = false, isCut = false } = {}) {
  const beforeEndMs = SETTLE_MS + CUT_BEFORE_END_MS + 2_000;
  await playSettled(room, SONG_SEC - beforeEndMs / 1_000);
  const endMs = Date.now() + beforeEndMs - SETTLE_MS;
  const { current, next: track } = await room.tracks();
  if (isHidden) await Promise.all(room.phones.map((phone) => phone.hide()));
  const { recording, atSec } = await recordDuring(room, async () => {
    if (isCut) {
      await sleep(endMs - CUT_BEFORE_END_MS - Date.now());
      for (const proxy of room.proxies) proxy.cut();
      await sleep(endMs + CUT_AFTER_END_MS - Date.now());
      for (const proxy of room.proxies) proxy.restore();
    }
    await sleep(endMs + RECORD_MS - Date.now());
    return endMs;
  });
  const span = { fromSec: Math.max(0, atSec - MAX_EFFECT_SEC), toSec: atSec + MAX_EFFECT_SEC };
  const changes = recording.sounds.map((sound, phoneIndex) => {
    const lastSec = current.length / RATE - TAIL_SEC;
    const end = findStart(sound, current, lastSec, span);
    const begin = findStart(sound, track, 0, span);
    if (!end || !begin) throw new Error(`phone ${phoneIndex} did not play the end of the track or the start of the next`);
    const gapMs = findGaps(sound, changeSpan(begin.startSec), 1).reduce((sum, { ms }) => sum + ms, 0);
    return { ...begin, gapMs, delayMs: (begin.startSec - end.startSec - TAIL_SEC) * 1_000 };
  });
  return {
    ...evaluate(recording, Math.max(...changes.map(({ soundSec }) => soundSec))),
    // Silence between the tracks is reported separately.
    gaps: gapsIn(recording, 0).filter(({ phone, atSec: gapSec }) => {
      const { fromSec, toSec } = changeSpan(changes[phone]?.startSec ?? NaN);
      return !(gapSec >= fromSec && gapSec < toSec);
    }),
    trackGapsMs: changes.map(({ gapMs }) => gapMs),
    trackDelaysMs: changes.map(({ delayMs }) => delayMs),
  };
}

/** @param {Room} room */
async function lateJoiner(room) {
  await playSettled(room, 2);
  const joiningPhone = /** @type {import('./phones.mjs').SkewPhone} */ (room.phones.at(-1));
  const { recording, atSec } = await recordDuring(room, async () => {
    await joiningPhone.join('Late');
    const atMs = await joiningPhone.pressedAtMs();
    await sleep(RECORD_MS + 1_500);
    return atMs;
  });
  const fromSec = firstSoundSec(/** @type {Float32Array} */ (recording.sounds.at(-1)));
  if (fromSec === null) throw new Error('the phone that joined late is silent');
  return { ...evaluate(recording, fromSec), gaps: gapsIn(recording, 0), pressToSoundMs: (fromSec - atSec) * 1_000 };
}

/** @param {Room} room */
async function stall(room) {
  await playSettled(room, 2);
  const { recording, atSec } = await recordDuring(room, async () => {
    await room.phones.at(-1)?.freeze(FREEZE_MS);
    const atMs = Date.now();
    await sleep(RECORD_MS);
    return atMs;
  });
  return { ...evaluate(recording, atSec), gaps: gapsIn(recording, 0), recoverySec: recoveryTimeSec(recording, atSec) };
}

/** @param {Room} room */
async function restart(room) {
  await playSettled(room, 2);
  const { recording, atSec } = await recordDuring(room, async () => {
    await sleep(1_000);
    await room.server.kill();
    await room.server.start();
    const atMs = Date.now();
    await sleep(RECORD_MS);
    return atMs;
  });
  return { ...evaluate(recording, atSec), gaps: gapsIn(recording, 0), recoverySec: recoveryTimeSec(recording, atSec) };
}

/** @param {Room} room @param {number} attempt */
async function tone(room, attempt) {
  await room.pauseAt(1 + attempt);
  const { recording, pressSec } = await recordPress(room, 'Play', RECORD_MS);
  const [fromSec, toSec] = [firstSoundOfLastPhoneSec(recording, pressSec) + 0.05, durationSec(recording)];
  const clicks = recording.sounds.flatMap((sound) => findClicks(sound, TONE_HZ, { fromSec, toSec }));
  return { cpuWaitShare: recording.cpuWaitShare, earlySkewsMs: [], laterSkewsMs: [], unmatchedCount: 0, gaps: gapsIn(recording, fromSec), clicks };
}

/** @param {Room} room */
async function long(room) {
  await room.pauseAt(0);
  const { current } = await room.tracks();
  const { recording, pressSec } = await recordPress(room, 'Play', LONG_RECORD_MS);
  const fromSec = firstSoundOfLastPhoneSec(recording, pressSec);
  const shifts = recording.sounds.flatMap((sound) => {
    const starts = trackStarts(sound, current, fromSec, fromSec).map(({ beginSec }) => beginSec * 1_000);
    return starts.slice(1).map((startMs, i) => Math.abs(startMs - (starts[i] ?? startMs)));
  });
  const shiftMs = shifts.reduce((maximum, shift) => Math.max(maximum, shift), 0);
  return { ...evaluate(recording, fromSec, 1), pressToSoundMs: (fromSec - pressSec) * 1_000, shiftMs };
}

/** Plays from this position until the phones have settled. @param {Room} room @param {number} positionSec */
export async function playSettled(room, positionSec) {
  await room.pauseAt(positionSec);
  await waitForIdleCpu();
  await room.remote.command('play', { positionSec });
  await sleep(SETTLE_MS);
}

/**
 * Records during an action. The action returns a time by `Date.now()`, which the result gives relative to the recording.
 * @param {Room} room
 * @param {() => Promise<number>} action
 */
export async function recordDuring(room, action) {
  const recorder = await room.speakers.record();
  /** @type {number} */
  let atMs;
  try {
    atMs = await action();
  } catch (error) {
    await recorder.stop();
    throw error;
  }
  const recording = await recorder.stop();
  return { recording, atSec: (atMs - recording.startedMs) / 1_000 };
}

/**
 * Records the effect of a press on the first phone, and waits for an idle CPU before Play.
 * @param {Room} room
 * @param {string} button
 * @param {number} recordMs
 */
async function recordPress(room, button, recordMs) {
  if (button === 'Play') await waitForIdleCpu();
  const { recording, atSec } = await recordDuring(room, async () => {
    await firstPhone(room).press(button);
    await sleep(recordMs);
    return firstPhone(room).pressedAtMs();
  });
  return { recording, pressSec: atSec };
}

/** @param {Room} room */
function firstPhone(room) {
  return /** @type {import('./phones.mjs').SkewPhone} */ (room.phones[0]);
}

/** The time of the first sound on the phone that starts last. @param {Recording} recording @param {number} fromSec */
function firstSoundOfLastPhoneSec({ sounds }, fromSec) {
  return Math.max(...sounds.map((sound, phoneIndex) => {
    const atSec = firstSoundSec(sound, fromSec);
    if (atSec === null) throw new Error(`phone ${phoneIndex} is silent`);
    return atSec;
  }));
}

/**
 * The time at which the last phone plays from this position of the track.
 * @param {Recording} recording
 * @param {Float32Array} track
 * @param {number} positionSec
 * @param {number} fromSec
 */
function lastStartAtPosition({ sounds }, track, positionSec, fromSec) {
  return Math.max(...sounds.map((sound, phoneIndex) => {
    const begin = findStart(sound, track, positionSec, { fromSec, toSec: fromSec + MAX_EFFECT_SEC });
    if (!begin) throw new Error(`phone ${phoneIndex} did not play from ${positionSec} s`);
    return begin.soundSec;
  }));
}

/**
 * `startSec`: the time at which a phone is at this position of the track, found by the music there or 0.5 s later (a late phone skips
 * some music). `soundSec`: the time at which its sound starts.
 * @param {Float32Array} sound
 * @param {Float32Array} track
 * @param {number} positionSec
 * @param {import('./analysis.mjs').Span} span
 */
function findStart(sound, track, positionSec, span) {
  for (const skippedSec of [0, 0.5]) {
    const atSec = findPiece(sound, sliceSamples(track, Math.round((positionSec + skippedSec) * RATE), RATE / 2), span);
    if (atSec === null) continue;
    const startSec = atSec - skippedSec;
    const soundSec = findGaps(sound, changeSpan(startSec)).reduce((latest, gap) => Math.max(latest, gap.atSec + gap.ms / 1_000), startSec);
    return { startSec, soundSec };
  }
  return null;
}

/** The time span of a change at this time. @param {number} atSec */
function changeSpan(atSec) {
  return { fromSec: atSec - CHANGE_MARGIN_SEC, toSec: atSec + CHANGE_MARGIN_SEC };
}

/**
 * Evaluates skew and gaps from a start time on.
 * @param {Recording} recording
 * @param {number} fromSec
 * @param {number} [everySec]
 * @returns {Measurement}
 */
export function evaluate(recording, fromSec, everySec = 0.5) {
  const windows = skewByWindow(recording.sounds, { fromSec, toSec: durationSec(recording) }, everySec);
  const earlyWindows = windows.filter(({ atSec }) => atSec < fromSec + EARLY_END_SEC - 0.25);
  const laterWindows = windows.filter(({ atSec }) => atSec >= fromSec + LATER_START_SEC);
  const skewsMs = (/** @type {typeof windows} */ selected) => selected.flatMap(({ widestMs }) => (widestMs === null ? [] : [widestMs]));
  const unmatchedCount = [...earlyWindows, ...laterWindows].filter(({ widestMs }) => widestMs === null).length;
  return { cpuWaitShare: recording.cpuWaitShare, earlySkewsMs: skewsMs(earlyWindows), laterSkewsMs: skewsMs(laterWindows), unmatchedCount, gaps: gapsIn(recording, fromSec) };
}

/**
 * Time until all phones stay in step for the rest of the recording; `null` if they do not, or if no window matches.
 * @param {Recording} recording
 * @param {number} fromSec
 */
export function recoveryTimeSec(recording, fromSec) {
  const windows = skewByWindow(recording.sounds, { fromSec, toSec: durationSec(recording) }, 0.1);
  // A window without a match has no skew; missing sound is reported as a gap.
  const matched = windows.filter(({ widestMs }) => widestMs !== null);
  const lastOutOfStep = matched.findLastIndex(({ widestMs }) => Number(widestMs) > MAX_IN_STEP_SKEW_MS);
  const recovered = matched[lastOutOfStep + 1];
  return recovered ? recovered.atSec - fromSec : null;
}

/** The gaps of all phones from a time on. @param {Recording} recording @param {number} fromSec @returns {Gap[]} */
function gapsIn(recording, fromSec) {
  const gapsByPhone = recording.sounds.map((sound) => findGaps(sound, { fromSec, toSec: durationSec(recording) }));
  const overlaps = (/** @type {{atSec: number, ms: number}} */ one) => (/** @type {{atSec: number, ms: number}} */ other) =>
    other.atSec < one.atSec + one.ms / 1_000 && one.atSec < other.atSec + other.ms / 1_000;
  return gapsByPhone.flatMap((gaps, phone) =>
    gaps.map((gap) => ({ phone, ...gap, isOnAllPhones: gapsByPhone.every((others) => others.some(overlaps(gap))) })));
}

/** The duration of the shortest sound in s. @param {Recording} recording */
function durationSec({ sounds }) {
  return Math.min(...sounds.map(({ length }) => length)) / RATE;
}
