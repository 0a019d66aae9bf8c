// A remote: a paired device without a page or sound that controls the room, so that a measurement starts at a known position.

import { PAIRING_CODE } from '../support/server.mjs';

/** Attempts of a command that other events make stale. */
const MAX_ATTEMPTS = 20;

/** @typedef {Awaited<ReturnType<typeof openRemote>>} Remote */

/** @param {string} serverUrl */
export async function openRemote(serverUrl) {
  const request = async (/** @type {string} */ path, /** @type {RequestInit} */ init = {}) => {
    const response = await fetch(new URL(path, serverUrl), init);
    if (!response.ok && response.status !== 409) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return { status: response.status, body: await response.json() };
  };
  const post = (/** @type {object} */ body, headers = {}) => ({
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
  const { body: paired } = await request('/pair', post({ code: PAIRING_CODE, clientName: 'Remote' }));
  const authorization = `Bearer ${paired.clientId}`;
  const get = async (/** @type {string} */ path) => (await request(path, { headers: { authorization } })).body;

  /**
   * @param {'play' | 'pause' | 'seek' | 'next'} name
   * @param {{positionSec?: number}} [body]
   */
  async function command(name, body = {}) {
    let { eventCount } = await get('/snapshot');
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const { status, body: responseBody } = await request(`/${name}`, post(body, { authorization, 'if-match-event': String(eventCount) }));
      if (status === 200) return;
      eventCount = responseBody.expectedEventCount;
    }
    throw new Error(`${name} was refused as stale ${MAX_ATTEMPTS} times`);
  }

  return {
    command,
    snapshot: () => get('/snapshot'),
    /** The names of the tracks in play order, the current track first. @returns {Promise<string[]>} */
    tracks: async () => {
      const [{ queue, queueIndex }, index] = await Promise.all([get('/snapshot'), get('/index')]);
      const names = new Map(index.map((/** @type {any} */ { trackId, fileName }) => [trackId, fileName.replace('.wav', '')]));
      return [...queue.slice(queueIndex), ...queue.slice(0, queueIndex)].map((id) => names.get(id));
    },
  };
}
