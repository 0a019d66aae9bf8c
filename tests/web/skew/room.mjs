// A room to measure in: a server with music, phones with loudspeakers that have all of it, and a remote control.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startServer } from '../support/server.mjs';
import { wav } from './music.mjs';
import { openNetwork } from './network.mjs';
import { openSkewPhone } from './phones.mjs';
import { openRemote } from './remote.mjs';

const NAMES = ['Ada', 'Ben', 'Cid', 'Dora', 'Eve', 'Fay', 'Gus', 'Hal'];

/** So long after a pause nothing sounds any more. */
const SILENT_AFTER_MS = 1_000;
const LIMIT_MS = 30_000;

/** @typedef {Awaited<ReturnType<typeof openRoom>>} Room */

/**
 * @param {object} options
 * @param {import('./speakers.mjs').Speakers} options.speakers
 * @param {number} options.phones
 * @param {Record<string, Float32Array>} options.tracks by name
 * @param {((k: number) => import('./network.mjs').Slowness) | null} options.network what lies before each phone, if anything
 * @param {boolean} [options.lastIsLate] The last phone stays at the door.
 */
export async function openRoom({ speakers, phones: count, tracks, network, lastIsLate = false }) {
  const server = await startServer({
    fill: (folder) => Promise.all(Object.entries(tracks).map(([name, track]) => writeFile(join(folder, `${name}.wav`), wav(track)))),
  });
  /** @type {import('./network.mjs').Network[]} */
  const networks = [];
  /** @type {import('./phones.mjs').SkewPhone[]} */
  const phones = [];

  async function end() {
    await Promise.all(phones.map((phone) => phone.close()));
    for (const one of networks) one.end();
    await server.end();
  }

  /** Waits until so many phones are heard of by the server. @param {number} listeners */
  async function gathered(listeners) {
    for (const end = Date.now() + LIMIT_MS; Date.now() < end; await sleep(100)) {
      const { live } = await remote.snapshot();
      if (Object.keys(live.listeners).length === listeners) return;
    }
    throw new Error(`there never are ${listeners} listeners`);
  }

  /** @type {import('./remote.mjs').Remote} */
  let remote;
  try {
    remote = await openRemote(server.url('127.0.0.1'));
    for (let k = 0; k < count; k += 1) {
      if (network) networks.push(await openNetwork(server.url(), network(k)));
      phones.push(await openSkewPhone(k, networks[k]?.url ?? server.url(), speakers.env(k)));
    }
    for (const [k, phone] of phones.entries()) {
      if (lastIsLate && k === count - 1) continue;
      await phone.join(/** @type {string} */ (NAMES[k]));
      await phone.holds(Object.keys(tracks).length);
    }
  } catch (error) {
    await end();
    throw error;
  }
  const joined = lastIsLate ? count - 1 : count;

  return {
    server,
    speakers,
    phones,
    networks,
    remote,
    end,
    /** The current track and the one after it, which is the same where there is but one. */
    tracks: async () => {
      const [current, next] = await remote.tracks();
      return { current: trackOf(current), next: trackOf(next ?? current) };
    },
    /** Has the room silent, at that place of its track, with everybody there. @param {number} positionSec */
    rest: async (positionSec) => {
      await gathered(joined);
      const { playState, barrier } = await remote.snapshot();
      if (playState.mode === 'playing' || barrier) await remote.command('pause', { positionSec });
      await remote.command('seek', { positionSec });
      await sleep(SILENT_AFTER_MS);
    },
  };

  /** @param {string | undefined} name */
  function trackOf(name) {
    const track = tracks[name ?? ''];
    if (!track) throw new Error(`no track ${name}`);
    return track;
  }
}
