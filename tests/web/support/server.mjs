// The real server on a folder of its own: started, stopped, started again in the same place.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const REPO = fileURLToPath(new URL('../../../', import.meta.url));
const BINARY = process.env.LOCKSTEP_BIN ?? join(REPO, 'target/debug/lockstep');

export const CODE = '314159';
export const DEMO_MUSIC = join(REPO, 'audio');
export const FIXTURES = join(REPO, 'tests/fixtures');

const MUSIC = /\.(mp3|flac|ogg|opus|m4a|wav|aiff)$/;
const START_LIMIT_MS = 20_000;

/**
 * A server on a fresh folder that `fill` puts music into.
 * @param {{fill: (folder: string) => Promise<unknown>, flags?: string[]}} options
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
    /** The page's address under a name, which leads here by the browser's own resolver rules. */
    url: (host = 'party.lan') => `http://${host}:${port}/`,
    /** The same of its secure page, where it was started with `--tls`. */
    secureUrl: (host = 'party.lan') => `https://${host}:${securePort}/`,
    /** For browsers whose resolver follows no rules: whatever they ask for by http, they ask here. */
    asProxy: () => ({ proxyType: 'manual', httpProxy: `127.0.0.1:${port}` }),
    log: () => log.join(''),
    stop: async () => stop(child),
    kill: async () => stop(child, 'SIGKILL'),
    start: async () => ({ child, port, log } = await launch(home, port, flags, securePort)),
    end: async () => {
      await stop(child);
      await rm(home, { recursive: true, force: true });
    },
  };
}

/**
 * @param {string} home
 * @param {number} port 0 for a free one
 * @param {string[]} flags
 * @param {number} [securePort] the same of its secure page
 */
async function launch(home, port, flags, securePort = 0) {
  const args = [
    ...['--audio-dir', join(home, 'audio'), '--state-file', join(home, 'state.json')],
    ...['--listen', `127.0.0.1:${port}`, '--tls-listen', `127.0.0.1:${securePort}`, '--pairing-code', CODE, '--leave-grace-ms', '800', ...flags],
  ];
  const child = spawn(BINARY, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  /** @type {string[]} */
  const log = [];
  child.stderr.on('data', (data) => log.push(String(data)));
  let said = '';
  /** @type {Promise<{port: number, securePort: number}>} */
  const listening = new Promise((resolve, reject) => {
    child.stdout.on('data', (data) => {
      said += data;
      const found = /listening on http:\/\/.*:(\d+)/.exec(said);
      const secure = /https:\/\/.*:(\d+)/.exec(said);
      if (found) resolve({ port: Number(found[1]), securePort: Number(secure?.[1] ?? 0) });
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}\n${log.join('')}`)));
    setTimeout(() => reject(new Error(`the server does not listen\n${said}${log.join('')}`)), START_LIMIT_MS).unref();
  });
  return { child, ...(await listening), log };
}

/** @param {import('node:child_process').ChildProcess} child @param {NodeJS.Signals} [signal] */
async function stop(child, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

/** Fills a folder with copies of another's music. */
export const copies = (from) => async (folder) => {
  const files = (await readdir(from)).filter((file) => MUSIC.test(file));
  await Promise.all(files.map((file) => cp(join(from, file), join(folder, file))));
};
