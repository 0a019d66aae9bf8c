// Measures how far apart several real browsers sound, and prints a table as Markdown:
//
//     node tests/web/skew/run.mjs [rows…] [--starts 10] [--phones 3] [--jitter] [--bin target/release/lockstep] [--json FILE]
//
// Rows are the scenarios in scenarios.mjs; without any, all of them. `--jitter` puts a slow network before every
// phone in every row. It wants PulseAudio with `parec` and `pactl`, and a machine with nothing else to do:
// recordings during which it was stalled are thrown away and done again.

import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { description } from './machine.mjs';
import { openSpeakers } from './speakers.mjs';
import { table } from './table.mjs';

/** From this share of stalled time on, the machine and not the page is what a recording shows. */
const STALLED = 0.15;

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
// The tests' server takes it from there, as it is loaded.
process.env['LOCKSTEP_BIN'] = resolve(options.bin);
const { openRoom } = await import('./room.mjs');
const { CHROMIUM } = await import('./phones.mjs');
const { JITTER, SCENARIOS, WIRE, songs } = await import('./scenarios.mjs');

const chosen = positionals.length > 0 ? positionals : Object.keys(SCENARIOS);
const unknown = chosen.filter((key) => !(key in SCENARIOS));
if (unknown.length > 0) {
  console.error(`no row ${unknown}; there are ${Object.keys(SCENARIOS).join(' ')}`);
  process.exit(2);
}

const machine = description(CHROMIUM);
const speakers = await openSpeakers(Number(options.phones));
let room = /** @type {import('./room.mjs').Room | null} */ (null);
let interrupted = false;
/** @type {Promise<never>} */
const interruption = new Promise((_, reject) => {
  for (const name of ['SIGINT', 'SIGTERM']) {
    process.once(name, () => {
      interrupted = true;
      reject(new Error(name));
    });
  }
});
interruption.catch(() => {});

/** @type {import('./table.mjs').Row[]} */
const rows = [];
try {
  for (const key of chosen) {
    if (interrupted) break;
    rows.push(await measure(key));
    if (options.json) await writeFile(options.json, JSON.stringify({ machine, options, rows }));
  }
} finally {
  await room?.end();
  await speakers.end();
}

console.log(table(rows));
console.log(`
Skew of the widest pair of ${options.phones} phones, by windows of half a second, all recordings together. Measured on ${machine.date}, ${machine.cores} cores
(${machine.model}), ${machine.chromium}, commit ${machine.commit}. Recordings were thrown away, and done again,
when something had to wait for a processor for more than ${STALLED * 100} % of the time.`);

/** @param {string} key @returns {Promise<import('./table.mjs').Row>} */
async function measure(key) {
  const scenario = SCENARIOS[key];
  if (!scenario) throw new Error(key);
  const starts = Math.min(Number(options.starts), scenario.most ?? Infinity);
  const slow = options.jitter || scenario.network === 'jitter';
  /** @type {import('./table.mjs').Row} */
  const row = { name: options.jitter ? `${scenario.name}, jitter` : scenario.name, takes: [], thrown: 0, failures: [] };
  // Some rows will never be full on a busy machine.
  for (let tries = 0; row.takes.length < starts && tries < 3 * starts && !interrupted; tries += 1) {
    try {
      room ??= await openRoom({
        speakers,
        phones: Number(options.phones),
        tracks: (scenario.tracks ?? songs)(),
        network: slow ? JITTER : scenario.network === 'wire' ? WIRE : null,
        lastIsLate: scenario.lastIsLate,
      });
      const take = await Promise.race([scenario.take(room, tries), interruption]);
      if (take.stalled > STALLED) row.thrown += 1;
      else row.takes.push(take);
      console.error(`${key} ${tries + 1}: ${JSON.stringify(take, shortened)}`);
      if (!scenario.fresh) continue;
    } catch (error) {
      row.failures.push(String(error));
      console.error(`${key} ${tries + 1}: ${error instanceof Error ? error.stack : error}`);
    }
    await close();
  }
  await close();
  return row;
}

/** For the eye. @param {string} _ @param {unknown} value */
function shortened(_, value) {
  return typeof value === 'number' ? Number(value.toFixed(2)) : value;
}

async function close() {
  const old = room;
  room = null;
  await old?.end();
}
