// Lost connections: server restarts, networks that are cut, and stalled event streams.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openCuttableProxy } from '../support/cuttable-proxy.mjs';
import { openBrowser, openPhone, screenshotOnFailure, waitForSameTrackStart } from '../support/phones.mjs';
import { startServer } from '../support/server.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tones } from '../support/tones.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const SONGS = { 'Alpha Dance': 90, 'Beta Waltz': 90, 'Gamma March': 90 };

for (const [name, endServer] of /** @type {const} */ ([['is restarted', 'stop'], ['is killed and started again', 'kill']])) {
  test(`music continues and phones stay paired when the server ${name}`, async (t) => {
    await withRoom(t, browser, { names: ['Ada', 'Ben'] }, async (phones, server) => {
      const [ada, ben] = phones;
      await ada.press('Play');
      await Promise.all([ada.waitForStatus('in step'), ben.waitForStatus('in step')]);
      const pauseCount = () => document.querySelector('audio').pauseCount;
      await Promise.all(phones.map((phone) => phone.evaluate(() => {
        const audio = document.querySelector('audio');
        audio.pauseCount = 0;
        audio.addEventListener('pause', () => (audio.pauseCount += 1));
      })));
      let pairingCount = 0;
      for (const { page } of phones) page.on('request', (request) => (pairingCount += Number(request.url().endsWith('/pair'))));
      const startsBefore = await Promise.all(phones.map((phone) => phone.trackStartSec()));
      await server[endServer]();
      await Promise.all(phones.map((phone) => phone.waitForStatus('reconnecting…')));
      await Promise.all(phones.map((phone) => phone.waitForPlayback()));
      for (const phone of phones) assert.equal(await phone.evaluate(pauseCount), 0);
      await server.start();
      await Promise.all(phones.map((phone) => phone.waitForStatus('in step')));
      await Promise.all(phones.map((phone) => phone.waitForPlayback()));
      await waitForSameTrackStart(phones, { toleranceSec: 0.5, expectedSec: startsBefore });
      await waitForSameTrackStart([ada, ben]);
      for (const name of ['Ada', 'Ben']) await ada.waitForListener(`${name}.* playing`);
      assert.equal(pairingCount, 0);
      await ben.press('Pause');
      await Promise.all(phones.map((phone) => phone.waitForSilence()));
    });
  });
}

test('without a server, the next stored track plays', async (t) => {
  await withRoom(t, browser, { fill: tones({ 'Alpha Dance': 8, 'Beta Waltz': 30 }), names: ['Ada'] }, async ([ada], server) => {
    await ada.waitForStoredTracks(2);
    await ada.press('Play');
    await ada.waitForPlayback();
    await server.kill();
    await ada.waitForStatus('reconnecting…');
    await ada.waitForTitle('Beta Waltz');
    await ada.waitForPlayback();
    assert.equal(await ada.evaluate(() => Math.round(document.querySelector('audio').duration)), 30, 'the second track, of 30 s, must play');
    assert.equal(await ada.evaluate(() => document.querySelector('[role=status]').textContent.trim()), 'reconnecting…');
    await server.start();
    await ada.waitForStatus('in step');
  });
});

test('a disconnected phone keeps playing and rejoins when the network returns', async (t) => {
  const server = await startServer({ fill: tones({ 'Alpha Dance': 8, 'Beta Waltz': 4, 'Gamma March': 90 }) });
  t.after(server.remove);
  const proxy = await openCuttableProxy(server.url());
  t.after(proxy.close);
  const ada = await openPhone(browser, proxy.url);
  t.after(ada.close);
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.waitForStoredTracks(3);
    await ada.press('Play');
    await ada.waitForPlayback();
    proxy.cut();
    await ada.waitForTitle('Beta Waltz');
    // The announced next start passes before the page notices the loss of the connection.
    await ada.waitForTitle('Gamma March');
    await ada.waitForStatus('reconnecting…');
    await ada.waitForPlayback();
    await ada.openTab('Queue');
    await ada.waitFor('the current row', () => document.querySelector('[aria-current=true]'));
    const displayed = await ada.evaluate(() => {
      const { max, value } = document.querySelector('#position');
      const text = (/** @type {string} */ id) => document.querySelector(id).textContent;
      return { seekBarErrorSec: value - document.querySelector('audio').currentTime, max, next: text('#now-next'), queue: text('[aria-current=true] .title') };
    });
    assert.ok(Math.abs(displayed.seekBarErrorSec) < 1.5, `the seek bar differs from playback by ${displayed.seekBarErrorSec} s`);
    assert.deepEqual({ ...displayed, seekBarErrorSec: 0 }, { seekBarErrorSec: 0, max: '90', next: 'Alpha Dance', queue: 'Gamma March' });
    proxy.restore();
    // The server has meanwhile advanced on its own timer.
    await ada.waitForStatus('in step');
    await ada.waitFor('a sync error below 100 ms', () => Number(/±(\d+) ms/.exec(document.querySelector('[role=status]').textContent)?.[1]) < 100);
    await ada.waitForTitle('Gamma March');
    await ada.waitForPlayback();
  });
});

test('without a server, the first commands revert within five seconds', async (t) => {
  const server = await startServer({ fill: tones(SONGS) });
  t.after(server.remove);
  const proxy = await openCuttableProxy(server.url());
  t.after(proxy.close);
  const ada = await openPhone(browser, proxy.url);
  t.after(ada.close);
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.waitForStoredTracks(3);
    await ada.press('Play');
    await ada.waitForStatus('in step');
    /** @type {string[]} */
    const sentPaths = [];
    ada.page.on('request', (request) => {
      if (request.method() === 'POST' && !/sync|ack|loudness/.test(request.url())) sentPaths.push(new URL(request.url()).pathname);
    });
    const showsServerAway = () => [...document.querySelectorAll('[role=alert].toast')].some((toast) => toast.textContent.includes('The server is away'));
    proxy.cut();
    const startMs = performance.now();
    await ada.press('Pause');
    await ada.waitForPlayButton('Play');
    await ada.press('Next');
    await ada.waitForTitle('Beta Waltz');
    await ada.waitFor('the error toast', showsServerAway);
    const elapsedMs = performance.now() - startMs;
    assert.ok(elapsedMs < 5_000, `the error appeared after ${elapsedMs} ms`);
    await ada.waitForTitle('Alpha Dance');
    await ada.waitForPlayButton('Pause');
    await ada.waitForStatus('reconnecting…');
    await ada.waitForPlayback();

    await ada.waitFor('the error toast to disappear', () => !document.querySelector('.toast'));
    await ada.evaluate(() => {
      globalThis.shownTexts = [];
      const record = () => globalThis.shownTexts.push(document.querySelector('#now-title').textContent, document.querySelector('#play').ariaLabel);
      new MutationObserver(record).observe(document.querySelector('#room-view'), { subtree: true, childList: true, attributes: true });
    });
    await ada.press('Next');
    assert.ok(await ada.evaluate(showsServerAway), 'a command while reconnecting must show the error at once');
    proxy.restore();
    await ada.waitForStatus('in step');
    await ada.waitForPlayback();
    const shownTexts = await ada.evaluate(() => [...new Set(globalThis.shownTexts)]);
    assert.deepEqual(shownTexts.toSorted(), ['Alpha Dance', 'Pause']);
    assert.deepEqual(sentPaths, ['/pause']);
    assert.deepEqual(ada.errors, []);
  });
});

test('a stalled event stream is reopened within 12 seconds', async (t) => {
  const server = await startServer({ fill: tones(SONGS) });
  t.after(server.remove);
  const proxy = await openCuttableProxy(server.url());
  t.after(proxy.close);
  const ada = await openPhone(browser, proxy.url);
  t.after(ada.close);
  const ben = await openPhone(browser, server.url());
  t.after(ben.close);
  await screenshotOnFailure(t.name, () => [ada, ben], async () => {
    await ada.join('Ada');
    await ben.join('Ben');
    await ada.waitForListener('Ben');
    // Only the stream is blocked: all other requests still succeed.
    assert.equal(proxy.cutPath('/events'), 1);
    const startMs = performance.now();
    await ben.press('Next');
    await ada.waitForStatus('reconnecting…');
    const elapsedMs = performance.now() - startMs;
    assert.ok(elapsedMs < 12_500, `the loss was noticed after ${elapsedMs} ms`);
    await ada.waitForTitle('Beta Waltz');
    await ada.waitForStatus('in step');
  });
});
