// Firefox controlled by Marionette: WebDriver commands over Firefox's own socket, so that geckodriver, a proxy for the same protocol,
// need not be installed.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start } from './processes.mjs';

const PREFERENCES = {
  'marionette.port': 0,
  // No first-run pages and no requests to the internet.
  'browser.aboutwelcome.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'app.update.enabled': false,
  'extensions.update.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'http://127.0.0.1:9/',
  'ui.systemUsesDarkTheme': 1,
};

/**
 * Timeout of a Marionette command in ms. Firefox ESR 153 with PulseAudio sometimes deadlocks when a page opens a second audio stream: the
 * PulseAudio thread holds the lock of its main loop and waits for the page to fill a buffer, the page's thread holds the lock of that stream
 * and waits for a position, and the audio server thread, which would answer, waits for the main loop.
 */
const COMMAND_TIMEOUT_MS = 30_000;

/**
 * @param {object} proxy WebDriver's proxy capability
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<import('./webdriver-phone.mjs').Driver>}
 */
export async function openFirefox(proxy, env) {
  const profile = await mkdtemp(join(tmpdir(), 'lockstep-firefox-'));
  const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`);
  await writeFile(join(profile, 'user.js'), lines.join('\n'));
  const firefox = start(
    process.env['FIREFOX'] ?? 'firefox-esr',
    ['--headless', '--marionette', '--no-remote', '--profile', profile, '--window-size', '390,844'],
    { MOZ_DISABLE_AUTO_SAFE_MODE: '1', HOME: profile, ...env },
  );
  const end = async () => {
    await firefox.end();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const [, port] = await firefox.waitForOutput(/Listening on port (\d+)/);
    const { call, isHung } = await openMarionette(Number(port));
    await call('WebDriver:NewSession', { proxy });
    return {
      goto: (url) => call('WebDriver:Navigate', { url }),
      run: async (script, args) => (await call('WebDriver:ExecuteScript', { script, args })).value,
      click: (id) => call('WebDriver:ElementClick', { id }),
      type: (id, text) => call('WebDriver:ElementSendKeys', { id, text }),
      clear: (id) => call('WebDriver:ElementClear', { id }),
      screenshot: async () => (await call('WebDriver:TakeScreenshot', { full: false })).value,
      isHung,
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/**
 * Connects to Marionette. Each message is framed as its length in bytes, a colon, and a JSON array.
 * @param {number} port
 * @returns {Promise<{call: (name: string, parameters: object) => Promise<any>, isHung: () => boolean}>}
 */
async function openMarionette(port) {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  /** @type {Map<number, (error: any, result: any) => void>} */
  const pending = new Map();
  let receivedBytes = Buffer.alloc(0);
  socket.on('data', (data) => {
    receivedBytes = Buffer.concat([receivedBytes, data]);
    for (;;) {
      const colon = receivedBytes.indexOf(':');
      const length = Number(receivedBytes.subarray(0, colon));
      if (colon < 0 || receivedBytes.length < colon + 1 + length) return;
      const message = JSON.parse(String(receivedBytes.subarray(colon + 1, colon + 1 + length)));
      receivedBytes = receivedBytes.subarray(colon + 1 + length);
      // The first message is the greeting.
      if (!Array.isArray(message)) continue;
      const [, id, error, result] = message;
      pending.get(id)?.(error, result);
      pending.delete(id);
    }
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    for (const settle of pending.values()) settle({ error: 'closed', message: 'Firefox closed the connection' }, null);
  });

  let lastId = 0;
  let hasTimedOut = false;
  /** @type {(name: string, parameters: object) => Promise<any>} */
  const call = (name, parameters) =>
    new Promise((resolve, reject) => {
      if (hasTimedOut) return reject(new Error(`${name}: Firefox did not respond to an earlier command`));
      const timeout = setTimeout(() => {
        hasTimedOut = true;
        // Pending commands fail at once.
        socket.destroy();
      }, COMMAND_TIMEOUT_MS);
      lastId += 1;
      pending.set(lastId, (error, result) => {
        clearTimeout(timeout);
        if (error) reject(new Error(`${name}: ${error.error}: ${error.message}`));
        else resolve(result);
      });
      const body = Buffer.from(JSON.stringify([0, lastId, name, parameters]));
      socket.write(`${body.length}:`);
      socket.write(body);
    });
  return { call, isHung: () => hasTimedOut };
}
