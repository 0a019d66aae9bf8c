// Files whose header states a wrong length, which the server believes.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from '../support/phones.mjs';
import { tones } from '../support/tones.mjs';
import { withRoom } from '../support/test-room.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

/** An MP3 frame of silence: MPEG 1 layer 3, 128 kbit/s, 44.1 kHz, without padding. */
const FRAME = Buffer.concat([Buffer.from([0xff, 0xfb, 0x90, 0]), Buffer.alloc(413)]);
const FRAME_SEC = 1_152 / 44_100;
const FRAME_COUNT = 2_297;
const TRUE_SEC = FRAME_COUNT * FRAME_SEC;

/** A file of 60 s whose Xing header states `statedCount` frames. @param {number} statedCount */
function mp3(statedCount) {
  const header = Buffer.from(FRAME);
  header.write('Xing', 36);
  // The flags of the two fields that follow: the number of frames and of bytes.
  header.writeUInt32BE(3, 40);
  header.writeUInt32BE(statedCount, 44);
  header.writeUInt32BE((FRAME_COUNT + 1) * FRAME.length, 48);
  return Buffer.concat([header, ...Array(FRAME_COUNT).fill(FRAME)]);
}

/** Frames that the headers state: 56.2 s and 64.8 s. */
const STATED = { 'Alpha Longer': 2_150, 'Beta Shorter': 2_480 };

/** A position near the end of the tracks. */
const SEEK_SEC = 54;

/** @param {string} folder */
const fill = (folder) => Promise.all(Object.entries(STATED).map(([name, count]) => writeFile(join(folder, `${name}.mp3`), mp3(count))));

/** Runs in the page: the lengths in the server's index, in seconds, in the order of the titles. */
const indexedLengths = async () => {
  const index = await (await fetch('/index', { cache: 'no-store' })).json();
  return index.sort((a, b) => (a.tags.title < b.tags.title ? -1 : 1)).map(({ duration }) => duration);
};

/** Runs in the page: records the acknowledgements that report a length and that the server has accepted. */
function recordReports() {
  const { fetch } = globalThis;
  globalThis.reports = [];
  globalThis.fetch = async (path, options) => {
    const response = await fetch(path, options);
    const ack = String(path).endsWith('/ack-download') && response.ok ? JSON.parse(options.body) : {};
    if (ack.durationSec !== undefined) globalThis.reports.push(ack);
    return response;
  };
}

/** Runs in the page: the decoder gives up after 56.2 s, where the track ends by the header of Alpha Longer. */
function decodeBeginningOnly() {
  const { decodeAudioData } = BaseAudioContext.prototype;
  BaseAudioContext.prototype.decodeAudioData = async function (bytes) {
    const { numberOfChannels, sampleRate } = await decodeAudioData.call(this, bytes);
    return this.createBuffer(numberOfChannels, Math.round((2_150 * 1_152 * sampleRate) / 44_100), sampleRate);
  };
}

/** Runs in the page: as Firefox ESR 153 does with a FLAC file of 10 s that has 2 KB of zeros in its middle. */
function decodeFirstSeconds() {
  const { decodeAudioData } = BaseAudioContext.prototype;
  BaseAudioContext.prototype.decodeAudioData = async function (bytes) {
    const { numberOfChannels, sampleRate } = await decodeAudioData.call(this, bytes);
    return this.createBuffer(numberOfChannels, Math.round(4.7 * sampleRate), sampleRate);
  };
}

/**
 * Runs in the page: when the room's track was at position 0, in seconds of the server's clock; `null` unless the track with
 * this number of the queue plays.
 */
const roomTrackStartSec = async (/** @type {number} */ number) => {
  const { live, playState, queueIndex } = await (await fetch('/snapshot', { cache: 'no-store' })).json();
  return live.anchorAtMs === null || queueIndex !== number ? null : live.anchorAtMs / 1_000 - playState.anchorPositionSec;
};

/** Runs in the page: moves the room to a position; returns when the track was at position 0, or `null` if the server refused. */
const seekTo = async (/** @type {number} */ positionSec) => {
  const { eventCount } = await (await fetch('/snapshot', { cache: 'no-store' })).json();
  const response = await fetch('/seek', { method: 'POST', headers: { 'If-Match-Event': String(eventCount) }, body: JSON.stringify({ positionSec }) });
  return response.ok ? (await response.json()).snapshot.live.anchorAtMs / 1_000 - positionSec : null;
};

const assertNear = (/** @type {number} */ value, /** @type {number} */ expected, /** @type {number} */ within) =>
  assert.ok(Math.abs(value - expected) <= within, `${value} is not within ${within} of ${expected}`);

test('a wrong length neither cuts the music nor adds silence, and two phones correct it', async (t) => {
  await withRoom(t, browser, { fill, names: ['Ada'], initScript: recordReports }, async ([ada], _, joinPhone) => {
    const statedLengths = Object.values(STATED).map((count) => count * FRAME_SEC);
    await ada.waitForStoredTracks(2);
    (await ada.evaluate(indexedLengths)).forEach((length, i) => assertNear(length, statedLengths[i], 0.01));

    await ada.waitForTitle('Alpha Longer');
    await ada.waitFor('the true length in the seek bar', () => document.querySelector('#position').max === '60');
    await ada.press('Play');
    await ada.waitForPlayback();
    const alphaStartSec = await ada.waitFor('the seek', seekTo, SEEK_SEC);
    const betaStartSec = await ada.waitFor('the start of the next track', roomTrackStartSec, 1);
    assertNear(betaStartSec - alphaStartSec, TRUE_SEC, 0.3);

    const betaSeekedStartSec = await ada.waitFor('the seek', seekTo, SEEK_SEC);
    const alphaAgainStartSec = await ada.waitFor('the start of the next track', roomTrackStartSec, 0);
    const betaSec = alphaAgainStartSec - betaSeekedStartSec;
    assert.ok(betaSec >= TRUE_SEC - 0.3 && betaSec < statedLengths[1] - 1, `the next track began after ${betaSec} s`);

    const reports = await ada.evaluate(() => globalThis.reports);
    assert.equal(new Set(reports.map(({ trackId }) => trackId)).size, 2, 'the length of each track must be reported');
    for (const { durationSec } of reports) assertNear(durationSec, TRUE_SEC, 0.1);
    (await ada.evaluate(indexedLengths)).forEach((length, i) => assertNear(length, statedLengths[i], 0.01));

    await joinPhone('Ben');
    await ada.waitFor('the corrected index', async (/** @type {number} */ trueSec) => {
      const index = await (await fetch('/index', { cache: 'no-store' })).json();
      return index.every(({ duration }) => Math.abs(duration - trueSec) < 0.1);
    }, TRUE_SEC);
    await ada.waitForPlayback();
  });
});

test('a phone that decodes less than another phone does not cut the music there', async (t) => {
  await withRoom(t, browser, { fill, names: ['Ada'], initScript: recordReports }, async ([ada], _, joinPhone) => {
    const ben = await joinPhone('Ben', decodeBeginningOnly);
    for (const phone of [ada, ben]) {
      await phone.waitForStoredTracks(2);
      await phone.waitForTitle('Alpha Longer');
    }
    await ada.press('Play');
    for (const phone of [ada, ben]) await phone.waitForPlayback();
    await ada.waitFor('the report of the length', () => globalThis.reports.length > 0);
    const alphaStartSec = await ada.waitFor('the seek', seekTo, 50);
    const betaStartSec = await ada.waitFor('the start of the next track', roomTrackStartSec, 1);
    assertNear(betaStartSec - alphaStartSec, TRUE_SEC, 0.3);
    for (const phone of [ada, ben]) await phone.waitForPlayback();
  });
});

test('a phone that decodes five seconds says so and waits, and the others play on', async (t) => {
  const music = tones({ 'Alpha Dance': 14, 'Beta Waltz': 14 });
  await withRoom(t, browser, { fill: music, names: ['Ada'] }, async ([ada], _, joinPhone) => {
    const ben = await joinPhone('Ben', decodeFirstSeconds);
    for (const phone of [ada, ben]) await phone.waitForStoredTracks(2);
    const title = await ada.title();
    await ada.press('Play');
    for (const phone of [ada, ben]) await phone.waitForPlayback();
    const startSec = await ada.waitFor('the start of the track', roomTrackStartSec, 0);
    await ben.waitForStatus('no more sound in this file on this phone; waiting for the next track');
    assert.deepEqual([await ada.title(), await ben.title()], [title, title]);
    const nextStartSec = await ada.waitFor('the start of the next track', roomTrackStartSec, 1);
    assertNear(nextStartSec - startSec, 14, 0.3);
    await ben.waitForPlayback();
  });
});
