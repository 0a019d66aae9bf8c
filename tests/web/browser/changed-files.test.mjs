// Music files and a state file that change while phones are connected.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from '../support/phones.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tone, tones } from '../support/tones.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

test('phones play the new content of a file changed on disk', async (t) => {
  await withRoom(t, browser, { fill: tones({ 'Alpha Dance': 40, 'Beta Waltz': 40 }), names: ['Ada'] }, async ([ada], server) => {
    const file = join(server.audio, 'Alpha Dance.wav');
    const replaceTrack = async (/** @type {number} */ seconds) => {
      await server.stop();
      await writeFile(file, tone(seconds));
      await server.start();
    };
    await ada.waitForStoredTracks(2);
    // Records the duration of each track that starts to play.
    await ada.evaluate(() => {
      const audio = document.querySelector('audio');
      globalThis.playedDurations = [];
      audio.addEventListener('playing', () => globalThis.playedDurations.push(Math.round(audio.duration)));
    });
    await replaceTrack(30);
    await ada.waitFor('the new duration', () => document.querySelector('#position').max === '30');
    await ada.press('Play');
    await ada.waitForPlayback();
    await replaceTrack(20);
    await ada.waitFor('the new duration', () => document.querySelector('#position').max === '20');
    await ada.waitForStatus('in step');
    await ada.waitForPlayback();
    // A busy machine may interrupt a track, which then starts to play again.
    const played = await ada.evaluate(() => globalThis.playedDurations);
    assert.deepEqual(played.filter((duration, i) => duration !== played[i - 1]), [30, 20]);
  });
});

test('new tags of the current track change its title without an interruption', async (t) => {
  await withRoom(t, browser, { fill: tones({ 'Alpha Dance': 40, 'Beta Waltz': 40 }), names: ['Ada'] }, async ([ada], server) => {
    const file = join(server.audio, 'Alpha Dance.wav');
    await ada.waitForStoredTracks(2);
    await ada.press('Play');
    await ada.waitForPlayback();
    await ada.waitForStatus('in step');
    // A request would show that the phone dropped the stored track.
    /** @type {string[]} */
    const downloads = [];
    ada.page.on('request', (request) => void (request.url().includes('/file/') && downloads.push(request.url())));
    // The same audio data, followed by a title tag.
    const titleTag = Buffer.from('INAM\x0c\0\0\0Alpha Reborn');
    const info = Buffer.concat([Buffer.from('LIST'), Buffer.from([4 + titleTag.length, 0, 0, 0]), Buffer.from('INFO'), titleTag]);
    const newFile = Buffer.concat([await readFile(file), info]);
    newFile.writeUInt32LE(newFile.length - 8, 4);
    await writeFile(file, newFile);
    await ada.waitForTitle('Alpha Reborn');
    await ada.waitForPlayback();
    assert.deepEqual(downloads, []);
  });
});

test('every phone reports a damaged state file until it is repaired', async (t) => {
  await withRoom(t, browser, { names: ['Ada', 'Ben'] }, async (phones, server) => {
    const [ada, ben] = phones;
    await server.stop();
    const state = await readFile(server.stateFile);
    await writeFile(server.stateFile, 'not JSON');
    await server.start();
    await ada.waitForStatus('The state file is damaged');
    await ben.page.reload();
    await ben.waitFor('the state file error', () => {
      const message = document.querySelector('#start-error');
      return message.checkVisibility() && message.role === 'alert' && message.textContent.includes('The state file is damaged');
    });
    await server.stop();
    await writeFile(server.stateFile, state);
    await server.start();
    await Promise.all(phones.map((phone) => phone.waitForStatus('paused')));
    assert.ok(await ben.evaluate(() => !document.querySelector('#start-error').checkVisibility()));
  });
});
