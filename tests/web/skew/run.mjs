// Measures the skew between the sound of several real browsers, and prints a Markdown table:
//
//     node tests/web/skew/run.mjs [rows…] [--starts 10] [--phones 3] [--jitter] [--bin target/release/lockstep] [--json FILE]
//
// Rows are the scenarios in scenarios.mjs; the default is all of them. `--jitter` adds network latency and jitter to every row. Requires
// PulseAudio with `parec` and `pactl`, and an otherwise idle machine: recordings during which tasks waited for a CPU are discarded and
// repeated.

import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine } from './machine.mjs';
import { openSpeakers } from './speakers.mjs';
import { table } from './table.mjs';

/** Largest share of time in which a task waits for a CPU; a recording with more is discarded. Some scenarios have their own limit. */
const MAX_CPU_WAIT_SHARE = 0.15;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    starts: { type: 'string', default: '10' },
    phones: { type: 'string', default: '3' },
    jitter: { type: 'boolean', default: false },
    bin: { type: 'string', default: 'target/release/lockstep' },
    json: { type: 'string' },
  },
});
// The server helper reads this variable when it is loaded.
process.env['LOCKSTEP_BIN'] = resolve(options.bin);
const { openRoom } = await import('./room.mjs');
const { CHROMIUM } = await import('./phones.mjs');
const { JITTER, NO_LATENCY, SCENARIOS, songs } = await import('./scenarios.mjs');

const keys = positionals.length > 0 ? positionals : Object.keys(SCENARIOS);
const unknownKeys = keys.filter((key) => !(key in SCENARIOS));
if (unknownKeys.length > 0) {
  console.error(`unknown rows: ${unknownKeys}; the rows are ${Object.keys(SCENARIOS).join(' ')}`);
  process.exit(2);
}

const machine = describeMachine(CHROMIUM);
const speakers = await openSpeakers(Number(options.phones));
let room = /** @type {import('./room.mjs').Room | null} */ (null);
let isInterrupted = false;
/** @type {Promise<never>} */
const interruption = new Promise((_, reject) => {
  for (const name of ['SIGINT', 'SIGTERM']) {
    process.once(name, () => {
      isInterrupted = true;
      reject(new Error(name));
    });
  }
});
interruption.catch(() => {});

/** @type {import('./table.mjs').Row[]} */
const rows = [];
try {
  for (const key of keys) {
    if (isInterrupted) break;
    rows.push(...(await measure(key)));
    if (options.json) await writeFile(options.json, JSON.stringify({ machine, options, rows }));
  }
} finally {
  await room?.end();
  await speakers.end();
}

console.log(table(rows));
console.log(`
The largest skew of any pair of ${options.phones} phones, in windows of half a second over all recordings. Measured on ${machine.date}, ${machine.cores} cores
(${machine.model}), ${machine.chromium}, commit ${machine.commit}. Recordings were discarded and repeated
if a task waited for a CPU for more than ${MAX_CPU_WAIT_SHARE * 100} % of the time${ownLimits()}.`);

/** The rows with a limit of their own, for the caption. */
function ownLimits() {
  const texts = keys.flatMap((key) => {
    const { name, maxCpuWaitShare } = SCENARIOS[key] ?? {};
    return maxCpuWaitShare === undefined ? [] : [`; ${name}: ${maxCpuWaitShare * 100} %`];
  });
  return texts.join('');
}

/** @param {string} key @returns {Promise<import('./table.mjs').Row[]>} */
async function measure(key) {
  const scenario = SCENARIOS[key];
  if (!scenario) throw new Error(`unknown row ${key}`);
  const requestedCount = Math.min(Number(options.starts), scenario.maxMeasurements ?? Infinity);
  const hasJitter = options.jitter || scenario.network === 'jitter';
  /** @type {import('./table.mjs').Row} */
  const row = { name: options.jitter ? `${scenario.name}, jitter` : scenario.name, measurements: [], discarded: 0, failures: [] };
  /** Rows of scenarios that measure several things. @type {Map<string, import('./table.mjs').Row>} */
  const parts = new Map();
  const partOf = (/** @type {string} */ name) => {
    const part = parts.get(name) ?? { name: `${row.name}: ${name}`, measurements: [], discarded: 0, failures: [] };
    parts.set(name, part);
    return part;
  };
  const measurementCount = () => Math.min(...[row, ...parts.values()].slice(parts.size > 0 ? 1 : 0).map(({ measurements }) => measurements.length));
  // On a busy machine a row may end with fewer measurements than requested.
  for (let attempt = 0; measurementCount() < requestedCount && attempt < 3 * requestedCount && !isInterrupted; attempt += 1) {
    try {
      room ??= await openRoom({
        speakers,
        phones: Number(options.phones),
        tracks: (scenario.tracks ?? songs)(),
        network: hasJitter ? JITTER : scenario.network === 'cuttable' ? NO_LATENCY : null,
        lastIsLate: scenario.lastIsLate,
        engines: scenario.engines,
        hasOtherRoom: scenario.hasOtherRoom,
      });
      const measurement = await Promise.race([scenario.measure(room, attempt), interruption]);
      const measurements = isMeasurement(measurement) ? [{ of: row, measurement }] : Object.entries(measurement).map(([name, one]) => ({ of: partOf(name), measurement: one }));
      for (const { of, measurement: one } of measurements) {
        if (one.cpuWaitShare > (scenario.maxCpuWaitShare ?? MAX_CPU_WAIT_SHARE)) of.discarded += 1;
        else of.measurements.push(one);
        console.error(`${of.name} ${attempt + 1}: ${JSON.stringify(one, rounded)}`);
      }
      if (!scenario.needsNewRoom) continue;
    } catch (error) {
      row.failures.push(String(error));
      console.error(`${key} ${attempt + 1}: ${error instanceof Error ? error.stack : error}`);
    }
    await closeRoom();
  }
  await closeRoom();
  if (parts.size === 0) return [row];
  for (const part of parts.values()) part.failures = row.failures;
  return [...parts.values()];
}

/** @param {any} value @returns {value is import('./scenarios.mjs').Measurement} */
function isMeasurement(value) {
  return typeof value.cpuWaitShare === 'number';
}

/** Rounds numbers for printing. @param {string} _ @param {unknown} value */
function rounded(_, value) {
  return typeof value === 'number' ? Number(value.toFixed(2)) : value;
}

async function closeRoom() {
  const previous = room;
  room = null;
  await previous?.end();
}
