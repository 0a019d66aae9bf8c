// Calibration by microphone, from the button to the stored delays. Chromium plays into a PulseAudio sink and records its monitor, and
// one phone reports a wrong output latency.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { openSoundDevice } from './virtual-sound-device.mjs';
import { reduceReportedLatency } from '../support/late-output.mjs';
import { openPhone, screenshotOnFailure } from '../support/phones.mjs';
import { startServer } from '../support/server.mjs';
import { tones } from '../support/tones.mjs';

/** Ben's phone plays this much later than its reported latency implies. */
const LATENESS_MS = 180;

/** Tolerance of the measured delay: on an overloaded machine the output latency varies by this much. */
const TOLERANCE_MS = 25;

/** On an overloaded machine the measured chirps disagree, and the page asks for another measurement. */
const MAX_ATTEMPTS = 5;

/** @type {Awaited<ReturnType<typeof openSoundDevice>>} */
let soundDevice;
/** @type {import('playwright-core').Browser} */
let browser;
before(async () => {
  soundDevice = await openSoundDevice();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    ignoreDefaultArgs: ['--mute-audio'],
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    env: { ...process.env, ...soundDevice.env },
  });
});
after(async () => {
  await browser?.close();
  await soundDevice.end();
});

/** Runs in the page: the text of each row in the list of measured phones. */
const measuredRows = () => [...document.querySelectorAll('#measure-list > div')].map((row) => row.textContent);

test('one tap corrects a late speaker and leaves an inaudible phone unchanged', async (t) => {
  const server = await startServer({ fill: tones({ One: 30 }) });
  t.after(server.remove);
  const joinPhone = async (/** @type {string} */ name, /** @type {number} */ latenessMs) => {
    const newContext = async (/** @type {object} */ options) => {
      const context = await browser.newContext({ ...options, permissions: ['microphone'] });
      await context.addInitScript(reduceReportedLatency, latenessMs);
      return context;
    };
    const phone = await openPhone(/** @type {any} */ ({ newContext }), server.url('localhost'));
    t.after(phone.close);
    await phone.join(name);
    return phone;
  };
  const ada = await joinPhone('Ada', 0);
  const ben = await joinPhone('Ben', LATENESS_MS);
  const cleo = await joinPhone('Cleo', 0);

  await screenshotOnFailure(t.name, () => [ada, ben, cleo], async () => {
    await cleo.evaluate(() => void Object.defineProperty(AudioContext.prototype, 'state', { value: 'suspended' }));
    await ada.press('Settings');
    for (let attempt = 0; attempt < MAX_ATTEMPTS && (await ada.evaluate(measuredRows)).length === 0; attempt += 1) {
      await ada.press('Measure by microphone');
      await ada.waitFor('the measuring instructions', () => document.querySelector('#measure-text').textContent.startsWith('Quiet'));
      await ada.waitFor('the result of the measurement', () => !document.querySelector('#measure-text').textContent.startsWith('Quiet'));
    }
    const rows = await ada.evaluate(measuredRows);
    const message = await ada.evaluate(() => document.querySelector('#measure-text').textContent);
    assert.equal(rows.length, 3, `no measurement in ${MAX_ATTEMPTS} attempts; the page says: ${message}`);
    const [adaRow, benRow, cleoRow] = rows;
    assert.match(adaRow, /^Ada\+\d\sms$/);
    assert.match(benRow, /^Ben\+\d{3}\sms$/);
    assert.equal(cleoRow, 'Cleonot heard');

    await ada.press('Apply to all');
    await ada.waitFor('the message that the delays are applied', () => document.querySelector('#measure-text').textContent.startsWith('Applied'));
    const { clients } = await ada.evaluate(async () => (await fetch('/snapshot')).json());
    const [adaDelayMs, benDelayMs, cleoDelayMs] = ['m1', 'm2', 'm3'].map((member) => clients[member].delayMs ?? 0);
    t.diagnostic(`Ben's speaker is late by ${LATENESS_MS} ms; measured: ${(benDelayMs - adaDelayMs).toFixed(1)} ms`);
    assert.ok(Math.abs(benDelayMs - adaDelayMs - LATENESS_MS) <= TOLERANCE_MS, `measured a delay of ${benDelayMs - adaDelayMs} ms`);
    assert.equal(cleoDelayMs, 0);
    assert.deepEqual([clients.m1.compared.by, clients.m1.compared.with, clients.m3.compared], ['microphone', ['m2'], undefined]);
    for (const phone of [ada, ben]) assert.deepEqual(phone.errors, []);
  });
});
