// The machine that runs the measurement: CPU pressure and description.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** A second counts as idle if tasks wait for a CPU during less than this share of it. */
const MAX_IDLE_WAIT_SHARE = 0.1;
const IDLE_TIMEOUT_MS = 60_000;

/** Starts a measurement. The returned function returns the share of time since then in which a task waited for a CPU. */
export function startCpuWaitMeasurement() {
  const [startWaitUs, startMs] = [cpuWaitUs(), performance.now()];
  return () => (cpuWaitUs() - startWaitUs) / 1_000 / (performance.now() - startMs);
}

/** Waits for an idle second, up to a timeout. */
export async function waitForIdleCpu() {
  for (const deadline = Date.now() + IDLE_TIMEOUT_MS; Date.now() < deadline; ) {
    const waitShare = startCpuWaitMeasurement();
    await sleep(1_000);
    if (waitShare() < MAX_IDLE_WAIT_SHARE) return;
  }
}

/** Describes the machine, the browser and the commit for the table's caption. @param {string} chromium the executable */
export function describeMachine(chromium) {
  const repo = fileURLToPath(new URL('../../..', import.meta.url));
  const outputOf = (/** @type {string} */ command, /** @type {string[]} */ ...args) =>
    execFileSync(command, args, { cwd: repo, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  const commit = () => {
    try {
      const suffix = outputOf('git', 'status', '--porcelain', '--', 'src', 'static') === '' ? '' : ' with changes';
      return outputOf('git', 'rev-parse', '--short', 'HEAD') + suffix;
    } catch {
      return 'unknown';
    }
  };
  return {
    date: new Date().toISOString().slice(0, 10),
    cores: cpus().length,
    model: cpus()[0]?.model.trim() ?? 'unknown',
    chromium: outputOf(chromium, '--version'),
    commit: commit(),
  };
}

/** Total time since boot in which a task waited for a CPU (/proc/pressure/cpu). */
function cpuWaitUs() {
  const [, total] = /^some .*total=(\d+)/.exec(readFileSync('/proc/pressure/cpu', 'utf8')) ?? [];
  return Number(total);
}
