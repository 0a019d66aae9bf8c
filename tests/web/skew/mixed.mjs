// Phones of different engines in one room: before a comparison, and after one by the server's microphone.

import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXECUTABLE } from '../support/server.mjs';
import { RECORD_MS, evaluate, next, pauseAndPlay, playSettled, recordDuring, segue, start } from './scenarios.mjs';

/** @typedef {import('./room.mjs').Room} Room */
/** @typedef {import('./scenarios.mjs').Measurement} Measurement */

/** A comparison fails if the machine was too busy to play or record chirps on time. */
const MAX_COMPARISONS = 4;

/** @param {Room} room @param {number} attempt @returns {Promise<Record<string, Measurement>>} */
export async function mixed(room, attempt) {
  /** @type {Record<string, Measurement>} */
  const results = { uncompared: await start(room, attempt) };
  await room.pauseAt(0);
  await compare(room);
  /** @type {[string, () => Promise<Measurement>][]} */
  const parts = [
    ['compared', () => start(room, attempt + 1)],
    ['compared, pause and play', () => pauseAndPlay(room)],
    ['compared, Next', () => next(room)],
    ['compared, a new track', () => segue(room, attempt)],
    ['compared, reload', () => reload(room)],
  ];
  for (const [name, measure] of parts) {
    // A failure, as of a browser that plays too late on a busy machine, leaves the other parts valid.
    const result = await measure().catch((error) => void console.error(`${name}: ${error}`));
    if (result) results[name] = result;
  }
  return results;
}

/** Sets the delays of all phones with `lockstep compare`. @param {Room} room */
async function compare(room) {
  const { microphone } = room.speakers;
  const args = ['compare', '--local-socket', `${room.server.stateFile}.socket`, '--microphone', microphone.name];
  for (let attempt = 1; ; attempt += 1) {
    const child = spawn(EXECUTABLE, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...microphone.env } });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
    const code = await new Promise((resolve) => child.once('close', resolve));
    console.error(output.trim());
    if (code === 0 && output.match(/: heard/g)?.length === room.phones.length) return;
    if (attempt === MAX_COMPARISONS) throw new Error(`no comparison of all phones in ${attempt} attempts:\n${output}`);
  }
}

/** Reloads all pages while the room plays, and rejoins by a tap. @param {Room} room */
async function reload(room) {
  await playSettled(room, 2);
  await Promise.all(room.phones.map((phone) => phone.reload()));
  await Promise.all(room.phones.map((phone) => phone.press('Tap to rejoin')));
  const { recording, atSec } = await recordDuring(room, async () => {
    const atMs = Date.now();
    await sleep(RECORD_MS);
    return atMs;
  });
  // The first sounds of the phones precede the recording.
  return { ...evaluate(recording, Math.max(0, atSec)), gaps: [] };
}
