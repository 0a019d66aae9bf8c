// Where the sound of a file begins in three engines, after the page has removed the padding: a table of files and engines.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { PAIRING_CODE, copyMusicFrom, startServer } from '../support/server.mjs';
import { openFirefox } from './firefox.mjs';
import { openSoundDevice } from './virtual-sound-device.mjs';
import { openWebKit } from './webkit.mjs';

const CLICKS = new URL('./clicks/', import.meta.url);

/** Position of the click, in seconds, and the positions at which a file that does not declare the encoder's delay has it. */
const CLICK_SEC = 1;
/** @type {Record<string, number>} */
const UNDECLARED_DELAY_SAMPLES = { 'no-info-tag.mp3': 1105, 'no-edit-list.m4a': 1024, 'fragments.m4a': 1024, 'skipping.m4a': -0.5 * 44_100 };
/** Largest accepted difference of the click's position, in seconds. */
const MAX_POSITION_ERROR_SEC = 0.001;
/** Largest accepted difference between the music in a decoded file and the length in the index, in seconds. */
const MAX_LENGTH_ERROR_SEC = 0.025;
const DECODE_TIMEOUT_MS = 20_000;

/** @typedef {{fileName: string, duration: number, padding?: {leadSec: number, wholeSec: number}}} IndexEntry */
/** @typedef {{clickSec: number, musicSec: number} | {error: string}} Decoded */
/** @typedef {(script: (...args: any[]) => unknown, ...args: unknown[]) => Promise<any>} Evaluate */

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof openSoundDevice>>} */
let soundDevice;
/** @type {IndexEntry[]} */
let index;

before(async () => {
  soundDevice = await openSoundDevice();
  server = await startServer({ fill: copyMusicFrom(CLICKS.pathname), flags: ['--keep-duplicates'] });
  const address = server.url('127.0.0.1');
  const pair = await fetch(`${address}pair`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ code: PAIRING_CODE }),
  });
  const { clientId } = await pair.json();
  const response = await fetch(`${address}index`, { headers: { Authorization: `Bearer ${clientId}` } });
  index = await response.json();
  assert.ok(index.length === 20, `${index.length} files`);
});
after(async () => {
  await server?.remove();
  await soundDevice?.end();
});

test('Chromium plays the sound of each file where the index says', async () => {
  const browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage();
    await page.goto(server.url('127.0.0.1'));
    await checkFiles((script, ...args) => page.evaluate(`(${script})(...${JSON.stringify(args)})`));
  } finally {
    await browser.close();
  }
});

for (const [name, open] of /** @type {const} */ ([['Firefox', openFirefox], ['WebKit', openWebKit]])) {
  test(`${name} plays the sound of each file where the index says`, async () => {
    const driver = await open({ proxyType: 'direct' }, soundDevice.env);
    try {
      await driver.goto(server.url('127.0.0.1'));
      await checkFiles((script, ...args) => driver.run(`return (${script})(...arguments)`, args));
    } finally {
      await driver.end();
    }
  });
}

/** Decodes each file in the page, and compares the position of its click and its length. @param {Evaluate} evaluate */
async function checkFiles(evaluate) {
  const errors = [];
  for (const { fileName, duration, padding } of index) {
    const bytes = await readFile(new URL(fileName, CLICKS), 'base64');
    await evaluate(startDecoding, bytes, { durationSec: duration, padding });
    const decoded = await poll(() => evaluate(() => window['decodedClick']));
    const [rate = '', kind = ''] = fileName.split(/-(.*)/);
    const expectedSec = CLICK_SEC + (UNDECLARED_DELAY_SAMPLES[kind] ?? 0) / Number(rate);
    const isRight =
      !('error' in decoded) &&
      Math.abs(decoded.clickSec - expectedSec) < MAX_POSITION_ERROR_SEC &&
      Math.abs(decoded.musicSec - duration) < MAX_LENGTH_ERROR_SEC;
    if (!isRight) errors.push(`${fileName}: ${JSON.stringify(decoded)}, expected the click at ${expectedSec} s of ${duration} s`);
  }
  assert.deepEqual(errors, []);
}

/**
 * Decodes a file with the page's own code, and stores the result in `window.decodedClick`. Runs in the page.
 * @param {string} base64
 * @param {{durationSec: number, padding?: {leadSec: number, wholeSec: number}}} indexValues
 */
function startDecoding(base64, indexValues) {
  /** @param {Decoded} result */
  const store = (result) => {
    window['decodedClick'] = result;
  };
  delete window['decodedClick'];
  (async () => {
    const { trimPadding } = await import(`${location.origin}/js/sound/output-clock.js`);
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    const buffer = await new OfflineAudioContext(1, 1, 48_000).decodeAudioData(bytes.buffer);
    const samples = buffer.getChannelData(0);
    const loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    const click = samples.findIndex((sample) => Math.abs(sample) > loudest / 3);
    const { leadSec, durationSec } = trimPadding(buffer.duration, indexValues);
    store({ clickSec: click / buffer.sampleRate - leadSec, musicSec: durationSec });
  })().catch((error) => store({ error: String(error) }));
}

/** @param {() => Promise<Decoded | null>} read @returns {Promise<Decoded>} */
async function poll(read) {
  for (const deadline = Date.now() + DECODE_TIMEOUT_MS; Date.now() < deadline; ) {
    const decoded = await read();
    if (decoded) return decoded;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('timed out waiting for a decoded file');
}
