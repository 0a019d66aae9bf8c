// Starts, stops and restarts the real server on a temporary folder.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const REPO = fileURLToPath(new URL('../../../', import.meta.url));
export const EXECUTABLE = process.env.LOCKSTEP_BIN ?? join(REPO, 'target/debug/lockstep');

export const PAIRING_CODE = '314159';
export const DEMO_MUSIC = join(REPO, 'audio');
export const FIXTURES = join(REPO, 'tests/fixtures');

const MUSIC_FILE = /\.(mp3|flac|ogg|opus|m4a|aac|wav|aiff)$/;
const START_TIMEOUT_MS = 20_000;

/**
 * Starts a server on a new music folder.
 * @param {{fill: (folder: string) => Promise<unknown>, flags?: string[]}} options `fill` writes the music files into the folder
 */
export async function startServer({ fill, flags = [] }) {
  const home = await mkdtemp(join(tmpdir(), 'lockstep-web-'));
  const audio = join(home, 'audio');
  await mkdir(audio);
  await fill(audio);
  let { child, port, securePort, log } = await launch(home, 0, flags);

  return {
    audio,
    stateFile: join(home, 'state.json'),
    /** The page's URL under a host name; the browser's resolver rules map the name to this server. */
    url: (host = 'party.lan') => `http://${host}:${port}/`,
    /** URL of the secure page, if started with `--tls`. */
    secureUrl: (host = 'party.lan') => `https://${host}:${securePort}/`,
    /** Proxy settings for browsers without resolver rules: all HTTP requests go to this server. */
    asProxy: () => ({ proxyType: 'manual', httpProxy: `127.0.0.1:${port}` }),
    /** The server's standard error output since its last start. */
    log: () => log.join(''),
    /** Ends the server with SIGTERM. */
    stop: async () => stop(child),
    /** Ends the server with SIGKILL. */
    kill: async () => stop(child, 'SIGKILL'),
    /** Starts the server again on the same folder and ports. */
    start: async () => ({ child, port, log } = await launch(home, port, flags, securePort)),
    /** Stops the server and deletes its folder. */
    remove: async () => {
      await stop(child);
      await rm(home, { recursive: true, force: true });
    },
  };
}

/**
 * @param {string} home
 * @param {number} port 0 for any free port
 * @param {string[]} flags
 * @param {number} [securePort] the port for HTTPS; 0 for any free port
 */
async function launch(home, port, flags, securePort = 0) {
  const args = [
    ...['--audio-dir', join(home, 'audio'), '--state-file', join(home, 'state.json')],
    ...['--listen', `127.0.0.1:${port}`, '--tls-listen', `127.0.0.1:${securePort}`, '--pairing-code', PAIRING_CODE, '--leave-grace-ms', '800', ...flags],
  ];
  const child = spawn(EXECUTABLE, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  /** @type {string[]} */
  const log = [];
  child.stderr.on('data', (data) => log.push(String(data)));
  let stdout = '';
  /** @type {Promise<{port: number, securePort: number}>} */
  const listening = new Promise((resolve, reject) => {
    child.stdout.on('data', (data) => {
      stdout += data;
      const plain = /listening on http:\/\/.*:(\d+)/.exec(stdout);
      const secure = /https:\/\/.*:(\d+)/.exec(stdout);
      if (plain) resolve({ port: Number(plain[1]), securePort: Number(secure?.[1] ?? 0) });
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the server exited with code ${code}\n${log.join('')}`)));
    setTimeout(() => reject(new Error(`the server did not start to listen in time\n${stdout}${log.join('')}`)), START_TIMEOUT_MS).unref();
  });
  return { child, ...(await listening), log };
}

/** @param {import('node:child_process').ChildProcess} child @param {NodeJS.Signals} [signal] */
async function stop(child, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

/** A `fill` function that copies the music files of a folder. @param {string} source */
export const copyMusicFrom = (source) => async (/** @type {string} */ folder) => {
  const files = (await readdir(source)).filter((file) => MUSIC_FILE.test(file));
  await Promise.all(files.map((file) => cp(join(source, file), join(folder, file))));
};
