// Uploads from phones, on an insecure origin: progress, the pick that follows, lost connections, reloads and errors.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openCuttableProxy } from '../support/cuttable-proxy.mjs';
import { openBrowser, openPhone, phoneFromPage, waitForSameTrackStart } from '../support/phones.mjs';
import { DEMO_MUSIC } from '../support/server.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tone } from '../support/tones.mjs';

/** @typedef {import('../support/phones.mjs').Phone} Phone */

/** @type {import('playwright-core').Browser} */
let browser;
/** The folder of the files that the phones upload. @type {string} */
let folder;
before(async () => {
  browser = await openBrowser();
  folder = await mkdtemp(join(tmpdir(), 'lockstep-uploads-'));
});
after(async () => {
  await browser.close();
  await rm(folder, { recursive: true, force: true });
});

/** Writes a file and returns its path. */
async function fileOf(/** @type {string} */ name, /** @type {Buffer} */ content) {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

/** A WAV file of about 10 MB that is distinct from others. */
function longFile(/** @type {string} */ name) {
  const wav = tone(60, { rate: 44_100, channels: 2 });
  // Faint noise, so that no other file has the same bytes.
  randomBytes(4_096).forEach((value, i) => (wav[44 + 2 * i] = value));
  return fileOf(name, wav);
}

const choose = (/** @type {Phone} */ phone, /** @type {string[]} */ paths) => phone.page.locator('#upload-files').setInputFiles(paths);

const waitForRow = (/** @type {Phone} */ phone, /** @type {string} */ pattern) =>
  phone.waitFor(`an upload that matches ${pattern}`, (source) =>
    [...document.querySelectorAll('#upload-list .upload')].some((row) => new RegExp(source).test(row.innerText.replace(/\s+/g, ' '))), pattern);

/** Waits until no upload is under way. A track without a title in its tags keeps its row for a while. */
const waitForNoRow = (/** @type {Phone} */ phone) =>
  phone.waitFor('no upload', () => [...document.querySelectorAll('#upload-list .upload')].every((row) => row.classList.contains('untitled')));

/** Lets the page send one slice of an upload at most every `ms`, so that a test can act in the middle. */
function slowSlices(/** @type {Phone} */ phone, ms = 400) {
  return phone.page.route('**/uploads/*', async (route) => {
    if (route.request().method() === 'PATCH') await new Promise((resolve) => setTimeout(resolve, ms));
    await route.continue().catch(() => {});
  });
}

/** Returns a list that grows by the offset of each slice that the phone sends. */
function sentOffsets(/** @type {Phone} */ phone) {
  const offsets = /** @type {number[]} */ ([]);
  phone.page.on('request', (request) => {
    if (request.method() === 'PATCH') offsets.push(Number(request.headers()['upload-offset']));
  });
  return offsets;
}

/** Returns a list that grows by the id of each track that the phone downloads. */
function downloadsOf(/** @type {Phone} */ phone) {
  const paths = /** @type {string[]} */ ([]);
  phone.page.on('request', (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.startsWith('/file/')) paths.push(pathname.slice('/file/'.length));
  });
  return paths;
}

const uploadedTracks = (/** @type {Phone} */ phone) =>
  phone.evaluate(async () => (await (await fetch('/index')).json()).filter(({ uploadedBy }) => uploadedBy));

test('two phones play what one of them uploads', (t) =>
  withRoom(t, browser, { names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    await Promise.all([ada, ben].map((phone) => phone.waitForStoredTracks(3)));
    await Promise.all([ada, ben].map((phone) => phone.openTab('Queue')));
    const downloads = downloadsOf(ada);
    const text = await fileOf('Shopping List.mp3', Buffer.from('milk, bread and butter\n'.repeat(400)));
    const flac = await fileOf('Brought Along.flac', await readFile(join(DEMO_MUSIC, 'Nursery Waltz.flac')));
    const mp3 = await fileOf('Second One.mp3', await readFile(join(DEMO_MUSIC, 'Porch Swing.mp3')));
    await choose(ada, [flac, mp3, text]);
    await waitForRow(ada, 'Shopping List.mp3 contains no music');
    await ada.waitFor('two uploaded tracks', async () => (await (await fetch('/index')).json()).filter(({ uploadedBy }) => uploadedBy).length === 2);
    await ada.press('Dismiss Shopping List.mp3');
    await waitForNoRow(ada);
    const uploaded = await uploadedTracks(ada);
    assert.equal(uploaded.length, 2);
    await Promise.all([ada, ben].map((phone) => phone.waitFor('two picks', () => document.querySelectorAll('#panel-queue .row[data-place=pick]:not([hidden])').length === 2)));
    const [first] = await ada.picks();
    await ada.press('Next');
    const title = first.replace(/ \(Ada\)$/, '');
    await Promise.all([ada, ben].map((phone) => phone.waitForTitle(title)));
    await Promise.all([ada, ben].map((phone) => phone.waitForPlayback()));
    await waitForSameTrackStart([ada, ben]);
    await Promise.all([ada, ben].map((phone) => phone.waitForStoredTracks(5)));
    assert.deepEqual(downloads.filter((id) => uploaded.some(({ trackId }) => trackId === id)), [], 'downloads of what was uploaded');
  }));

test('an upload continues after a cut connection, and others see it', (t) =>
  withRoom(t, browser, { names: ['Ben'] }, async ([ben], server) => {
    const proxy = await openCuttableProxy(server.url());
    t.after(proxy.close);
    const ada = await openPhone(browser, proxy.url);
    t.after(ada.close);
    await ada.join('Ada');
    await Promise.all([ada, ben].map((phone) => phone.openTab('Queue')));
    await slowSlices(ada);
    const offsets = sentOffsets(ada);
    await choose(ada, [await longFile('Long Road.wav')]);
    await waitForRow(ada, 'Long Road.wav [1-9]\\d? %');
    await ben.waitFor('the upload of Ada', () => /^Ada is uploading Long Road, \d+ %$/.test(document.querySelector('#room-uploads li')?.textContent ?? ''));
    proxy.cut();
    await waitForRow(ada, 'waiting for the server');
    proxy.restore();
    await ben.waitForPicks(['Long Road (Ada)']);
    await waitForNoRow(ada);
    await ben.waitFor('no upload of others', () => document.querySelector('#room-uploads').hidden);
    assert.equal(offsets.filter((offset) => offset === 0).length, 1, `offsets ${offsets}`);
    assert.deepEqual(ada.errors, []);
  }));

test('an upload continues after the server was killed', (t) =>
  withRoom(t, browser, { names: ['Ada'] }, async ([ada], server) => {
    await ada.openTab('Queue');
    await slowSlices(ada);
    const offsets = sentOffsets(ada);
    await choose(ada, [await longFile('After The Crash.wav')]);
    await waitForRow(ada, 'After The Crash.wav [1-9]\\d? %');
    await server.kill();
    await waitForRow(ada, 'waiting for the server');
    await server.start();
    await ada.waitForPicks(['After The Crash (Ada)']);
    await waitForNoRow(ada);
    assert.equal(offsets.filter((offset) => offset === 0).length, 1, `offsets ${offsets}`);
  }));

test('an upload continues after a reload', (t) =>
  withRoom(t, browser, { names: ['Ada'] }, async ([ada]) => {
    await ada.openTab('Queue');
    await slowSlices(ada);
    const offsets = sentOffsets(ada);
    await choose(ada, [await longFile('Once More.wav')]);
    await waitForRow(ada, 'Once More.wav [1-9]\\d? %');
    await ada.page.reload();
    await ada.openTab('Queue');
    await ada.waitForPicks(['Once More (Ada)']);
    await waitForNoRow(ada);
    assert.equal(offsets.filter((offset) => offset === 0).length, 1, `offsets ${offsets}`);
  }));

test('an upload without its file asks for the file by name', (t) =>
  withRoom(t, browser, {
    names: ['Ada'],
    // As in a browser that cannot store files.
    initScript: () => {
      const put = IDBObjectStore.prototype.put;
      IDBObjectStore.prototype.put = function (value, ...key) {
        if (value?.file instanceof File) throw new DOMException('cannot store a file', 'DataCloneError');
        return put.call(this, value, ...key);
      };
    },
  }, async ([ada]) => {
    await ada.openTab('Queue');
    await slowSlices(ada);
    const offsets = sentOffsets(ada);
    const path = await longFile('Lost File.wav');
    await choose(ada, [path]);
    await waitForRow(ada, 'Lost File.wav [1-9]\\d? %');
    await ada.page.reload();
    await ada.openTab('Queue');
    const chooser = ada.page.waitForEvent('filechooser');
    await ada.press('Choose Lost File.wav again');
    await (await chooser).setFiles([path]);
    await ada.waitForPicks(['Lost File (Ada)']);
    await waitForNoRow(ada);
    assert.equal(offsets.filter((offset) => offset === 0).length, 1, `offsets ${offsets}`);
  }));

test('a cancelled upload leaves nothing, and an uploaded track can be removed', (t) =>
  withRoom(t, browser, { names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    await Promise.all([ada, ben].map((phone) => phone.openTab('Queue')));
    await slowSlices(ada);
    await choose(ada, [await longFile('Never Mind.wav')]);
    await waitForRow(ada, 'Never Mind.wav [1-9]\\d? %');
    await ada.press('Cancel Never Mind.wav');
    await waitForNoRow(ada);
    await ben.waitFor('no upload of others', () => document.querySelector('#room-uploads').hidden);
    await choose(ada, [await fileOf('Short Visit.wav', tone(5, { hz: 333 }))]);
    await ben.waitForPicks(['Short Visit (Ada)']);
    await waitForNoRow(ada);
    await ben.press('More for Short Visit');
    // While nobody is host, everyone may remove uploads.
    assert.equal(await ben.page.locator('#track-menu [data-menu="remove-upload"]').isVisible(), true);
    await ben.page.keyboard.press('Escape');
    await ada.press('More for Short Visit');
    await ada.press('Remove Short Visit from library');
    await Promise.all([ada, ben].map((phone) => phone.waitForPicks([])));
    await ben.waitFor('an index without the track', async () => !(await (await fetch('/index')).json()).some(({ uploadedBy }) => uploadedBy));
  }));

test('a file without a title gets the title that is typed before and after', (t) =>
  withRoom(t, browser, { names: ['Ada', 'Ben'] }, async ([ada, ben], server) => {
    await Promise.all([ada, ben].map((phone) => phone.openTab('Queue')));
    await slowSlices(ada);
    const tagged = await fileOf('Tagged.flac', await readFile(join(DEMO_MUSIC, 'Nursery Waltz.flac')));
    await choose(ada, [tagged, await longFile('AUD-0001.wav')]);
    await ada.page.getByLabel('Title of AUD-0001.wav').fill('Lullaby');
    await ada.page.keyboard.press('Enter');
    assert.equal(await ada.page.getByLabel('Title of Tagged.flac').isVisible(), false);
    await ben.waitForPicks(['Nursery Waltz (Ada)', 'Lullaby (Ada)']);
    await ada.waitFor('no row', () => document.querySelectorAll('#upload-list .upload').length === 0);

    await choose(ada, [await fileOf('AUD-0002.wav', tone(5, { hz: 444 }))]);
    await waitForRow(ada, 'AUD-0002.wav Added. It has no title of its own.');
    await ada.page.getByLabel('Title of AUD-0002.wav').fill('Good night');
    await ada.page.keyboard.press('Enter');
    const picks = ['Nursery Waltz (Ada)', 'Lullaby (Ada)', 'Good night (Ada)'];
    await ben.waitForPicks(picks);
    await ada.waitFor('no row', () => document.querySelectorAll('#upload-list .upload').length === 0);
    await server.kill();
    await server.start();
    await ada.page.reload();
    await ada.openTab('Queue');
    await ada.waitForPicks(picks);
  }));

test('files can be added in a low window', (t) =>
  withRoom(t, browser, { names: ['Ada'] }, async ([ada]) => {
    await ada.page.setViewportSize({ width: 740, height: 360 });
    await ada.openTab('Queue');
    const chooser = ada.page.waitForEvent('filechooser');
    await ada.press('Add from this phone');
    assert.equal((await chooser).isMultiple(), true);
  }));

test('a search without a result offers to add the song', (t) =>
  withRoom(t, browser, { names: ['Ada'] }, async ([ada]) => {
    await ada.openTab('Queue');
    await ada.page.locator('#filter').fill('Nonexistent');
    const chooser = ada.page.waitForEvent('filechooser');
    await ada.press('Add it from this phone');
    assert.equal((await chooser).isMultiple(), true);
  }));

test('a server without uploads says so once and hides the button', (t) =>
  withRoom(t, browser, { names: ['Ada'], flags: ['--no-uploads'] }, async ([ada]) => {
    await ada.openTab('Queue');
    await choose(ada, [await fileOf('Not Today.wav', tone(2))]);
    await waitForRow(ada, 'This server does not accept uploads');
    assert.equal(await ada.page.locator('#upload-add').isVisible(), false);
  }));

test('files that are dropped on the page are uploaded', (t) =>
  withRoom(t, browser, { names: ['Ada'] }, async ([ada]) => {
    await ada.openTab('Queue');
    const bytes = [...tone(3, { hz: 290, rate: 8_000 })];
    await ada.evaluate((content) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([new Uint8Array(content)], 'Dropped.wav'));
      for (const type of ['dragover', 'drop']) document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
    }, bytes);
    await ada.waitForPicks(['Dropped (Ada)']);
    await waitForNoRow(ada);
  }));

test('files that are shared with the secure page are uploaded', (t) =>
  withRoom(t, browser, { names: ['Ada'], host: '127.0.0.1' }, async ([ada], server) => {
    await ada.waitFor('the service worker', async () => (await navigator.serviceWorker.ready).active?.state === 'activated');
    // A form outside of the page, as the system's share sheet: the page's own policy allows no forms.
    const sheet = await ada.page.context().newPage();
    await sheet.setContent(`<form method="POST" action="${server.url('127.0.0.1')}share" enctype="multipart/form-data"><input type="file" name="files"><button>Share</button></form>`);
    await sheet.locator('input').setInputFiles({ name: 'Größer geteilt.wav', mimeType: 'audio/wav', buffer: tone(3, { hz: 270, rate: 8_000 }) });
    await sheet.locator('button').click();
    const opened = await phoneFromPage(sheet);
    await opened.waitFor('the page after the share', () => location.search === '' && document.body.dataset.view === 'room');
    await opened.openTab('Queue');
    await opened.waitForPicks(['Größer geteilt (Ada)']);
    assert.deepEqual(await opened.evaluate(async () => (await caches.keys()).filter((name) => name.includes('shared'))), []);
    assert.deepEqual(opened.errors, []);
  }));
