// Programs that a browser's test needs beside it: started, waited for until they are ready, ended.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

const START_LIMIT_MS = 30_000;
const END_LIMIT_MS = 5_000;

/**
 * Starts a program, in a group of its own with whatever it starts, so that all of it can be ended.
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env] laid over this process's own
 */
export function start(command, args, env = {}) {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    detached: true,
  });
  let said = '';
  /** @type {Set<() => void>} */
  const listeners = new Set();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      said += data;
      for (const listener of listeners) listener();
    });
  }
  const gone = once(child, 'exit');
  gone.catch(() => {});

  return {
    /**
     * What it says that matches, as soon as it has said so.
     * @param {RegExp} pattern
     * @returns {Promise<RegExpExecArray>}
     */
    says: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = pattern.exec(said);
          if (found) resolve(found);
        };
        const fail = () => reject(new Error(`${command} never said ${pattern}, but:\n${said}`));
        listeners.add(look);
        child.once('exit', fail);
        child.once('error', reject);
        setTimeout(fail, START_LIMIT_MS).unref();
        look();
      }),

    end: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        signal(child, 'SIGTERM');
        const patience = setTimeout(() => signal(child, 'SIGKILL'), END_LIMIT_MS);
        await gone.catch(() => {});
        clearTimeout(patience);
      }
      // What it had started may outlive it.
      signal(child, 'SIGKILL');
    },
  };
}

/**
 * To the whole group, if any of it is left.
 * @param {import('node:child_process').ChildProcess} child
 * @param {NodeJS.Signals} name
 */
function signal(child, name) {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, name);
  } catch {
    // Nobody is left.
  }
}

/** A port that nobody listens at. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  server.close();
  await once(server, 'close');
  return port;
}
