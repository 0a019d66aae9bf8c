// The machine that measures: how hard pressed it is, and what it is.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** A second in which less of the time was stalled is a quiet one. */
const QUIET = 0.1;
const PATIENCE_MS = 60_000;

/** From now on: for what share of the time something had to wait for a processor. */
export function pressedFor() {
  const [beganUs, beganMs] = [waitedUs(), performance.now()];
  return () => (waitedUs() - beganUs) / 1_000 / (performance.now() - beganMs);
}

/** Waits for a quiet second, within reason. */
export async function quiet() {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; ) {
    const pressed = pressedFor();
    await sleep(1_000);
    if (pressed() < QUIET) return;
  }
}

/** @param {string} chromium */
export function description(chromium) {
  const repo = fileURLToPath(new URL('../../..', import.meta.url));
  const tell = (/** @type {string} */ command, /** @type {string[]} */ ...args) =>
    execFileSync(command, args, { cwd: repo, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  const commit = () => {
    try {
      const changed = tell('git', 'status', '--porcelain', '--', 'src', 'static') === '' ? '' : ' with changes';
      return tell('git', 'rev-parse', '--short', 'HEAD') + changed;
    } catch {
      return 'unknown';
    }
  };
  return {
    date: new Date().toISOString().slice(0, 10),
    cores: cpus().length,
    model: cpus()[0]?.model.trim() ?? 'unknown',
    chromium: tell(chromium, '--version'),
    commit: commit(),
  };
}

/** For how long, since the machine began, something had to wait for a processor. */
function waitedUs() {
  const [, total] = /^some .*total=(\d+)/.exec(readFileSync('/proc/pressure/cpu', 'utf8')) ?? [];
  return Number(total);
}
