// The page in a language that is read from right to left: everything is mirrored, including movements and keys.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from '../support/phones.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tones } from '../support/tones.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const fill = tones({ 'Alpha Dance': 60, 'Beta Waltz': 60, 'Gamma March': 60, 'Delta Blues': 60 });

function setDirection() {
  document.addEventListener('DOMContentLoaded', () => (document.documentElement.dir = 'rtl'));
}

/** @param {import('../support/phones.mjs').Phone} phone @param {{x: number, y: number}} from @param {number} dxPx */
async function drag(phone, { x, y }, dxPx) {
  const touch = (/** @type {string} */ type, /** @type {object[]} */ touchPoints) => phone.cdp.send('Input.dispatchTouchEvent', { type, touchPoints });
  await touch('touchStart', [{ x, y }]);
  for (const fraction of [0.25, 0.5, 0.75, 1]) await touch('touchMove', [{ x: x + dxPx * fraction, y }]);
  return () => touch('touchEnd', []);
}

test('the seek bar runs from right to left for fingers and keys', (t) =>
  withRoom(t, browser, { fill, names: ['Ada'], initScript: setDirection }, async ([ada]) => {
    await ada.waitForStoredTracks(2);
    const { x, y, width, height } = await ada.page.getByRole('slider', { name: 'Position' }).boundingBox();
    const lift = await drag(ada, { x: x + 0.9 * width, y: y + height / 2 }, -0.4 * width);
    await ada.waitFor('the time above the finger', (middleX) => {
      const { left, width } = document.querySelector('.dragging #position-thumb-time').getBoundingClientRect();
      return Math.abs(left + width / 2 - middleX) < 6;
    }, x + 0.5 * width);
    await lift();
    await ada.waitFor('position 30 s', () => Math.round(document.querySelector('audio').currentTime) === 30);
    await ada.page.getByRole('slider', { name: 'Position' }).focus();
    await ada.page.keyboard.press('ArrowLeft');
    await ada.waitFor('position 35 s', () => Math.round(document.querySelector('audio').currentTime) === 35);
    const [elapsedX, remainingX] = await ada.evaluate(() => ['elapsed', 'remaining'].map((id) => document.getElementById(id).getBoundingClientRect().right));
    assert.ok(elapsedX > remainingX, 'the elapsed time must be at the right');
    assert.equal(await ada.evaluate(() => getComputedStyle(document.querySelector('#position')).getPropertyValue('--end')), 'left');
  }));

test('a left swipe plays a track next, and a right swipe does not', (t) =>
  withRoom(t, browser, { fill, names: ['Ada'], initScript: setDirection }, async ([ada]) => {
    await ada.openTab('Queue');
    await ada.waitFor('four rows', () => document.querySelectorAll('.row:not([hidden])').length === 4);
    const [title, point] = await ada.evaluate(() => {
      const row = [...document.querySelectorAll('#queue-rows .row:not([hidden])')].at(-1);
      const { left, top, height } = row.getBoundingClientRect();
      return [row.querySelector('.title').textContent, { x: left + 200, y: top + height / 2 }];
    });
    await (await drag(ada, point, 160))();
    assert.equal(await ada.evaluate(() => document.querySelector('.row.swiped')), null);
    const lift = await drag(ada, point, -160);
    const shiftPx = await ada.waitFor('a swipe past the threshold', () => {
      const face = document.querySelector('.row.past-threshold .row-face');
      return face && Math.round(face.getBoundingClientRect().left);
    });
    assert.ok(shiftPx < -80, `the row is at ${shiftPx} px`);
    await lift();
    await ada.waitForNextUp(title);
  }));

test('views are mirrored, and nothing sticks out', (t) =>
  withRoom(t, browser, { fill, names: ['Ada'], initScript: setDirection }, async ([ada]) => {
    await ada.waitForStoredTracks(2);
    const faults = () =>
      ada.evaluate(() => {
        const isOutside = ({ left, right, width }) => width > 0 && (left < -1 || right > innerWidth + 1);
        return [...document.querySelectorAll('button, input, p, h2, .cover')].filter((element) => isOutside(element.getBoundingClientRect())).map(({ id, className }) => `${id} ${className}`);
      });
    for (const [width, height] of [[320, 568], [390, 844], [844, 390], [1280, 800]]) {
      await ada.page.setViewportSize({ width, height });
      for (const tab of /** @type {const} */ (['Queue', 'Now'])) {
        await ada.openTab(tab);
        await ada.waitFor('the end of the cover transition', () => !document.querySelector('.moving-copy'));
        assert.deepEqual(await faults(), [], `${tab} at ${width}×${height}`);
      }
      await ada.press('Settings');
      assert.deepEqual(await faults(), [], `Settings at ${width}×${height}`);
      await ada.page.keyboard.press('Escape');
    }
    const isMirrored = await ada.evaluate(() => {
      const leftOf = (/** @type {string} */ selector) => document.querySelector(selector).getBoundingClientRect().left;
      return leftOf('#tab-now') > leftOf('#tab-queue') && leftOf('.brand') > leftOf('#settings-button') && leftOf('#play') > leftOf('#next');
    });
    assert.ok(isMirrored);
    await ada.page.getByRole('tab', { name: 'Now' }).focus();
    await ada.page.keyboard.press('ArrowLeft');
    await ada.waitFor('the Queue tab', () => document.querySelector('#room-view').dataset.tab === 'queue');
    if (process.env.SCREENSHOTS) {
      await ada.page.setViewportSize({ width: 390, height: 780 });
      await ada.page.screenshot({ path: `${process.env.SCREENSHOTS}-queue.png` });
      await ada.openTab('Now');
      await ada.page.waitForTimeout(500);
      await ada.page.screenshot({ path: `${process.env.SCREENSHOTS}-now.png` });
      await ada.press('Settings');
      await ada.page.waitForTimeout(500);
      await ada.page.screenshot({ path: `${process.env.SCREENSHOTS}-settings.png` });
    }
  }));
