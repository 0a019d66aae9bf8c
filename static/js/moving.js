// Moving over to the secure page: that is another origin, with a storage of its own, so what this phone keeps is handed over,
// from the tab that it was in to the one that is opened. Where no tab can be opened it is fetched again. The token needs no
// handing over: a cookie belongs to the host.

import { isWhole } from './cache.js';
import { trusts } from './secure.js';
import { within } from './timer.js';

/** @typedef {import('./cache.js').Entry} Entry */
/** @typedef {import('./cache/back.js').Back} Back */

/**
 * What the new page asks of the old one, and what that answers.
 * @typedef {{ask: 'all'} | {ask: 'part', entry: Entry, part: number} | {ask: 'done'}} Question
 * @typedef {{settings?: unknown, entries?: Entry[], bytes?: ArrayBuffer | null}} Answer
 */

/**
 * How many of so many tracks are there.
 * @typedef {{brought: number, total: number}} Brought
 */

/** Marks the address of a page that is opened to move into. */
const MARK = '#moving';

/** Under this the page remembers where this phone moved to. */
const KEY = 'lockstep.moved';

/** @type {{answer: Answer, transfer?: Transferable[]}} */
const NOTHING = { answer: {} };

/** A page that is gone answers nothing. */
const ANSWER_MS = 5_000;

/** One that asks for nothing for so long has what it wanted, or is gone. */
const SILENT_MS = 30_000;

/**
 * Opens the page at `origin`, which a tap must have asked for, and hands over what it asks for.
 * @param {string} origin
 * @param {object} own
 * @param {() => Promise<Back>} own.open
 * @param {() => unknown} own.settings
 * @param {(total: number) => void} own.onFollowed the new page is there, and so many tracks are to follow
 * @param {() => void} own.onDone it needs this one no more
 */
export function moveTo(origin, { open, settings, onFollowed, onDone }) {
  remember(origin);
  const page = window.open(`${origin}/${MARK}`);
  if (!page) return location.assign(`${origin}/`);
  /** @type {Promise<Back> | null} */
  let opening = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let silence;
  addEventListener('message', async ({ source, origin: from, data, ports: [port] }) => {
    if (source !== page || from !== origin || !port) return;
    /** @type {Question} */
    const question = data;
    clearTimeout(silence);
    silence = setTimeout(onDone, SILENT_MS);
    const back = await (opening ??= open());
    const { answer, transfer = [] } = await answerTo(question, back, settings).catch(() => NOTHING);
    port.postMessage(answer, transfer);
    if (question.ask === 'all') onFollowed((answer.entries ?? []).filter(isWhole).length);
    if (question.ask === 'done') onDone();
  });
}

/**
 * @param {Question} question
 * @param {Back} back
 * @param {() => unknown} settings
 * @returns {Promise<{answer: Answer, transfer?: Transferable[]}>}
 */
async function answerTo(question, back, settings) {
  if (question.ask === 'all') return { answer: { settings: settings(), entries: await back.list() } };
  if (question.ask === 'part') {
    const bytes = await (await back.part(question.entry, question.part)).arrayBuffer();
    return { answer: { bytes }, transfer: [bytes] };
  }
  // The room that they took is the new page's.
  await back.clear();
  return { answer: {} };
}

/** @param {string} origin */
function remember(origin) {
  try {
    localStorage.setItem(KEY, origin);
  } catch {
    // A private window: it is asked again.
  }
}

/** Leads a phone that has moved over, and comes here again by the code for guests, to where it lives. */
export async function follow() {
  const origin = localStorage.getItem(KEY);
  if (origin && !isSecureContext && (await trusts(origin))) location.replace(`${origin}/`);
}

/** Whether this page was opened to move into. */
export function isMovingIn() {
  return location.hash === MARK && window.opener !== null;
}

/**
 * Brings what the page at `origin`, which opened this one, keeps.
 * @param {string} origin
 * @param {Back} back
 * @param {(so: Brought) => void} onProgress
 * @returns {Promise<unknown>} its settings
 */
export async function moveIn(origin, back, onProgress) {
  // Once: after a reload there may be nobody to ask.
  history.replaceState(null, '', '/');
  const { settings, entries = [] } = await ask(origin, { ask: 'all' });
  /** @param {Entry} entry @param {number} part */
  const fetchPart = async (entry, part) => (await ask(origin, { ask: 'part', entry, part })).bytes ?? null;
  await bring(entries.filter(isWhole), back, fetchPart, onProgress);
  await ask(origin, { ask: 'done' });
  return settings;
}

/**
 * Puts tracks on the back, the last used ones first, until there is no more room.
 * @param {Entry[]} entries
 * @param {Back} back
 * @param {(entry: Entry, part: number) => Promise<ArrayBuffer | null>} fetchPart
 * @param {(so: Brought) => void} onProgress
 */
export async function bring(entries, back, fetchPart, onProgress) {
  const here = new Set((await back.list()).map(({ trackId }) => trackId));
  const order = entries.filter(({ trackId }) => !here.has(trackId)).sort((a, b) => b.usedAtMs - a.usedAtMs);
  for (const [brought, entry] of order.entries()) {
    onProgress({ brought, total: order.length });
    try {
      await bringOne(entry, back, fetchPart);
    } catch {
      await back.remove(entry.trackId);
      return;
    }
  }
}

/**
 * @param {Entry} entry
 * @param {Back} back
 * @param {(entry: Entry, part: number) => Promise<ArrayBuffer | null>} fetchPart
 */
async function bringOne(entry, back, fetchPart) {
  if (!/^[0-9a-f]{16}$/.test(entry.trackId)) throw new Error('no track');
  let receivedBytes = 0;
  for (let i = 0; i < entry.parts; i += 1) {
    const bytes = await fetchPart(entry, i);
    if (!bytes) throw new Error('a part is gone');
    receivedBytes += bytes.byteLength;
    await back.append({ ...entry, parts: i + 1, receivedBytes }, bytes);
  }
  if (receivedBytes !== entry.size) throw new Error('bytes are missing');
}

/**
 * @param {string} origin
 * @param {Question} question
 * @returns {Promise<Answer>}
 */
function ask(origin, question) {
  const { port1, port2 } = new MessageChannel();
  const answer = new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data);
  });
  window.opener.postMessage(question, origin, [port2]);
  return within(ANSWER_MS, answer);
}
