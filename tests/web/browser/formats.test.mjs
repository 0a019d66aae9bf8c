// Music that this phone cannot play, and others can.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { journey, openBrowser, openPhone } from '../support/phones.mjs';
import { FIXTURES, startServer } from '../support/server.mjs';
import { tones } from '../support/tones.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

/** In the page of a phone whose browser knows no WAV. */
function deafToWav() {
  const { canPlayType } = HTMLMediaElement.prototype;
  HTMLMediaElement.prototype.canPlayType = function (mime) {
    return mime.includes('wav') ? '' : canPlayType.call(this, mime);
  };
}

test('a phone that does not know a format says so in one line and sits it out, and the others play', async (t) => {
  const server = await startServer({
    fill: async (folder) => {
      await tones({ 'A Tone': 40 })(folder);
      await writeFile(join(folder, 'B.flac'), await readFile(join(FIXTURES, 'fixture.flac')));
    },
  });
  t.after(server.end);
  const [ada, ben] = [await openPhone(browser, server.url()), await openPhone(browser, server.url())];
  t.after(() => Promise.all([ada.close(), ben.close()]));
  await journey(t.name, () => [ada, ben], async () => {
    let fetched = 0;
    ada.page.on('request', (request) => (fetched += Number(request.url().includes('/file/'))));
    await ada.page.addInitScript(deafToWav);
    await ada.page.reload();
    await ada.join('Ada');
    await ben.join('Ben');
    await ben.holds(2);
    await ben.press('Play');
    await ben.sounds();
    await ada.status("this phone can't play WAV; it sits this one out");
    await ben.seesListener("Ada.* can't play this");
    await ada.silent();
    assert.equal(fetched, 1, 'what it cannot play it does not fetch');
    await ada.press('Next');
    await ada.until('the next song, which it can', () => document.querySelector('audio').currentTime > 0.1);
  });
});

test('a file that only the decoder refuses is sat out as well, and the room goes on', async (t) => {
  const server = await startServer({
    fill: async (folder) => {
      await tones({ 'A Tone': 40 })(folder);
      // By its type it might be played; but what is in it is said to be AC-3, which Chromium has no decoder for.
      const song = await readFile(join(FIXTURES, 'fixture.m4a'));
      song.writeUInt8(0xa5, song.indexOf(Buffer.from([0x40, 0x15]), song.indexOf('esds')));
      await writeFile(join(folder, 'B.m4a'), song);
    },
  });
  t.after(server.end);
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await journey(t.name, () => [ada], async () => {
    await ada.join('Ada');
    const tracks = await ada.read(async () => (await (await fetch('/index')).json()).map(({ mime }) => mime));
    assert.ok(tracks.includes('audio/mp4'), `${tracks}`);
    await ada.holds(2);
    /** @type {object[]} */
    const acks = [];
    ada.page.on('request', (request) => {
      if (request.url().endsWith('/ack-download')) acks.push(request.postDataJSON());
    });
    await ada.press('Play');
    await ada.sounds();
    await ada.press('Next');
    await ada.status("this phone can't play M4A; it sits this one out");
    await ada.seesListener("Ada.* can't play this");
    assert.deepEqual(acks.filter(({ playable }) => !playable).length, 1);
    // It is short, and its end is the end of it even where nobody heard it.
    await ada.seesTitle('A Tone');
    await ada.sounds();
    assert.deepEqual(ada.errors, []);
  });
});
