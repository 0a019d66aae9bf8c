// What has to be the same in other engines than Chromium: the main journey, each phone a browser of its own, at an
// address that is not secure, as a phone in the house has it; and where the music of a file begins.

import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { DEMO_MUSIC, copies, startServer } from '../support/server.mjs';
import { phoneIn } from './browser.mjs';
import { openFirefox } from './firefox.mjs';
import { openLoudspeaker } from './loudspeaker.mjs';
import { openWebKit } from './webkit.mjs';

const ENGINES = [
  { name: 'Firefox', open: openFirefox },
  { name: 'WebKit', open: openWebKit },
];

/** Its encoder put 25 ms before the music, which begins with a note at full force. */
const PADDED = new URL('../../../audio/Basement Lamp.mp3', import.meta.url);

/** Far more than phones in step are apart, far less than one that came in somewhere else would be. */
const ONE_PLACE_SEC = 0.3;

/** A phone that came in wrong, because the machine did something else, is given the time to notice. */
const CORRECTED_MS = 20_000;

/** @type {Awaited<ReturnType<typeof openLoudspeaker>>} */
let loudspeaker;
before(async () => (loudspeaker = await openLoudspeaker()));
after(() => loudspeaker.end());

for (const { name, open } of ENGINES) {
  test(`in ${name}: join, play, a late joiner who comes in mid-song, pause, play and next`, async () => {
    // What drives the browser may fall silent, which says nothing of the page: then it is begun anew, once.
    const isDone = await journey(name, open);
    if (!isDone) assert.ok(await journey(name, open), 'what drives the browser has fallen silent twice');
  });
}

/**
 * Whether it came to its end; it did not if what drives a browser has fallen silent.
 * @param {string} name
 * @param {typeof openFirefox} open
 */
async function journey(name, open) {
  /** @type {ReturnType<typeof phoneIn>[]} */
  const phones = [];
  /** @type {import('./browser.mjs').Driver[]} */
  const drivers = [];
  const server = await startServer({ fill: copies(DEMO_MUSIC) });
  /** @param {string} person */
  async function enter(person) {
    const driver = await open(server.asProxy(), loudspeaker.env);
    drivers.push(driver);
    const phone = phoneIn(driver);
    phones.push(phone);
    await phone.goto(server.url());
    await phone.join(person);
    return phone;
  }
  /** @param {(phone: ReturnType<typeof phoneIn>) => Promise<any>} step */
  const onBoth = (step) => Promise.all(phones.map(step));

  try {
    const ada = await enter('Ada');
    assert.equal(await ada.read(() => isSecureContext), false);
    await ada.press('Play');
    await ada.sounds();
    await ada.status('in step');

    const ben = await enter('Ben');
    await ben.sounds();
    await ben.status('in step');
    await ada.sounds();
    const title = await ada.title();
    await ben.seesTitle(title);
    await atOnePlace(onBoth);

    await ben.press('Pause');
    await onBoth((phone) => phone.silent());
    await onBoth((phone) => phone.status('paused'));

    await ada.press('Play');
    await onBoth((phone) => phone.sounds());

    await ben.press('Next');
    await onBoth((phone) => phone.until('another title', (old) => document.querySelector('#now-title').textContent !== old, title));
    await onBoth((phone) => phone.sounds());
    assert.equal(await ada.title(), await ben.title());
    await ada.shot(`now-${name}`);
    return true;
  } catch (error) {
    if (drivers.some((driver) => driver.isSilent?.())) return false;
    await Promise.all(phones.map((phone, i) => phone.shot(`failed-${name}-${i + 1}`).catch(() => {})));
    throw error;
  } finally {
    await Promise.all(phones.map((phone) => phone.close()));
    await server.end();
  }
}

// Chromium leaves out what the encoder says that it put there, and Firefox most of it; WebKit plays all of it.
test('in WebKit: an MP3 begins with its first note, whatever its encoder put before it', async (t) => {
  const server = await startServer({ fill: (folder) => copyFile(PADDED, `${folder}/padded.mp3`) });
  t.after(server.end);
  const phone = phoneIn(await openWebKit(server.asProxy(), loudspeaker.env));
  t.after(phone.close);
  await phone.goto(server.url());
  await phone.join('Ada');
  await phone.read(() => {
    const listen = async () => {
      const [row] = await (await fetch('/index')).json();
      const bytes = await (await fetch(`/file/${row.trackId}`)).arrayBuffer();
      const { musicIn } = await import('/js/player/output.js');
      const buffer = await new OfflineAudioContext(1, 1, 48_000).decodeAudioData(bytes);
      const samples = buffer.getChannelData(0).subarray(0, 48_000);
      const loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
      const { leadSec } = musicIn(buffer.duration, { durationSec: row.duration, padding: row.padding });
      return samples.findIndex((sample) => Math.abs(sample) > loudest / 2) / 48_000 - leadSec;
    };
    const { dataset } = document.body;
    listen().then((sec) => (dataset.firstNote = String(sec)), (error) => (dataset.firstNote = String(error)));
  });
  const sec = await phone.until('the first note', () => document.body.dataset.firstNote);
  assert.ok(Math.abs(Number(sec)) < 0.005, `${sec} s after the beginning`);
});

/** @param {(step: (phone: ReturnType<typeof phoneIn>) => Promise<number>) => Promise<number[]>} onBoth */
async function atOnePlace(onBoth) {
  const end = Date.now() + CORRECTED_MS;
  for (;;) {
    const [a, b] = await onBoth((phone) => phone.line());
    if (Math.abs(a - b) < ONE_PLACE_SEC) return;
    assert.ok(Date.now() < end, `${a - b} s apart`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
