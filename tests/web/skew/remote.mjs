// A device that steers the room and plays nothing, so that what is measured begins at a known place.

import { CODE } from '../support/server.mjs';

const TRIES = 20;

/** @typedef {Awaited<ReturnType<typeof openRemote>>} Remote */

/** @param {string} address the server's page */
export async function openRemote(address) {
  const ask = async (/** @type {string} */ path, /** @type {RequestInit} */ init = {}) => {
    const response = await fetch(new URL(path, address), init);
    if (!response.ok && response.status !== 409) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return { status: response.status, body: await response.json() };
  };
  const post = (/** @type {object} */ body, headers = {}) => ({
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
  const { body: paired } = await ask('/pair', post({ code: CODE, clientName: 'Remote' }));
  const authorization = `Bearer ${paired.clientId}`;
  const look = async (/** @type {string} */ path) => (await ask(path, { headers: { authorization } })).body;

  /**
   * @param {'play' | 'pause' | 'seek' | 'next'} name
   * @param {{positionSec?: number}} [body]
   */
  async function command(name, body = {}) {
    let { eventCount } = await look('/snapshot');
    for (let tries = 0; tries < TRIES; tries += 1) {
      const { status, body: answer } = await ask(`/${name}`, post(body, { authorization, 'if-match-event': String(eventCount) }));
      if (status === 200) return;
      eventCount = answer.expectedEventCount;
    }
    throw new Error(`${name} is never accepted`);
  }

  return {
    command,
    snapshot: () => look('/snapshot'),
    /** The names of the tracks, in play order, the current one first. @returns {Promise<string[]>} */
    tracks: async () => {
      const [{ queue, queueIndex }, index] = await Promise.all([look('/snapshot'), look('/index')]);
      const names = new Map(index.map((/** @type {any} */ { trackId, fileName }) => [trackId, fileName.replace('.wav', '')]));
      return [...queue.slice(queueIndex), ...queue.slice(0, queueIndex)].map((id) => names.get(id));
    },
  };
}
