// The main journey in other engines than Chromium, each phone a browser of its own, at an address
// that is not secure, as a phone in the house has it.

import assert from 'node:assert/strict';
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

/** Far more than phones in step are apart, far less than one that came in somewhere else would be. */
const ONE_PLACE_SEC = 0.3;

/** A phone that came in wrong, because the machine did something else, is given the time to notice. */
const CORRECTED_MS = 20_000;

/** @type {Awaited<ReturnType<typeof openLoudspeaker>>} */
let loudspeaker;
before(async () => (loudspeaker = await openLoudspeaker()));
after(() => loudspeaker.end());

for (const { name, open } of ENGINES) {
  test(`in ${name}: join, play, a late joiner who comes in mid-song, pause, play and next`, async (t) => {
    /** @type {ReturnType<typeof phoneIn>[]} */
    const phones = [];
    const server = await startServer({ fill: copies(DEMO_MUSIC) });
    t.after(async () => {
      await Promise.all(phones.map((phone) => phone.close()));
      await server.end();
    });
    /** @param {string} person */
    async function enter(person) {
      const phone = phoneIn(await open(server.asProxy(), loudspeaker.env));
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
    } catch (error) {
      await Promise.all(phones.map((phone, i) => phone.shot(`failed-${name}-${i + 1}`).catch(() => {})));
      throw error;
    }
  });
}

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
