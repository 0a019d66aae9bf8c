// How loud the page plays: tracks come at one loudness, by what the phones have measured, and each phone has a volume and a trim.
// The levels are those of the samples that the page sends to its audio output.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from '../support/phones.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tone } from '../support/tones.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => void (browser = await openBrowser()));
after(() => browser.close());

const FULL_SCALE = 32_767;

/** Three tones that differ by 12 dB, of which the first is as loud as a file can be. */
async function fillWithThreeLevels(/** @type {string} */ folder) {
  for (const [name, db] of /** @type {const} */ ([['Loud', 0], ['Middle', -12], ['Quiet', -24]])) {
    const amplitude = FULL_SCALE * 10 ** (db / 20);
    await writeFile(join(folder, `${-db} ${name}.wav`), tone(60, { hz: 997, rate: 48_000, amplitude }));
  }
}

/** Runs in the page before its scripts: connects a meter to all that is sent to the audio output. */
function addMeters() {
  const meters = /** @type {AnalyserNode[]} */ ([]);
  Object.assign(globalThis, { meters });
  const { connect } = AudioNode.prototype;
  AudioNode.prototype.connect = function (/** @type {any} */ target, /** @type {any[]} */ ...rest) {
    if (target === this.context.destination) {
      const meter = new AnalyserNode(this.context, { fftSize: 8_192 });
      connect.call(this, meter);
      meters.push(meter);
    }
    return connect.call(this, target, ...rest);
  };
}

/** Runs in the page: the level of the output in dB, where a sine tone of full scale has -3 dB; -Infinity for silence. */
function outputDb() {
  const powers = globalThis.meters.map((/** @type {AnalyserNode} */ meter) => {
    const samples = new Float32Array(meter.fftSize);
    meter.getFloatTimeDomainData(samples);
    return samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  });
  return String(10 * Math.log10(powers.reduce((/** @type {number} */ sum, /** @type {number} */ power) => sum + power, 0)));
}

/** Waits until the level is steady for some time, and returns it. @param {import('../support/phones.mjs').Phone} phone */
async function steadyDb(phone) {
  for (let [last, count] = [NaN, 0]; ; ) {
    const db = Number(await phone.evaluate(outputDb));
    count = Math.abs(db - last) < 0.05 || db === last ? count + 1 : 0;
    if (count === 5) return db;
    last = db;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Runs in the page before its scripts: this phone cannot measure. */
function blockMeasuring() {
  globalThis.Worker = class extends Worker {
    constructor(/** @type {URL} */ url, /** @type {WorkerOptions} */ options) {
      if (String(url).includes('loudness')) throw new Error('no worker');
      super(url, options);
    }
  };
}

test('tracks of 0, -12 and -24 dB come out within 1 dB', async (t) => {
  await withRoom(t, browser, { fill: fillWithThreeLevels, names: ['Ada', 'Ben'], initScript: addMeters }, async (phones) => {
    const [ada] = phones;
    await ada.waitFor('the loudness of the first track', async () => (await (await fetch('/snapshot')).json()).gainDb !== null);
    await ada.press('Play');
    const levels = [];
    for (const [i, title] of ['Loud', 'Middle', 'Quiet'].entries()) {
      for (const phone of phones) await phone.waitFor(`the title ${title}`, (name) => document.querySelector('#now-title').textContent.includes(name), title);
      for (const phone of phones) await phone.waitForStatus('in step');
      levels.push(await Promise.all(phones.map(steadyDb)));
      if (i === 2) break;
      await ada.waitFor('the loudness of the next track', async () => (await (await fetch('/snapshot')).json()).live.segue?.gainDb);
      await ada.press('Next');
    }
    t.diagnostic(`levels in dB: ${levels.map((pair) => pair.map((db) => db.toFixed(2)).join(' and ')).join(', ')}`);
    for (const [onAda, onBen] of levels) assert.ok(Math.abs(onAda - onBen) < 0.1, `the phones differ: ${onAda} and ${onBen} dB`);
    const all = levels.flat();
    assert.ok(Math.max(...all) - Math.min(...all) < 1, `the tracks differ: ${levels} dB`);
    // One channel at -18 LUFS.
    for (const db of all) assert.ok(Math.abs(db - -18) < 0.5, `${db} dB`);
  });
});

test('a gain that is found while a track plays changes no phone, not even a late joiner', async (t) => {
  const initScript = /** @type {any} */ (new Function(`(${addMeters})(); (${blockMeasuring})();`));
  await withRoom(t, browser, { fill: fillWithThreeLevels, names: ['Ada'], initScript }, async ([ada], _server, joinPhone) => {
    await ada.press('Play');
    await ada.waitForStatus('in step');
    const unlevelledDb = await steadyDb(ada);
    assert.ok(Math.abs(unlevelledDb - -3.01) < 0.1, `${unlevelledDb} dB`);
    await ada.evaluate(async () => {
      const { queue, queueIndex } = await (await fetch('/snapshot')).json();
      await fetch('/loudness', { method: 'POST', body: JSON.stringify({ trackId: queue[queueIndex], lufs: -3, peakDb: 0 }) });
    });
    await ada.waitFor('the gain in the index', async () => (await (await fetch('/index')).json()).some(({ gainDb }) => gainDb === -15));
    const ben = await joinPhone('Ben');
    await ben.waitForStatus('in step');
    for (const phone of [ada, ben]) assert.ok(Math.abs((await steadyDb(phone)) - unlevelledDb) < 0.1);
  });
});

test('the volume and a trim lower this phone alone, and muted is not paused', async (t) => {
  await withRoom(t, browser, { fill: fillWithThreeLevels, names: ['Ada', 'Ben'], initScript: addMeters }, async ([ada, ben]) => {
    await ada.waitFor('the loudness of the first track', async () => (await (await fetch('/snapshot')).json()).gainDb !== null);
    await ada.press('Play');
    for (const phone of [ada, ben]) await phone.waitForStatus('in step');
    const fullDb = await steadyDb(ben);

    await ben.page.getByRole('slider', { name: 'Volume', exact: true }).fill('50');
    assert.ok(Math.abs((await steadyDb(ben)) - fullDb - -12.04) < 0.3);
    await ada.press('Volume of Ben');
    await ada.page.getByRole('slider', { name: 'Volume of Ben' }).fill('-6');
    await ada.waitForListener('Ben.*−6 dB');
    await ben.waitForListener('Ben.*−6 dB');
    assert.ok(Math.abs((await steadyDb(ben)) - fullDb - -18.04) < 0.3);
    assert.ok(Math.abs((await steadyDb(ada)) - fullDb) < 0.1, 'the other phone plays as before');

    await ben.press('Mute');
    assert.equal(await steadyDb(ben), -Infinity);
    await ben.waitForPlayButton('Pause');
    await ben.waitForStatus('in step');
    // The settings and the trim of the phone survive a reload.
    await ben.page.reload();
    await ben.waitForListener('Ben.*−6 dB');
    await ben.page.getByRole('button', { name: 'Mute', pressed: true }).click();
    assert.equal(await ben.page.getByRole('slider', { name: 'Volume', exact: true }).inputValue(), '50');
  });
});
