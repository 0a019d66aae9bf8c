// Formats that one phone cannot play and others can, and files that no phone can decode.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser, openPhone, screenshotOnFailure } from '../support/phones.mjs';
import { FIXTURES, startServer } from '../support/server.mjs';
import { tones } from '../support/tones.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

/** Runs in the page: simulates a browser without WAV support. */
function disableWav() {
  const { canPlayType } = HTMLMediaElement.prototype;
  HTMLMediaElement.prototype.canPlayType = function (mime) {
    return mime.includes('wav') ? '' : canPlayType.call(this, mime);
  };
}

test('a phone reports an unsupported format, and other phones play', async (t) => {
  const server = await startServer({
    fill: async (folder) => {
      await tones({ 'A Tone': 40 })(folder);
      await writeFile(join(folder, 'B.flac'), await readFile(join(FIXTURES, 'fixture.flac')));
    },
  });
  t.after(server.remove);
  const [ada, ben] = [await openPhone(browser, server.url()), await openPhone(browser, server.url())];
  t.after(() => Promise.all([ada.close(), ben.close()]));
  await screenshotOnFailure(t.name, () => [ada, ben], async () => {
    let requestCount = 0;
    ada.page.on('request', (request) => (requestCount += Number(request.url().includes('/file/'))));
    await ada.page.addInitScript(disableWav);
    await ada.page.reload();
    await ada.join('Ada');
    await ben.join('Ben');
    await ben.waitForStoredTracks(2);
    await ben.press('Play');
    await ben.waitForPlayback();
    await ada.waitForStatus("this phone can't play WAV; no sound until the next track");
    await ben.waitForListener("Ada.* can't play this");
    await ada.waitForSilence();
    assert.equal(requestCount, 1, 'exactly one track, the playable one, must be downloaded');
    await ada.press('Next');
    await ada.waitFor('playback of the next track', () => document.querySelector('audio').currentTime > 0.1);
  });
});

test('a file that the decoder refuses is reported as unplayable', async (t) => {
  const server = await startServer({
    fill: async (folder) => {
      await tones({ 'A Tone': 40 })(folder);
      // The media type is playable, but the file declares AC-3, which Chromium 156 cannot decode.
      const file = await readFile(join(FIXTURES, 'fixture.m4a'));
      file.writeUInt8(0xa5, file.indexOf(Buffer.from([0x40, 0x15]), file.indexOf('esds')));
      await writeFile(join(folder, 'B.m4a'), file);
    },
  });
  t.after(server.remove);
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.join('Ada');
    const mediaTypes = await ada.evaluate(async () => (await (await fetch('/index')).json()).map(({ mime }) => mime));
    assert.ok(mediaTypes.includes('audio/mp4'), `media types: ${mediaTypes}`);
    await ada.waitForStoredTracks(2);
    /** @type {object[]} */
    const acks = [];
    ada.page.on('request', (request) => {
      if (request.url().endsWith('/ack-download')) acks.push(request.postDataJSON());
    });
    await ada.press('Play');
    await ada.waitForPlayback();
    await ada.press('Next');
    await ada.waitForStatus("this phone can't play M4A; no sound until the next track");
    await ada.waitForListener("Ada.* can't play this");
    assert.deepEqual(acks.filter(({ playable }) => !playable).length, 1);
    // The track is short, and the queue advances at its end although no phone played it.
    await ada.waitForTitle('A Tone');
    await ada.waitForPlayback();
    assert.deepEqual(ada.errors, []);
  });
});
