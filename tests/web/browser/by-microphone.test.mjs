// Speakers compared by a microphone, from the button to the delays: real Chromium plays into a sink of PulseAudio
// and listens to it, and one phone believes that its speaker is quicker than it is.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { openLoudspeaker } from '../engines/loudspeaker.mjs';
import { journey, openPhone } from '../support/phones.mjs';
import { startServer } from '../support/server.mjs';
import { tones } from '../support/tones.mjs';

const LATE_MS = 180;

/** On a machine that does not keep up, outputs wander by so much. */
const OFF_MS = 25;

/** What a machine that does not keep up lets be heard does not agree, and whoever measures is told to do so again. */
const TRIES = 5;

/** @type {Awaited<ReturnType<typeof openLoudspeaker>>} */
let loudspeaker;
/** @type {import('playwright-core').Browser} */
let browser;
before(async () => {
  loudspeaker = await openLoudspeaker();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    ignoreDefaultArgs: ['--mute-audio'],
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    env: { ...process.env, ...loudspeaker.env },
  });
});
after(async () => {
  await browser?.close();
  await loudspeaker.end();
});

/** In the page, before its scripts: it believes that it is heard that much sooner than it is. */
function deceive(/** @type {number} */ byMs) {
  const stamp = AudioContext.prototype.getOutputTimestamp;
  AudioContext.prototype.getOutputTimestamp = function () {
    const { contextTime, performanceTime } = stamp.call(this);
    return { contextTime, performanceTime: performanceTime - byMs };
  };
}

/** In the page: what the list of the measured says. */
const measured = () => [...document.querySelectorAll('#measure-list > div')].map((row) => row.textContent);

test('one tap puts a phone in step whose speaker is late, and leaves alone one that cannot be heard', async (t) => {
  const server = await startServer({ fill: tones({ One: 30 }) });
  t.after(server.end);
  const enter = async (/** @type {string} */ name, /** @type {number} */ lateMs) => {
    const newContext = async (/** @type {object} */ options) => {
      const context = await browser.newContext({ ...options, permissions: ['microphone'] });
      await context.addInitScript(deceive, lateMs);
      return context;
    };
    const phone = await openPhone(/** @type {any} */ ({ newContext }), server.url('localhost'));
    t.after(phone.close);
    await phone.join(name);
    return phone;
  };
  const ada = await enter('Ada', 0);
  const ben = await enter('Ben', LATE_MS);
  const cleo = await enter('Cleo', 0);

  await journey(t.name, () => [ada, ben, cleo], async () => {
    await cleo.read(() => void Object.defineProperty(AudioContext.prototype, 'state', { value: 'suspended' }));
    await ada.press('Settings');
    for (let tries = 0; tries < TRIES && (await ada.read(measured)).length === 0; tries += 1) {
      await ada.press('Measure by microphone');
      await ada.until('what to do', () => document.querySelector('#measure-text').textContent.startsWith('Quiet'));
      await ada.until('what came of it', () => !document.querySelector('#measure-text').textContent.startsWith('Quiet'));
    }
    const [first, second, third] = await ada.read(measured);
    assert.match(first, /^Ada\+\d\sms$/);
    assert.match(second, /^Ben\+\d{3}\sms$/);
    assert.equal(third, 'Cleonot heard');

    await ada.press('Apply to all');
    await ada.until('that it is done', () => document.querySelector('#measure-text').textContent.startsWith('Applied'));
    const { clients } = await ada.read(async () => (await fetch('/snapshot')).json());
    const [a, b, c] = ['m1', 'm2', 'm3'].map((member) => clients[member].delayMs ?? 0);
    t.diagnostic(`Ben's speaker is late by ${LATE_MS} ms, and found to be by ${(b - a).toFixed(1)} ms`);
    assert.ok(Math.abs(b - a - LATE_MS) <= OFF_MS, `${b - a} ms`);
    assert.equal(c, 0);
    for (const phone of [ada, ben]) assert.deepEqual(phone.errors, []);
  });
});
