// The seek bar: arrow keys, drags and cancelled touches.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from '../support/phones.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tones } from '../support/tones.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const SONGS = { 'Alpha Dance': 60, 'Beta Waltz': 60, 'Gamma March': 60, 'Delta Blues': 60 };

test('arrow keys move the position; quick repeats send one seek', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada'] }, async ([ada]) => {
    await ada.waitForStoredTracks(2);
    let seekCount = 0;
    ada.page.on('request', (request) => (seekCount += Number(request.url().endsWith('/seek'))));
    const slider = ada.page.getByRole('slider', { name: 'Position' });
    await slider.focus();
    for (let i = 0; i < 3; i += 1) await ada.page.keyboard.press('ArrowRight');
    await ada.waitFor('position 15 s', () => document.querySelector('audio').currentTime === 15);
    await ada.page.keyboard.press('End');
    await ada.waitFor('the end of the track', () => document.querySelector('audio').currentTime >= 59);
    await ada.page.keyboard.press('Home');
    await ada.waitFor('position 0', () => document.querySelector('audio').currentTime === 0);
    assert.equal(seekCount, 3);
    assert.equal(await slider.getAttribute('aria-valuetext'), '0:00 of 1:00');
  }));

/** A finger on the seek bar, moved to fractions of the bar's width, and the seek requests it causes. @param {import('../support/phones.mjs').Phone} phone */
async function openFingerOnSeekBar(phone) {
  const { x, y, width, height } = await phone.page.getByRole('slider', { name: 'Position' }).boundingBox();
  /** @type {string[]} */
  const seekBodies = [];
  phone.page.on('request', (request) => {
    if (request.url().endsWith('/seek')) seekBodies.push(request.postData());
  });
  const touch = (/** @type {string} */ type, /** @type {object[]} */ touchPoints) => phone.cdp.send('Input.dispatchTouchEvent', { type, touchPoints });
  const touchPointsAt = (/** @type {number} */ fraction, upPx = 0) => [{ x: x + fraction * width, y: y + height / 2 - upPx }];
  return {
    seekBodies,
    press: (/** @type {number} */ fraction) => touch('touchStart', touchPointsAt(fraction)),
    moveTo: (/** @type {number} */ fraction, upPx = 0) => touch('touchMove', touchPointsAt(fraction, upPx)),
    lift: () => touch('touchEnd', []),
    cancel: () => touch('touchCancel', []),
  };
}

test('a drag shows the time and seeks once when it ends', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada'] }, async ([ada]) => {
    await ada.waitForStoredTracks(2);
    const finger = await openFingerOnSeekBar(ada);
    await finger.press(0.1);
    for (const fraction of [0.2, 0.3, 0.4, 0.5]) await finger.moveTo(fraction);
    await ada.waitFor('the time on the thumb', () => {
      const { left, width } = document.querySelector('#position-thumb-time').getBoundingClientRect();
      const bar = document.querySelector('#position').getBoundingClientRect();
      const offsetPx = left + width / 2 - bar.left - bar.width / 2;
      return document.querySelector('#position-frame.dragging #position-thumb-time')?.textContent === '0:30' && Math.abs(offsetPx) < 6;
    });
    assert.deepEqual(finger.seekBodies, []);
    await finger.lift();
    await ada.waitFor('the new position', () => Math.round(document.querySelector('audio').currentTime) === 30);
    assert.equal(finger.seekBodies.length, 1);
    assert.equal(await ada.evaluate(() => document.querySelector('#position-frame.dragging') === null), true);
  }));

test('a swipe that leaves the seek bar does not seek', (t) =>
  withRoom(t, browser, { fill: tones(SONGS), names: ['Ada'] }, async ([ada]) => {
    await ada.press('Play');
    await ada.waitForStatus('in step');
    await ada.evaluate(() => {
      globalThis.cancelCount = 0;
      document.addEventListener('pointercancel', () => (globalThis.cancelCount += 1));
    });
    const finger = await openFingerOnSeekBar(ada);
    await finger.press(0.8);
    await ada.waitFor('the start of the drag', () => document.querySelector('#position-frame.dragging'));
    await finger.cancel();
    await ada.waitFor('the end of the drag', () => globalThis.cancelCount === 1 && !document.querySelector('#position-frame.dragging') && Number(document.querySelector('#position').value) < 40);
    // An upward swipe from the bar, as the gesture to the home screen.
    await finger.press(0.8);
    for (const upPx of [20, 60, 120, 200]) await finger.moveTo(0.8, upPx);
    await finger.lift();
    await ada.waitFor('the end of the drag', () => globalThis.cancelCount === 2 && !document.querySelector('#position-frame.dragging') && Number(document.querySelector('#position').value) < 40);
    // A seek would have been sent before this request.
    await ada.press('Pause');
    await ada.waitForSilence();
    assert.deepEqual(finger.seekBodies, []);
  }));
