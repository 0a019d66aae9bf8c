// Settings, "Measure by microphone": all phones play chirps in turn, this phone records the chirps, and a button
// applies the measured speaker delays to all phones.

import { formatNumber } from '../format.js';
import { offsetAt } from '../sound/clock.js';
import { memberName, isPlayingOrStarting } from '../room/selectors.js';
import { sleep } from '../timer.js';
import { SAME_CHIRP_INTERVAL_MS, chirpTurns } from '../sound/test-sound-schedule.js';
import { cloneTemplate, elementById, queryElement, setHidden, setMessage, setText } from './dom.js';

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Room} Room */

/** The server's limit for a speaker delay. */
const MAX_DELAY_MS = 500;

/** Time within which the server must send the schedule of the chirps (event `tuning`) after the request. */
const SCHEDULE_TIMEOUT_MS = 3_000;

/** Minimum number of phones that must be heard for a comparison. */
const MIN_PHONES_HEARD = 2;

/**
 * The speaker delays with which all phones that were heard sound at the same time. The smallest delay stays what it was,
 * so that the delays do not grow with each measurement. Delays beyond the server's limit are all reduced by the same amount, and a
 * phone that is too late for any delay is left out.
 * @param {ReadonlyMap<MemberId, number | null>} latenessMs how much later than the earliest phone each phone was heard;
 *   `null` if the phone was not heard
 * @param {Room['clients']} clients with the delays that applied during the recording
 * @returns {Record<MemberId, number>} in milliseconds, within the server's limits
 */
export function correctedDelays(latenessMs, clients) {
  const heard = [...latenessMs].flatMap(([memberId, lateMs]) => {
    const client = clients[memberId];
    const beforeMs = client?.delayMs ?? 0;
    return lateMs === null || !client ? [] : [{ memberId, beforeMs, afterMs: beforeMs + lateMs }];
  });
  const earliestMs = Math.min(...heard.map(({ afterMs }) => afterMs));
  const shiftMs = Math.min(...heard.map(({ beforeMs }) => beforeMs)) - earliestMs;
  const fitting = heard.filter(({ afterMs }) => afterMs - earliestMs <= 2 * MAX_DELAY_MS);
  const excessMs = Math.max(0, ...fitting.map(({ afterMs }) => afterMs + shiftMs - MAX_DELAY_MS));
  return Object.fromEntries(fitting.map(({ memberId, afterMs }) => [memberId, afterMs + shiftMs - excessMs]));
}

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {() => Promise<boolean>} options.requestChirps resolves to whether the server accepted the request
 * @param {(delays: Record<MemberId, number>, compared: import('../types.js').ComparedSpeakers) => Promise<boolean>} options.setDelays resolves to whether the server
 *   accepted the delays
 */
export function setUpMicrophoneCalibration({ store, requestChirps, setDelays }) {
  const startButton = elementById('measure-start', HTMLButtonElement);
  const messageText = elementById('measure-text', HTMLElement);
  const resultList = elementById('measure-list', HTMLElement);
  const applyButton = elementById('measure-apply', HTMLButtonElement);
  /** The delays that the button applies. @type {Record<MemberId, number>} */
  let measuredDelays = {};

  /** @param {import('../language/texts.js').Message | null} message @param {HTMLElement[]} [resultRows] */
  function show(message, resultRows = []) {
    setMessage(messageText, message);
    resultList.replaceChildren(...resultRows);
    setHidden(applyButton, resultRows.length === 0);
  }

  /** @param {Room} room */
  async function measure(room) {
    const modules = await importModules().catch(() => null);
    if (!modules) return show({ key: 'measure.notLoaded' });
    const [{ openMicrophone }, { measureLateness }] = modules;
    const stopRecording = await openMicrophone().catch(({ message }) => show(message));
    if (!stopRecording) return;
    show({ key: 'measure.measuring' });
    const schedule = await startChirps();
    const offsetMs = offsetAt(store.get().clock, performance.now());
    const turns = schedule && chirpTurns(schedule);
    // The recording must last `SAME_CHIRP_INTERVAL_MS` after the last chirp is due, because a chirp may be heard this
    // late. The times of turns are on the server clock.
    if (turns && offsetMs !== null) await sleep((turns.at(-1)?.atMs ?? 0) + SAME_CHIRP_INTERVAL_MS - offsetMs - performance.now());
    const { startedAtMs, ...recording } = stopRecording();
    if (!turns || offsetMs === null) return show({ key: 'measure.notReachable' });
    const latenessMs = measureLateness({ ...recording, startedAtMs: startedAtMs + offsetMs }, turns);
    const heardCount = [...latenessMs.values()].filter((lateMs) => lateMs !== null).length;
    if (heardCount < MIN_PHONES_HEARD) return show({ key: 'measure.tooFewHeard' });
    measuredDelays = correctedDelays(latenessMs, room.clients);
    show(null, [...latenessMs].map(([memberId, lateMs]) => resultRow(memberName(room, memberId), lateMs)));
  }

  /** @returns {Promise<import('../types.js').TestSoundSchedule | null>} `null` if the chirps could not be started */
  async function startChirps() {
    const previousSchedule = store.get().testSoundSchedule;
    const hasNewSchedule = store.waitFor(({ testSoundSchedule }) => {
      return testSoundSchedule !== previousSchedule && testSoundSchedule?.kind === 'chirp';
    }, SCHEDULE_TIMEOUT_MS);
    return (await requestChirps()) && (await hasNewSchedule) ? store.get().testSoundSchedule : null;
  }

  startButton.addEventListener('click', async () => {
    const { room } = store.get();
    if (!room || isPlayingOrStarting(room)) return show({ key: 'measure.pauseFirst' });
    startButton.disabled = true;
    show(null);
    store.update({ isMeasuring: true });
    try {
      await measure(room);
    } catch (error) {
      // `measure` handles the expected failures, so any error here is a bug of the page.
      reportError(error);
      show({ key: 'measure.failed' });
    }
    store.update({ isMeasuring: false });
    startButton.disabled = false;
  });
  applyButton.addEventListener('click', async () => {
    applyButton.disabled = true;
    const compared = /** @type {const} */ ({ by: 'microphone', memberIds: Object.keys(measuredDelays) });
    if (await setDelays(measuredDelays, compared)) show({ key: 'measure.applied' });
    applyButton.disabled = false;
  });
  // `mediaDevices` exists on secure pages only.
  setHidden(elementById('measure', HTMLElement), !navigator.mediaDevices);
}

/** Imported on first use, because few phones need these modules. */
function importModules() {
  return Promise.all([import('../sound/microphone.js'), import('../sound/chirp-detector.js')]);
}

/** @param {string} name @param {number | null} lateMs */
function resultRow(name, lateMs) {
  const row = cloneTemplate('measure-template');
  setText(queryElement(row, 'dt', HTMLElement), name);
  setMessage(queryElement(row, 'dd', HTMLElement), lateMs === null ? { key: 'measure.notHeard' } : `+${formatNumber(lateMs)}\u00a0ms`);
  return row;
}
