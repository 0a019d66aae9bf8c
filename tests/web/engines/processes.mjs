// Starts and ends helper programs of browser tests, and waits for their output.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

const START_TIMEOUT_MS = 30_000;
const EXIT_TIMEOUT_MS = 5_000;

/**
 * Starts a program in its own process group, so that its child processes end with it.
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env] added to the environment of this process
 */
export function start(command, args, env = {}) {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    detached: true,
  });
  let output = '';
  /** @type {Set<() => void>} */
  const outputListeners = new Set();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      output += data;
      for (const listener of outputListeners) listener();
    });
  }
  const exited = once(child, 'exit');
  exited.catch(() => {});

  return {
    /**
     * Waits for output that matches, and returns the match.
     * @param {RegExp} pattern
     * @returns {Promise<RegExpExecArray>}
     */
    waitForOutput: (pattern) =>
      new Promise((resolve, reject) => {
        const check = () => {
          const match = pattern.exec(output);
          if (match) resolve(match);
        };
        const fail = () => reject(new Error(`${command} did not print ${pattern}, but:\n${output}`));
        outputListeners.add(check);
        child.once('exit', fail);
        child.once('error', reject);
        setTimeout(fail, START_TIMEOUT_MS).unref();
        check();
      }),

    end: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        signalGroup(child, 'SIGTERM');
        const timeout = setTimeout(() => signalGroup(child, 'SIGKILL'), EXIT_TIMEOUT_MS);
        await exited.catch(() => {});
        clearTimeout(timeout);
      }
      // Child processes may outlive the program.
      signalGroup(child, 'SIGKILL');
    },
  };
}

/**
 * Signals the whole process group if it still exists.
 * @param {import('node:child_process').ChildProcess} child
 * @param {NodeJS.Signals} name
 */
function signalGroup(child, name) {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, name);
  } catch {
    // No process of the group is left.
  }
}

/** Finds a free TCP port. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  server.close();
  await once(server, 'close');
  return port;
}
