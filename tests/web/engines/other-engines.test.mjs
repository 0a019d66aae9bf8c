// Firefox and WebKit: the main use on an insecure page, with each phone in its own browser; and the start of an MP3 in WebKit.

import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { DEMO_MUSIC, copyMusicFrom, startServer } from '../support/server.mjs';
import { webDriverPhone } from './webdriver-phone.mjs';
import { openFirefox } from './firefox.mjs';
import { openSoundDevice } from './virtual-sound-device.mjs';
import { openWebKit } from './webkit.mjs';

const ENGINES = [
  { name: 'Firefox', open: openFirefox },
  { name: 'WebKit', open: openWebKit },
];

/** An MP3 with 25 ms of encoder delay before its first note. */
const PADDED_MP3 = new URL('../../../audio/Basement Lamp.mp3', import.meta.url);

/** Largest accepted difference of positions: far above the skew of synchronised phones, far below a wrong position. */
const MAX_SKEW_SEC = 0.3;

/** About one attempt in four ends in a deadlock on a busy machine. */
const MAX_ATTEMPTS = 6;

/** Time for a phone to correct a wrong start on a busy machine. */
const CORRECTION_TIMEOUT_MS = 20_000;

/** @type {Awaited<ReturnType<typeof openSoundDevice>>} */
let soundDevice;
before(async () => (soundDevice = await openSoundDevice()));
after(() => soundDevice.end());

for (const { name, open } of ENGINES) {
  test(`${name}: two phones join, play, pause and skip together`, async () => {
    // A deadlocked browser (see firefox.mjs) shows nothing about the page, so the steps are repeated in a new browser.
    for (let attempt = 1; !(await runSteps(name, open)); attempt += 1) {
      console.error(`${name}: the browser stopped responding in attempt ${attempt}`);
      assert.ok(attempt < MAX_ATTEMPTS, `the browser stopped responding in ${attempt} attempts`);
    }
  });
}

/**
 * Runs the steps of the test; returns false if the WebDriver stopped responding.
 * @param {string} name
 * @param {typeof openFirefox} open
 */
async function runSteps(name, open) {
  /** @type {ReturnType<typeof webDriverPhone>[]} */
  const phones = [];
  /** @type {import('./webdriver-phone.mjs').Driver[]} */
  const drivers = [];
  const server = await startServer({ fill: copyMusicFrom(DEMO_MUSIC) });
  /** @param {string} person */
  async function joinPhone(person) {
    const driver = await open(server.asProxy(), soundDevice.env);
    drivers.push(driver);
    const phone = webDriverPhone(driver);
    phones.push(phone);
    await phone.goto(server.url());
    await phone.join(person);
    return phone;
  }
  /** @param {(phone: ReturnType<typeof webDriverPhone>) => Promise<any>} step */
  const onBoth = (step) => Promise.all(phones.map(step));

  try {
    const ada = await joinPhone('Ada');
    assert.equal(await ada.evaluate(() => isSecureContext), false);
    await ada.press('Play');
    await ada.waitForPlayback();
    await ada.waitForStatus('in step');

    const ben = await joinPhone('Ben');
    await ben.waitForPlayback();
    await ben.waitForStatus('in step');
    await ada.waitForPlayback();
    const title = await ada.title();
    await ben.waitForTitle(title);
    await waitForEqualPositions(onBoth);

    await ben.press('Pause');
    await onBoth((phone) => phone.waitForSilence());
    await onBoth((phone) => phone.waitForStatus('paused'));

    await ada.press('Play');
    await onBoth((phone) => phone.waitForPlayback());

    await ben.press('Next');
    await onBoth((phone) => phone.waitFor('another title', (previous) => document.querySelector('#now-title').textContent !== previous, title));
    await onBoth((phone) => phone.waitForPlayback());
    assert.equal(await ada.title(), await ben.title());

    await onBoth((phone) => phone.press('Queue'));
    const added = await ben.waitFor('a track of the library', () => [...document.querySelectorAll('.row[data-place=ring]:not([hidden]) .title')][2]?.textContent);
    await ben.press(`Add ${added}`);
    await onBoth((phone) => phone.waitFor('the pick', (expected) => document.querySelector('.row[data-place=pick]:not([hidden])')?.textContent.includes(expected), added));
    await ada.press('Now');
    await ada.press('Next');
    await onBoth((phone) => phone.waitForTitle(added));
    await onBoth((phone) => phone.waitForPlayback());
    await ada.screenshot(`now-${name}`);
    return true;
  } catch (error) {
    if (drivers.some((driver) => driver.isHung?.())) return false;
    await Promise.all(phones.map((phone, phoneIndex) => phone.screenshot(`failed-${name}-${phoneIndex + 1}`).catch(() => {})));
    throw error;
  } finally {
    await Promise.all(phones.map((phone) => phone.close()));
    await server.remove();
  }
}

// Chromium 156 removes the declared encoder delay, Firefox ESR 153 most of it; WebKitGTK plays the delay, so the page skips it.
test('WebKit: an MP3 starts with its first note, without encoder delay', async (t) => {
  const server = await startServer({ fill: (folder) => copyFile(PADDED_MP3, `${folder}/padded.mp3`) });
  t.after(server.remove);
  const phone = webDriverPhone(await openWebKit(server.asProxy(), soundDevice.env));
  t.after(phone.close);
  await phone.goto(server.url());
  await phone.join('Ada');
  await phone.evaluate(() => {
    const measure = async () => {
      const [row] = await (await fetch('/index')).json();
      const bytes = await (await fetch(`/file/${row.trackId}`)).arrayBuffer();
      const { trimPadding } = await import('/js/sound/output-clock.js');
      const buffer = await new OfflineAudioContext(1, 1, 48_000).decodeAudioData(bytes);
      const samples = buffer.getChannelData(0).subarray(0, 48_000);
      const loudest = samples.reduce((maximum, sample) => Math.max(maximum, Math.abs(sample)), 0);
      const { leadSec } = trimPadding(buffer.duration, { durationSec: row.duration, padding: row.padding });
      return samples.findIndex((sample) => Math.abs(sample) > loudest / 2) / 48_000 - leadSec;
    };
    const { dataset } = document.body;
    measure().then((sec) => (dataset.firstNote = String(sec)), (error) => (dataset.firstNote = String(error)));
  });
  const offsetSec = await phone.waitFor('the first note', () => document.body.dataset.firstNote);
  assert.ok(Math.abs(Number(offsetSec)) < 0.005, `the first note is at ${offsetSec} s`);
});

/** @param {(step: (phone: ReturnType<typeof webDriverPhone>) => Promise<number>) => Promise<number[]>} onBoth */
async function waitForEqualPositions(onBoth) {
  const deadline = Date.now() + CORRECTION_TIMEOUT_MS;
  for (;;) {
    const [adaStartSec, benStartSec] = await onBoth((phone) => phone.trackStartSec());
    if (Math.abs(adaStartSec - benStartSec) < MAX_SKEW_SEC) return;
    assert.ok(Date.now() < deadline, `positions differ by ${adaStartSec - benStartSec} s`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
