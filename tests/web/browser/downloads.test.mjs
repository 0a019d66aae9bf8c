// Downloads: resuming after an interruption, failures, full storage, formats, and the announced status.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser, openPhone, screenshotOnFailure } from '../support/phones.mjs';
import { FIXTURES, copyMusicFrom, startServer } from '../support/server.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tone, tones } from '../support/tones.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const SONGS = { 'Alpha Dance': 60, 'Beta Waltz': 60, 'Gamma March': 60, 'Delta Blues': 60 };

test('every format plays or is reported as unplayable', (t) =>
  withRoom(t, browser, { fill: copyMusicFrom(FIXTURES), names: ['Ada'] }, async ([ada]) => {
    await ada.press('Play');
    // Each track lasts a second or two; the queue advances past the format that the browser cannot play.
    const titles = new Set();
    await ada.page.exposeFunction('recordTitle', (/** @type {string} */ title) => titles.add(title));
    await ada.evaluate(() => {
      const record = () => recordTitle(document.querySelector('#now-title').textContent);
      new MutationObserver(record).observe(document.querySelector('#now-title'), { childList: true });
      record();
    });
    await ada.waitForStatus("can't play AIFF");
    await ada.waitForListener("Ada.* can't play this");
    await ada.waitForTitle('Fixture MP3');
    assert.ok(titles.size >= 6, `titles: ${[...titles]}`);
  }));

test('an interrupted download resumes where it stopped', async (t) => {
  const server = await startServer({
    fill: async (folder) => {
      await tones({ 'Alpha Dance': 20, 'Beta Waltz': 20, 'Gamma March': 20 })(folder);
      await writeFile(join(folder, 'Slow Train.wav'), tone(120, { rate: 48_000, channels: 2 }));
    },
  });
  t.after(server.remove);
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await screenshotOnFailure(t.name, () => [ada], async () => {
    const limitNetwork = (/** @type {number} */ bytesPerSec) =>
      ada.cdp.send('Network.emulateNetworkConditions', {
        offline: false, latency: 0, downloadThroughput: bytesPerSec, uploadThroughput: bytesPerSec,
      });
    /** @type {(string | undefined)[]} */
    const ranges = [];
    ada.page.on('request', (request) => {
      if (request.url().includes('/file/')) ranges.push(request.headers()['range']);
    });
    await limitNetwork(3_000_000);
    await ada.join('Ada');
    await ada.waitForStoredTracks(2);
    await ada.openTab('Queue');
    await ada.press('Play Slow Train next');
    await ada.openTab('Now');
    await ada.press('Next');
    await ada.waitForTitle('Slow Train');
    await ada.waitFor('a partial download', () => Number(/downloading (\d+)/.exec(document.querySelector('[role=status]').textContent)?.[1]) > 20);
    await server.kill();
    await ada.waitForStatus('reconnecting…');
    await limitNetwork(-1);
    await server.start();
    await ada.waitForPlayback();
    assert.ok(ranges.some((range) => /^bytes=\d{7,}-$/.test(range ?? '')), `requested ranges: ${ranges}`);
    assert.deepEqual(ada.errors, []);
  });
});

test('a failed download is reported and retried while the room plays', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada'] }, async ([ada], server, joinPhone) => {
    const ben = await joinPhone('Ben');
    await Promise.all([ada.waitForStoredTracks(2), ben.waitForStoredTracks(2)]);
    let isFailing = true;
    await ada.page.route('**/file/**', (route) =>
      isFailing ? route.fulfill({ status: 500, contentType: 'application/problem+json', body: '{"status":500,"detail":"the file cannot be read"}' }) : route.continue(),
    );
    await ada.evaluate(async () => (await globalThis.trackStorage).clear());
    await ada.cdp.send('Page.reload');
    await ada.waitFor('the room view', () => !document.querySelector('#room-view').hidden);
    await ben.press('Play');
    await ada.waitForStatus("this track can't be downloaded from the server; retrying");
    await ben.waitForListener("Ada.* can't play this");
    await ben.waitForPlayback();
    isFailing = false;
    await server.stop();
    await ada.waitForStatus('reconnecting…');
    await server.start();
    await ada.waitFor('the button “Tap to rejoin”', () => !document.querySelector('#unlock-sound').hidden);
    await ada.press('Tap to rejoin');
    await ada.waitForPlayback();
    await ben.waitForListener('Ada.* playing');
  }));

test('a phone reports its full storage and plays the tracks that fit', async (t) => {
  const server = await startServer({ fill: tones({ 'Alpha Dance': 10, 'Beta Waltz': 120, 'Gamma March': 10 }) });
  t.after(server.remove);
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await ada.cdp.send('Storage.overrideQuotaForOrigin', { origin: new URL(server.url()).origin, quotaSize: 1_500_000 });
  await ada.page.reload();
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.waitFor('the warning about full storage', () => document.querySelector('#storage-warning').textContent.includes('storage is full'));
    await ada.press('Play');
    await ada.waitForPlayback();
    await ada.press('Next');
    await ada.waitForStatus('not enough storage');
    await ada.press('Next');
    await ada.waitForPlayback();
  });
});

test('a download is announced once although its percentage keeps changing', async (t) => {
  const server = await startServer({ fill: (folder) => writeFile(join(folder, 'Slow Train.wav'), tone(120, { rate: 48_000, channels: 2 })) });
  t.after(server.remove);
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: 6_000_000, uploadThroughput: -1 });
    await ada.join('Ada');
    await ada.openTab('Queue');
    await ada.evaluate(() => {
      const recordTexts = (/** @type {string} */ selector) => {
        const element = document.querySelector(`[role=status] ${selector}`);
        const recorded = [element.textContent];
        new MutationObserver(() => recorded.push(element.textContent)).observe(element, { childList: true, characterData: true, subtree: true });
        return recorded;
      };
      globalThis.texts = recordTexts('.text');
      globalThis.figures = recordTexts('.figure');
    });
    await ada.waitForStatus('paused');
    const { texts, figures } = await ada.evaluate(() => ({ texts: globalThis.texts, figures: globalThis.figures }));
    assert.deepEqual(texts.slice(-2), ['downloading', 'paused']);
    assert.ok(texts.length <= 4, `texts: ${texts}`);
    assert.ok(figures.filter((figure) => /^\d+ %$/.test(figure)).length > 5, `figures: ${figures}`);
    const hiddenFigures = await ada.evaluate(() => [...document.querySelectorAll('[role=status]')].map((status) => status.checkVisibility() && status.querySelector('.figure').ariaHidden));
    assert.deepEqual(hiddenFigures, ['true'], 'there must be one visible status line, with its percentage hidden from screen readers');
  });
});
