// Rooms for browser tests: a server with music and phones that have joined, closed when the test ends.

import assert from 'node:assert/strict';
import { openPhone, screenshotOnFailure } from './phones.mjs';
import { startServer } from './server.mjs';
import { tones } from './tones.mjs';

/** @typedef {import('./phones.mjs').Phone} Phone */
/** @typedef {Awaited<ReturnType<typeof startServer>>} Server */

/**
 * Runs the steps of a test in a room with one phone for each name, and checks that no page reported an error.
 * @param {import('node:test').TestContext} t
 * @param {import('playwright-core').Browser} browser
 * @param {object} options
 * @param {(folder: string) => Promise<unknown>} [options.fill] writes the music; three tones of 90 s by default
 * @param {string[]} options.names of the phones
 * @param {string} [options.host] of the page
 * @param {string[]} [options.flags] of the server
 * @param {() => void} [options.initScript] runs in each page before its own scripts
 * @param {(phones: Phone[], server: Server, joinPhone: (name: string, initScript?: () => void) => Promise<Phone>) => Promise<void>} steps
 *   `joinPhone` adds a phone
 */
export async function withRoom(t, browser, { fill = tones({ 'Alpha Dance': 90, 'Beta Waltz': 90, 'Gamma March': 90 }), names, host, flags, initScript }, steps) {
  const server = await startServer({ fill, flags });
  t.after(server.remove);
  /** @type {Phone[]} */
  const phones = [];
  t.after(() => Promise.all(phones.map((phone) => phone.close())));
  const joinPhone = async (/** @type {string} */ name, script = initScript) => {
    const phone = await openPhone(browser, server.url(host));
    phones.push(phone);
    if (script) {
      await phone.page.addInitScript(script);
      await phone.page.reload();
    }
    await phone.join(name);
    return phone;
  };
  await screenshotOnFailure(t.name, () => phones, async () => {
    for (const name of names) await joinPhone(name);
    await steps(phones, server, joinPhone);
    for (const phone of phones) assert.deepEqual(phone.errors, []);
  });
}
