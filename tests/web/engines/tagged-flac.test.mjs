// Firefox ESR 153 refuses FLAC behind an ID3v2 tag; the page removes the tag (sound/file-header.js).

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { startServer } from '../support/server.mjs';
import { openFirefox } from './firefox.mjs';
import { openSoundDevice } from './virtual-sound-device.mjs';
import { webDriverPhone } from './webdriver-phone.mjs';

const FLAC = new URL('../../fixtures/fixture.flac', import.meta.url);

/** @type {Awaited<ReturnType<typeof openSoundDevice>>} */
let soundDevice;
before(async () => (soundDevice = await openSoundDevice()));
after(() => soundDevice.end());

test('Firefox: a FLAC file behind a tag is decoded', async (t) => {
  const tag = Buffer.concat([Buffer.from('ID3\x04\0\0\0\0\x02\x2c', 'latin1'), Buffer.alloc(300)]);
  const server = await startServer({ fill: async (folder) => writeFile(`${folder}/tagged.flac`, Buffer.concat([tag, await readFile(FLAC)])) });
  t.after(server.remove);
  const phone = webDriverPhone(await openFirefox(server.asProxy(), soundDevice.env));
  t.after(phone.close);
  await phone.goto(server.url());
  await phone.join('Ada');
  await phone.evaluate(() => {
    const measure = async () => {
      const [row] = await (await fetch('/index')).json();
      const blob = await (await fetch(`/file/${row.trackId}`)).blob();
      const { readHeader } = await import('/js/sound/file-header.js');
      const { music } = await readHeader(blob);
      const context = new OfflineAudioContext(1, 1, 48_000);
      const { duration } = await context.decodeAudioData(await music.arrayBuffer());
      const refused = await context.decodeAudioData(await blob.arrayBuffer()).then(() => false, () => true);
      document.body.dataset.measured = JSON.stringify({ duration, refused, indexedSec: row.duration });
    };
    measure().catch((error) => (document.body.dataset.measured = JSON.stringify({ error: String(error) })));
  });
  const { error, duration, refused, indexedSec } = JSON.parse(await phone.waitFor('the decoded length', () => document.body.dataset.measured));
  assert.equal(error, undefined);
  assert.ok(Math.abs(duration - indexedSec) < 0.1, `${duration} s instead of ${indexedSec} s`);
  t.diagnostic(`with its tag the file is ${refused ? 'refused' : 'decoded'}`);
});
