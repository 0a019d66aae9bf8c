// `lockstep compare` against a real server: two Chromium processes play into a PulseAudio sink, and the command records its monitor.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { openSoundDevice } from './virtual-sound-device.mjs';
import { reduceReportedLatency } from '../support/late-output.mjs';
import { openPhone, screenshotOnFailure } from '../support/phones.mjs';
import { EXECUTABLE, startServer } from '../support/server.mjs';
import { tones } from '../support/tones.mjs';

/** Ben's phone plays this much later than its reported latency implies. */
const LATENESS_MS = 180;

const TOLERANCE_MS = 3;

const MAX_ATTEMPTS = 4;

/** @type {Awaited<ReturnType<typeof openSoundDevice>>} */
let soundDevice;
/** @type {import('playwright-core').Browser[]} */
let browsers = [];
before(async () => {
  soundDevice = await openSoundDevice();
  const launch = () =>
    chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      ignoreDefaultArgs: ['--mute-audio'],
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
      env: { ...process.env, ...soundDevice.env },
    });
  browsers = await Promise.all([launch(), launch()]);
});
after(async () => {
  for (const browser of browsers) await browser.close();
  await soundDevice.end();
});

/**
 * Runs `lockstep compare`.
 * @param {{stateFile: string}} server
 * @param {string[]} [flags]
 * @param {(output: string) => unknown} [onOutput] called with the whole output so far
 * @returns {Promise<{code: number | null, output: string}>}
 */
function compare(server, flags = [], onOutput = () => {}) {
  const child = spawn(EXECUTABLE, ['compare', '--local-socket', `${server.stateFile}.socket`, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...soundDevice.env },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      output += data;
      onOutput(output);
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}

/** How much later than the earliest phone a phone was heard, from the output of the command. @param {string} output @param {string} name */
function latenessMs(output, name) {
  const match = new RegExp(`^${name}: heard ([\\d.]+) ms`, 'm').exec(output);
  assert.ok(match, `no lateness of ${name} in:\n${output}`);
  return Number(match[1]);
}

/**
 * Opens a page on plain HTTP and joins the room.
 * @param {import('node:test').TestContext} t
 * @param {Awaited<ReturnType<typeof startServer>>} server
 * @param {string} name
 * @param {{browser?: number, latenessMs?: number}} [options]
 */
async function joinPhone(t, server, name, options = {}) {
  const newContext = async (/** @type {object} */ contextOptions) => {
    const context = await browsers[options.browser ?? 0].newContext(contextOptions);
    await context.addInitScript(reduceReportedLatency, options.latenessMs ?? 0);
    return context;
  };
  const phone = await openPhone(/** @type {any} */ ({ newContext }), server.url('127.0.0.1'));
  t.after(phone.close);
  await phone.join(name);
  return phone;
}

/**
 * Repeats `lockstep compare` until both phones were heard and `isGood` accepts the result, because an overloaded machine plays
 * and records the chirps late.
 * @param {{stateFile: string}} server
 * @param {string[]} flags
 * @param {(output: string) => unknown} isGood
 */
async function compareAdaAndBen(server, flags, isGood) {
  for (let attempt = 1; ; attempt += 1) {
    const { code, output } = await compare(server, flags);
    if (code === 0 && /^Ada: heard/m.test(output) && /^Ben: heard/m.test(output) && (await isGood(output))) return output;
    assert.ok(attempt < MAX_ATTEMPTS, `no good comparison in ${attempt} attempts:\n${output}`);
  }
}

/** Runs in the page: the members of the room. */
const snapshotClients = async () => (await (await fetch('/snapshot')).json()).clients;

test('server’s microphone brings a late phone in step and names a silent one', async (t) => {
  const server = await startServer({ fill: tones({ One: 60 }) });
  t.after(server.remove);
  const ada = await joinPhone(t, server, 'Ada');
  const ben = await joinPhone(t, server, 'Ben', { browser: 1, latenessMs: LATENESS_MS });
  const cleo = await joinPhone(t, server, 'Cleo');

  await screenshotOnFailure(t.name, () => [ada, ben, cleo], async () => {
    assert.equal(await ada.evaluate(() => isSecureContext && location.protocol), 'http:');
    await cleo.evaluate(() => void Object.defineProperty(AudioContext.prototype, 'state', { value: 'suspended' }));
    const isMeasured = async () => {
      const { m1, m2 } = await ada.evaluate(snapshotClients);
      const measuredMs = (m2.delayMs ?? 0) - (m1.delayMs ?? 0);
      t.diagnostic(`Ben's speaker is late by ${LATENESS_MS} ms; measured: ${measuredMs.toFixed(1)} ms`);
      return Math.abs(measuredMs - LATENESS_MS) <= TOLERANCE_MS;
    };
    assert.match(await compareAdaAndBen(server, [], isMeasured), /^Cleo: was not heard/m);
    const { m1, m3 } = await ada.evaluate(snapshotClients);
    assert.deepEqual([m1.compared.by, m1.compared.with], ['server', ['m2']]);
    assert.deepEqual([m3.delayMs, m3.compared], [undefined, undefined]);

    // With the new delays, both are heard at the same time.
    await compareAdaAndBen(server, ['--dry-run'], (output) => {
      const skewMs = Math.abs(latenessMs(output, 'Ada') - latenessMs(output, 'Ben'));
      t.diagnostic(`with the new delays, the phones are ${skewMs.toFixed(1)} ms apart`);
      return skewMs <= TOLERANCE_MS;
    });

    await ada.press('Play');
    for (const phone of [ada, ben]) {
      await phone.waitFor('a green status', () => document.querySelector('#status').dataset.tone === 'good');
    }
    await cleo.waitFor('a status by its own clock', () => document.querySelector('#status').dataset.tone !== 'good');
    for (const phone of [ada, ben]) assert.deepEqual(phone.errors, []);
  });
});

test('phones that join or leave during a comparison are named', async (t) => {
  const server = await startServer({ fill: tones({ One: 60 }) });
  t.after(server.remove);
  await joinPhone(t, server, 'Ada');
  await joinPhone(t, server, 'Ben', { browser: 1, latenessMs: LATENESS_MS });
  const cleo = await joinPhone(t, server, 'Cleo');
  /** @type {Promise<unknown> | undefined} */
  let change;
  const { output } = await compare(server, ['--dry-run'], (soFar) => {
    if (/Quiet/.test(soFar)) change ??= Promise.all([cleo.close(), joinPhone(t, server, 'Dan')]);
  });
  await change;
  assert.match(output, /^Cleo: (left during the comparison|heard)/m);
  // On a busy machine, all phones chirp again, and then Dan chirps, too.
  assert.match(output, /^Dan: (joined during the comparison|heard|was heard)/m);
  assert.match(output, /^(Ada|Ben): (heard|was heard)/m);
});

test('music that plays or is started prevents a comparison', async (t) => {
  const server = await startServer({ fill: tones({ One: 60 }) });
  t.after(server.remove);
  const ada = await joinPhone(t, server, 'Ada');
  await joinPhone(t, server, 'Ben', { browser: 1, latenessMs: LATENESS_MS });
  /** @type {Promise<unknown> | undefined} */
  let pressed;
  const interrupted = await compare(server, [], (soFar) => {
    if (/Quiet/.test(soFar)) pressed ??= ada.press('Play');
  });
  await pressed;
  assert.equal(interrupted.code, 1, interrupted.output);
  const { m1, m2 } = await ada.evaluate(snapshotClients);
  assert.deepEqual([m1.delayMs, m2.delayMs, m2.compared], [undefined, undefined, undefined]);

  const refused = await compare(server);
  assert.equal(refused.code, 1);
  assert.match(refused.output, /pause/);
});
