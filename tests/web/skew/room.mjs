// The measured room: a server with music, phones that have stored all tracks, and a remote.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startServer } from '../support/server.mjs';
import { wav } from './music.mjs';
import { openOtherRoom } from './other-room.mjs';
import { openSlowProxy } from './slow-proxy.mjs';
import { openSkewPhone } from './phones.mjs';
import { openRemote } from './remote.mjs';
import { openWebDriverPhone } from './webdriver-phones.mjs';

const NAMES = ['Ada', 'Ben', 'Cid', 'Dora', 'Eve', 'Fay', 'Gus', 'Hal'];

/** Time after a pause until all phones are silent. */
const PAUSE_SETTLE_MS = 1_000;
const WAIT_TIMEOUT_MS = 30_000;

/** @typedef {Awaited<ReturnType<typeof openRoom>>} Room */

/**
 * @param {object} options
 * @param {import('./speakers.mjs').Speakers} options.speakers
 * @param {number} options.phones
 * @param {Record<string, Float32Array>} options.tracks by name
 * @param {((phoneIndex: number) => import('./slow-proxy.mjs').Latency) | null} options.network the latency of each phone's network; `null` for no proxy
 * @param {boolean} [options.lastIsLate] the last phone opens the page but does not join
 * @param {readonly import('./webdriver-phones.mjs').Engine[]} [options.engines] of the phones; Chromium if absent. Others have no
 *   simulated network
 * @param {boolean} [options.hasOtherRoom] phones listen in another room of the server, too
 */
export async function openRoom({ speakers, phones: count, tracks, network, lastIsLate = false, engines = [], hasOtherRoom = false }) {
  const server = await startServer({
    fill: (folder) => Promise.all(Object.entries(tracks).map(([name, track]) => writeFile(join(folder, `${name}.wav`), wav(track)))),
  });
  /** @type {import('./slow-proxy.mjs').SlowProxy[]} */
  const proxies = [];
  /** @type {import('./phones.mjs').SkewPhone[]} */
  const phones = [];
  let otherRoom = /** @type {{close: () => Promise<void>} | null} */ (null);

  async function end() {
    await otherRoom?.close();
    await Promise.all(phones.map((phone) => phone.close()));
    for (const proxy of proxies) proxy.close();
    await server.remove();
  }

  /** Waits until the server knows this number of listeners. @param {number} listenerCount */
  async function waitForListeners(listenerCount) {
    for (const deadline = Date.now() + WAIT_TIMEOUT_MS; Date.now() < deadline; await sleep(100)) {
      const { live } = await remote.snapshot();
      if (Object.keys(live.listeners).length === listenerCount) return;
    }
    throw new Error(`timed out waiting for ${listenerCount} listeners`);
  }

  /** @param {number} phoneIndex @returns {Promise<any>} */
  function openPhone(phoneIndex) {
    const engine = engines[phoneIndex] ?? 'chromium';
    const env = speakers.env(phoneIndex);
    if (engine !== 'chromium') return openWebDriverPhone(engine, server, env);
    return openSkewPhone(phoneIndex, proxies[phoneIndex]?.url ?? server.url(), env);
  }

  /** @type {import('./remote.mjs').Remote} */
  let remote;
  try {
    remote = await openRemote(server.url('127.0.0.1'));
    for (let phoneIndex = 0; phoneIndex < count; phoneIndex += 1) {
      if (network) proxies.push(await openSlowProxy(server.url(), network(phoneIndex)));
      phones.push(await openPhone(phoneIndex));
    }
    for (const [phoneIndex, phone] of phones.entries()) {
      if (lastIsLate && phoneIndex === count - 1) continue;
      await phone.join(/** @type {string} */ (NAMES[phoneIndex]));
      await phone.waitForStoredTracks(Object.keys(tracks).length);
    }
    if (hasOtherRoom) otherRoom = await openOtherRoom(server.url());
  } catch (error) {
    await end();
    throw error;
  }
  const joinedCount = lastIsLate ? count - 1 : count;

  return {
    server,
    speakers,
    phones,
    proxies,
    remote,
    end,
    /** The current and the next track; both are the same in a room with a single track. */
    tracks: async () => {
      const [current, next] = await remote.tracks();
      return { current: trackOf(current), next: trackOf(next ?? current) };
    },
    /** Waits until every phone is connected, and pauses the room at this position. @param {number} positionSec */
    pauseAt: async (positionSec) => {
      await waitForListeners(joinedCount);
      const { playState, barrier } = await remote.snapshot();
      if (playState.mode === 'playing' || barrier) await remote.command('pause', { positionSec });
      await remote.command('seek', { positionSec });
      await sleep(PAUSE_SETTLE_MS);
    },
  };

  /** The samples of a track. @param {string | undefined} name */
  function trackOf(name) {
    const track = tracks[name ?? ''];
    if (!track) throw new Error(`no track ${name}`);
    return track;
  }
}
