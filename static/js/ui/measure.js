// Settings, "Measure by microphone": the phones chirp by turns, this one listens, and one tap puts all in step.
// What a recording tells is worked out in listen.js; it and the microphone are fetched when they are wanted.

import { offsetAt } from '../clock.js';
import { memberName, wantsToPlay } from '../state.js';
import { sleep } from '../timer.js';
import { SAME_CHIRP_MS, turns } from '../tuner.js';
import { byId, part, setHidden, setText, stamp } from './dom.js';

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Room} Room */

const LARGEST_DELAY_MS = 500;

/** So long after it was asked for, the room is told when the first phone sounds. */
const TOLD_MS = 3_000;

const MUSIC = 'Pause the music first: each phone has to be heard by itself.';
const QUIET = 'Quiet, please: each phone sounds in turn. Keep this one where it hears them all.';
const NOBODY = 'Fewer than two phones were heard well. Turn them up, come closer, and measure again.';
const OUTSIDE = 'The phones cannot be reached. Try again in a moment.';
const DONE = 'Applied. Measure again to see what is left.';

/**
 * What the delays have to be, for those that were heard.
 * @param {ReadonlyMap<MemberId, number | null>} late
 * @param {Room['clients']} clients with the delays that they had when they were heard
 * @returns {Record<MemberId, number>}
 */
export function delaysFor(late, clients) {
  /** @type {Record<MemberId, number>} */
  const delays = {};
  for (const [memberId, lateMs] of late) {
    if (lateMs === null || !clients[memberId]) continue;
    const delayMs = (clients[memberId].delayMs ?? 0) + lateMs;
    delays[memberId] = Math.max(-LARGEST_DELAY_MS, Math.min(LARGEST_DELAY_MS, delayMs));
  }
  return delays;
}

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {() => Promise<boolean>} options.chirp has all phones chirp; whether the server was willing
 * @param {(delays: Record<MemberId, number>) => Promise<boolean>} options.tune
 */
export function createMeasure({ store, chirp, tune }) {
  const start = byId('measure-start', HTMLButtonElement);
  const text = byId('measure-text', HTMLElement);
  const list = byId('measure-list', HTMLElement);
  const apply = byId('measure-apply', HTMLButtonElement);
  /** @type {Record<MemberId, number>} */
  let delays = {};

  /** @param {string} sentence @param {HTMLElement[]} [rows] */
  function show(sentence, rows = []) {
    setText(text, sentence);
    list.replaceChildren(...rows);
    setHidden(apply, rows.length === 0);
  }

  /** @param {Room} room */
  async function measure(room) {
    const [{ openMicrophone }, { lateness }] = await Promise.all([import('../microphone.js'), import('../listen.js')]);
    const close = await openMicrophone().catch(({ message }) => show(message));
    if (!close) return;
    show(QUIET);
    const tuning = await chirps();
    const offsetMs = offsetAt(store.get().clock, performance.now());
    const plan = tuning && turns(tuning);
    if (plan && offsetMs !== null) await sleep((plan.at(-1)?.atMs ?? 0) + SAME_CHIRP_MS - offsetMs - performance.now());
    const { startedMs, ...recording } = close();
    if (!plan || offsetMs === null) return show(OUTSIDE);
    const late = lateness({ ...recording, startedAtMs: startedMs + offsetMs }, plan);
    const heard = [...late.values()].filter((lateMs) => lateMs !== null).length;
    if (heard < 2) return show(NOBODY);
    delays = delaysFor(late, room.clients);
    show('', [...late].map(([memberId, lateMs]) => row(memberName(room, memberId), lateMs)));
  }

  async function chirps() {
    const before = store.get().tuning;
    const told = store.until(({ tuning }) => tuning !== before && tuning?.kind === 'chirp', TOLD_MS);
    return (await chirp()) && (await told) ? store.get().tuning : null;
  }

  start.addEventListener('click', async () => {
    const { room } = store.get();
    if (!room || wantsToPlay(room)) return show(MUSIC);
    start.disabled = true;
    show('');
    await measure(room).catch(() => show(OUTSIDE));
    start.disabled = false;
  });
  apply.addEventListener('click', async () => {
    apply.disabled = true;
    if (await tune(delays)) show(DONE);
    apply.disabled = false;
  });
  setHidden(start, !navigator.mediaDevices);
}

/**
 * @param {string} name
 * @param {number | null} lateMs
 */
function row(name, lateMs) {
  const made = stamp('measure-template');
  setText(part(made, 'dt', HTMLElement), name);
  setText(part(made, 'dd', HTMLElement), lateMs === null ? 'not heard' : `+${Math.round(lateMs)}\u00a0ms`);
  return made;
}
