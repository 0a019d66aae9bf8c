// Late joiners, slow phones, reloaded phones, and wrong pairing codes.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser, openPhone, screenshotOnFailure, waitForSameTrackStart } from '../support/phones.mjs';
import { startServer } from '../support/server.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tone, tones } from '../support/tones.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const SONGS = { 'Alpha Dance': 90, 'Beta Waltz': 90, 'Gamma March': 90 };

test('a third phone joins during a track without disturbing the others', async (t) => {
  await withRoom(t, browser, { names: ['Ada', 'Ben'] }, async (phones, _, joinPhone) => {
    const [ada, ben] = phones;
    await ada.press('Play');
    await Promise.all([ada.waitForPlayback(), ben.waitForPlayback()]);
    await ada.waitForStatus('in step');
    // Underruns ('waiting') and their corrections ('seeking') also happen on an overloaded machine, so only stops count.
    const recordStops = () => {
      globalThis.stops = [];
      for (const name of ['pause', 'emptied']) document.querySelector('audio').addEventListener(name, () => globalThis.stops.push(name));
    };
    await Promise.all([ada.evaluate(recordStops), ben.evaluate(recordStops)]);
    const playState = async () => (await ada.evaluate(async () => (await fetch('/snapshot')).json())).playState;
    const playStateBefore = await playState();

    const cay = await joinPhone('Cay');
    await cay.waitForPlayback();
    await cay.waitForStatus('in step');
    await ada.waitForListener('Cay.* playing');
    await waitForSameTrackStart([ada, ben, cay]);
    for (const phone of [ada, ben]) assert.deepEqual(await phone.evaluate(() => globalThis.stops), []);
    assert.deepEqual(await playState(), playStateBefore);
    await ben.press('Next');
    await Promise.all([ada, ben, cay].map((phone) => phone.waitForTitle('Beta Waltz')));
    await Promise.all([ada, ben, cay].map((phone) => phone.waitForPlayback()));
  });
});

test('Start now starts without a phone whose slow download shows progress', async (t) => {
  // The slow track is larger than all buffers between server and browser.
  const fillWithLargeTrack = async (/** @type {string} */ folder) => {
    await tones({ 'Alpha Dance': 90 })(folder);
    await writeFile(join(folder, 'Slow Train.wav'), tone(200, { rate: 48_000, channels: 2 }));
    await tones({ 'Zulu Zither': 30 })(folder);
  };
  await withRoom(t, browser, { fill: fillWithLargeTrack, names: ['Ada'] }, async (phones, server) => {
    const [ada] = phones;
    await ada.waitForStoredTracks(2);
    const ben = await openPhone(browser, server.url());
    phones.push(ben);
    await ben.cdp.send('Network.emulateNetworkConditions', {
      offline: false, latency: 0, downloadThroughput: 1_500_000, uploadThroughput: 1_500_000,
    });
    await ben.join('Ben');
    await ben.openTab('Queue');
    await ben.waitFor('the first track to be cached', () => document.querySelector('[aria-current=true] .cached-mark:not([hidden])'));
    await ben.openTab('Now');
    await ada.press('Next');
    await ada.waitForTitle('Slow Train');
    await ada.waitForListener('Ben.* downloading \\d+ %');
    await ada.waitForStatus('waiting for others (1/2 ready)');
    await ben.waitForStatus('downloading');
    await ada.waitFor('download progress', () => {
      const text = [...document.querySelectorAll('[aria-label=Listeners] li')].map((row) => row.textContent).join();
      return Number(/downloading (\d+)/.exec(text)?.[1]) > 3;
    });
    await ada.press('Start now');
    await ada.waitForPlayback();
    // The slow phone is still downloading and stays silent.
    await ben.waitForSilence();
    assert.match(await ben.evaluate(() => document.querySelector('[role=status]').textContent), /downloading \d+ %/);
    // The throttle ends, and the slow phone joins once its download completes.
    await ben.cdp.send('Network.emulateNetworkConditions', {
      offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1,
    });
    await ben.waitForPlayback();
    await waitForSameTrackStart([ada, ben]);
  });
});

test('a reloaded phone stays paired and rejoins in step after a tap', async (t) => {
  await withRoom(t, browser, { names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    await ada.press('Play');
    await Promise.all([ada.waitForPlayback(), ben.waitForPlayback()]);
    await ben.cdp.send('Page.reload');
    await ben.waitFor('the button “Tap to rejoin”', () => document.querySelector('#unlock-sound') && !document.querySelector('#unlock-sound').hidden && !document.querySelector('#room-view').hidden);
    assert.ok(await ben.evaluate(() => document.querySelector('audio').paused));
    await ben.waitForListener('Ben \\(you\\) needs a tap');
    await ben.press('Tap to rejoin');
    await ben.waitForPlayback();
    await ben.waitFor('the button “Tap to rejoin” to disappear', () => document.querySelector('#unlock-sound').hidden);
    await ben.waitForListener('Ben \\(you\\) playing');
    await ben.waitForStatus('in step');
    await waitForSameTrackStart([ada, ben]);
    assert.ok(!(await ada.evaluate(() => document.querySelector('audio').paused)));
  });
});

test('a wrong code shows an error, and the right code joins', async (t) => {
  const server = await startServer({ fill: tones(SONGS) });
  t.after(server.remove);
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await screenshotOnFailure(t.name, () => [ada], async () => {
    const code = ada.page.getByLabel('Pairing code');
    await code.fill('000000');
    await ada.press('Join');
    await ada.waitFor('the wrong code error', () => document.querySelector('#join-error').textContent.includes('Wrong code'));
    assert.equal(await ada.evaluate(() => document.querySelector('#join-error').getAttribute('role')), 'alert');
    assert.equal(await ada.evaluate(() => document.querySelector('#join-code').getAttribute('aria-invalid')), 'true');
    await code.fill('12');
    await ada.press('Join');
    await ada.waitFor('the error about six digits', () => document.querySelector('#join-error').textContent.includes('six digits'));
    await ada.join('Ada');
    await ada.waitForListener('Ada \\(you\\)');
  });
});
