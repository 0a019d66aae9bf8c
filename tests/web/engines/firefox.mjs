// Firefox, driven by Marionette: the commands of WebDriver over a socket of Firefox's own, so that
// nothing but Firefox has to be installed. (`geckodriver` is a translator in front of this.)

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start } from './processes.mjs';

const PREFERENCES = {
  'marionette.port': 0,
  // Nothing of a first start: no pages of welcome, no looks at the internet.
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

/** Marionette at times answers a command never: no command of a test takes so long, not on a slow machine either. */
const ANSWER_MS = 90_000;

/**
 * @param {object} proxy as WebDriver spells it
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<import('./browser.mjs').Driver>}
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
    const [, port] = await firefox.says(/Listening on port (\d+)/);
    const { call, isSilent } = await openMarionette(Number(port));
    await call('WebDriver:NewSession', { proxy });
    return {
      goto: (url) => call('WebDriver:Navigate', { url }),
      run: async (script, args) => (await call('WebDriver:ExecuteScript', { script, args })).value,
      click: (id) => call('WebDriver:ElementClick', { id }),
      type: (id, text) => call('WebDriver:ElementSendKeys', { id, text }),
      clear: (id) => call('WebDriver:ElementClear', { id }),
      picture: async () => (await call('WebDriver:TakeScreenshot', { full: false })).value,
      isSilent,
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/**
 * Connects to Marionette: each message is its length in bytes, a colon, and an array in JSON.
 * @param {number} port
 * @returns {Promise<{call: (name: string, parameters: object) => Promise<any>, isSilent: () => boolean}>}
 */
async function openMarionette(port) {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  /** @type {Map<number, (error: any, result: any) => void>} */
  const open = new Map();
  let rest = Buffer.alloc(0);
  socket.on('data', (data) => {
    rest = Buffer.concat([rest, data]);
    for (;;) {
      const colon = rest.indexOf(':');
      const length = Number(rest.subarray(0, colon));
      if (colon < 0 || rest.length < colon + 1 + length) return;
      const message = JSON.parse(String(rest.subarray(colon + 1, colon + 1 + length)));
      rest = rest.subarray(colon + 1 + length);
      // The first one only says hello.
      if (!Array.isArray(message)) continue;
      const [, id, error, result] = message;
      open.get(id)?.(error, result);
      open.delete(id);
    }
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    for (const answer of open.values()) answer({ error: 'closed', message: 'Firefox is gone' }, null);
  });

  let last = 0;
  let silent = false;
  /** @type {(name: string, parameters: object) => Promise<any>} */
  const call = (name, parameters) =>
    new Promise((resolve, reject) => {
      if (silent) return reject(new Error(`${name}: Firefox does not answer`));
      const patience = setTimeout(() => {
        silent = true;
        // Whatever else waits is told at once.
        socket.destroy();
      }, ANSWER_MS);
      last += 1;
      open.set(last, (error, result) => {
        clearTimeout(patience);
        if (error) reject(new Error(`${name}: ${error.error}: ${error.message}`));
        else resolve(result);
      });
      const body = Buffer.from(JSON.stringify([0, last, name, parameters]));
      socket.write(`${body.length}:`);
      socket.write(body);
    });
  return { call, isSilent: () => silent };
}
