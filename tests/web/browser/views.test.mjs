// Remote mode, Leave, Invite, the tabs, and a long queue.

import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from '../support/phones.mjs';
import { FIXTURES, PAIRING_CODE } from '../support/server.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tone, tones } from '../support/tones.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const SONGS = { 'Alpha Dance': 60, 'Beta Waltz': 60, 'Gamma March': 60, 'Delta Blues': 60 };

/** Writes the songs and a track whose title is HTML markup. @param {string} folder */
async function fillWithMarkupTitle(folder) {
  await tones(SONGS)(folder);
  await writeFile(join(folder, '<img src=x onerror=alert(1)>.wav'), tone(20));
}

/** Writes 1,500 tracks with the same content. @param {string} folder */
async function fillWithManyTracks(folder) {
  const fixture = join(FIXTURES, 'untagged_song-name.mp3');
  const names = Array.from({ length: 1_500 }, (_, i) => `Song ${String(i + 1).padStart(4, '0')}.mp3`);
  await Promise.all(names.map((name) => cp(fixture, join(folder, name))));
}

test('a remote plays and downloads nothing, and no barrier waits', (t) =>
  withRoom(t, browser, { fill: tones({ ...SONGS, 'Echo Rag': 60, 'Foxtrot': 60 }), names: ['Ada'] }, async ([ada], _, joinPhone) => {
    const ben = await joinPhone('Ben');
    await ada.openTab('Queue');
    await ada.waitForStoredTracks(3);
    await ada.openTab('Now');
    await ada.press('Settings');
    await ada.page.getByRole('switch').click();
    await ada.waitForStatus('remote only');
    await ada.page.keyboard.press('Escape');
    await ada.waitFor('the sheet to close', () => document.querySelector('#settings-sheet').hidden);
    await ben.waitForListener('Ada.* remote');
    let downloadCount = 0;
    ada.page.on('request', (request) => (downloadCount += Number(request.url().includes('/file/'))));
    await ada.evaluate(() => {
      const audio = document.querySelector('audio');
      audio.playCount = 0;
      audio.addEventListener('play', () => (audio.playCount += 1));
    });
    await ben.evaluate(() => {
      const status = document.querySelector('[role=status]');
      globalThis.statusTexts = [];
      new MutationObserver(() => globalThis.statusTexts.push(status.textContent)).observe(status, { childList: true, characterData: true, subtree: true });
    });
    await ada.press('Play');
    await ben.waitForPlayback();
    await ada.waitForPlayButton('Pause');
    // Advances to tracks that a listener would have to download.
    for (const title of ['Beta Waltz', 'Delta Blues', 'Echo Rag']) {
      await ada.press('Next');
      await ben.waitForTitle(title);
      await ben.waitForPlayback();
    }
    await ada.waitForSilence();
    assert.equal(await ada.evaluate(() => document.querySelector('audio').playCount), 0);
    assert.equal(downloadCount, 0);
    assert.deepEqual((await ben.evaluate(() => globalThis.statusTexts)).filter((text) => text.includes('waiting for others (')), []);
    await ada.press('Settings');
    await ada.page.getByRole('switch').click();
    await ada.page.keyboard.press('Escape');
    await ada.waitForPlayback();
  }));

test('Leave shows the join view, and the code pairs the phone again', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada'] }, async ([ada]) => {
    await ada.press('Play');
    await ada.waitForPlayback();
    await ada.press('Settings');
    await ada.press('Leave');
    await ada.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
    await ada.waitForSilence();
    await ada.waitFor('the remembered name', () => document.querySelector('#join-name').value === 'Ada');
    // The server held playback at its position while no listener was connected.
    await ada.join('Ada');
    await ada.waitForPlayback();
  }));

test('Invite shows the QR code, the address and the pairing code', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada'] }, async ([ada], server) => {
    await ada.press('Invite');
    await ada.waitFor('the QR code', () => {
      const { naturalWidth, src } = document.querySelector('#invite-qr');
      return naturalWidth > 50 && new URL(src).pathname === '/qr';
    });
    await ada.waitFor('the pairing code', (code) => document.querySelector('#invite-code').textContent === code, PAIRING_CODE);
    assert.equal(await ada.evaluate(() => document.querySelector('#invite-address').textContent), new URL(server.url()).host);
    await ada.press('Close');
    await ada.waitFor('the sheet to close', () => document.querySelector('#invite-sheet').hidden);
  }));

test('arrow keys move between tabs; markup in a title stays text', (t) =>
  withRoom(t, browser, { fill: fillWithMarkupTitle, names: ['Ada'] }, async ([ada]) => {
    await ada.page.getByRole('tab', { name: 'Now' }).focus();
    await ada.page.keyboard.press('ArrowRight');
    await ada.waitFor('the queue panel', () => document.activeElement.id === 'tab-queue' && !document.querySelector('#panel-queue').hidden);
    await ada.waitFor('the title as text', () =>
      [...document.querySelectorAll('.title')].some((title) => title.textContent.includes('<img src=x onerror=alert(1)>')),
    );
    assert.equal(await ada.evaluate(() => document.querySelectorAll('img[src=x]').length), 0);
    assert.deepEqual(await ada.evaluate(() => [...document.querySelectorAll('.tabs [role=tab]')].map((tab) => tab.ariaSelected)), ['false', 'true']);
  }));

test('a long queue renders few rows, scrolls to its end and filters', (t) =>
  withRoom(t, browser, { fill: fillWithManyTracks, names: ['Ada'], flags: ['--keep-duplicates'] }, async ([ada]) => {
    await ada.openTab('Queue');
    await ada.waitFor('all tracks in the queue', () => document.querySelector('#queue-count').textContent === '1,500 tracks');
    assert.ok((await ada.evaluate(() => document.querySelectorAll('.row').length)) < 60);
    await ada.page.locator('#queue-scroller').hover();
    await ada.page.mouse.wheel(0, 1_000_000);
    await ada.waitFor('the last track', () => [...document.querySelectorAll('.row:not([hidden]) .title')].some((title) => title.textContent === 'Song 1500'));
    assert.ok((await ada.evaluate(() => document.querySelectorAll('.row').length)) < 60);
    await ada.page.getByRole('searchbox', { name: 'Filter' }).fill('SONG 0777');
    await ada.waitFor('the filtered queue', () => document.querySelector('#queue-count').textContent === '1 track');
    assert.deepEqual(await ada.queueTitles(), ['Song 0777']);
    await ada.press('Play Song 0777 next');
    await ada.page.getByRole('searchbox', { name: 'Filter' }).fill('');
    await ada.waitForNextUp('Song 0777');
  }));
