// Uploads in Firefox and WebKit, on an insecure page: a file that the person chooses becomes a pick, with the title that was typed.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startServer } from '../support/server.mjs';
import { tone, tones } from '../support/tones.mjs';
import { openFirefox } from './firefox.mjs';
import { openSoundDevice } from './virtual-sound-device.mjs';
import { openWebKit } from './webkit.mjs';
import { webDriverPhone } from './webdriver-phone.mjs';

const ENGINES = [
  { name: 'Firefox', open: openFirefox },
  { name: 'WebKit', open: openWebKit },
];

/** @type {Awaited<ReturnType<typeof openSoundDevice>>} */
let soundDevice;
/** The folder of the files that the phones upload. @type {string} */
let folder;
before(async () => {
  soundDevice = await openSoundDevice();
  folder = await mkdtemp(join(tmpdir(), 'lockstep-uploads-'));
});
after(async () => {
  await soundDevice.end();
  await rm(folder, { recursive: true, force: true });
});

for (const { name, open } of ENGINES) {
  test(`${name}: a chosen file becomes a pick, and what is no music is refused`, async (t) => {
    const server = await startServer({ fill: tones({ 'Alpha Dance': 90, 'Beta Waltz': 90 }) });
    t.after(server.remove);
    const phone = webDriverPhone(await open(server.asProxy(), soundDevice.env));
    t.after(phone.close);
    await phone.goto(server.url());
    await phone.join('Ada');
    await phone.press('Queue');
    const text = join(folder, 'List.mp3');
    await writeFile(text, 'milk, bread and butter\n'.repeat(400));
    await phone.chooseFile('upload-files', text);
    await phone.waitFor('the refusal', () => document.querySelector('#upload-list')?.textContent.includes('List.mp3 contains no music'));
    await phone.press('Dismiss List.mp3');

    const song = join(folder, 'AUD-0001.wav');
    // Several slices.
    await writeFile(song, tone(10, { hz: name.length * 50, rate: 44_100 }));
    await phone.chooseFile('upload-files', song);
    await phone.waitFor('the pick', () => document.querySelector('.row[data-place=pick]:not([hidden]) .title')?.textContent === 'AUD 0001');
    // With the Enter key of WebDriver.
    await phone.fill('Title of AUD-0001.wav', 'Lullaby\uE007');
    await phone.waitFor('the title', () => document.querySelector('.row[data-place=pick]:not([hidden]) .title')?.textContent === 'Lullaby');
    const isListed = await phone.waitFor('no upload', () => document.querySelector('#upload-list')?.children.length === 0);
    assert.ok(isListed);
  });
}
