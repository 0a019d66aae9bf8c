// The kind of a phone, and what the page says about a delay that is guessed for a kind.

import assert from 'node:assert/strict';
import test from 'node:test';
import { deviceKind, outputKind } from '../../../static/js/app/device-kind.js';
import { guessText } from '../../../static/js/room/guessed-delay.js';
import { room } from '../support/rooms.mjs';

const WEBKIT = 'AppleWebKit/605.1.15 (KHTML, like Gecko)';
for (const [expected, userAgent, maxTouchPoints] of /** @type {[string, string, number][]} */ ([
  ['webkit-iphone-near', `Mozilla/5.0 (iPhone; CPU iPhone OS 18_4 like Mac OS X) ${WEBKIT} Version/18.4 Mobile/15E148 Safari/604.1`, 5],
  ['webkit-iphone-near', `Mozilla/5.0 (iPhone; CPU iPhone OS 18_4 like Mac OS X) ${WEBKIT} CriOS/140.0 Mobile/15E148 Safari/604.1`, 5],
  ['webkit-ipad-near', `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${WEBKIT} Version/18.4 Safari/605.1.15`, 5],
  ['webkit-mac-near', `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${WEBKIT} Version/18.4 Safari/605.1.15`, 0],
  ['chromium-android-near', 'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36', 5],
  ['firefox-android-near', 'Mozilla/5.0 (Android 14; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0', 5],
  ['chromium-windows-near', 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36', 0],
  ['firefox-linux-near', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 0],
])) {
  test(`${userAgent.slice(13, 50)} with ${maxTouchPoints} touch points is ${expected}`, () => {
    assert.equal(deviceKind({ userAgent, maxTouchPoints }, 'near'), expected);
  });
}

test('an output is late from 150 ms on', () => {
  assert.deepEqual([outputKind(149), outputKind(150)], ['near', 'late']);
});

const kind = 'webkit-iphone-near';
const guessed = { name: 'Ada', delayMs: 30, guessed: true, kind };
const compared = { by: /** @type {const} */ ('server'), at: '2026-11-30T00:00:00Z', with: ['m3'] };
const ben = { name: 'Ben', delayMs: 30, kind, compared };
const listener = { role: 'listener', download: null };
for (const [name, clients, listeners, expected] of /** @type {[string, any, any, string][]} */ ([
  ['names the compared listener of the same kind', { m1: guessed, m2: ben }, { m1: listener, m2: listener }, 'A guess, as on Ben’s iPhone.'],
  ['names nobody while no such listener is here', { m1: guessed, m2: ben }, { m1: listener }, 'A guess, as on another iPhone.'],
  ['does not name a listener of another kind', { m1: guessed, m2: { ...ben, kind: 'webkit-iphone-late' } }, { m1: listener, m2: listener }, 'A guess, as on another iPhone.'],
  ['does not name a listener that was not compared', { m1: guessed, m2: { ...guessed, name: 'Ben' } }, { m1: listener, m2: listener }, 'A guess, as on another iPhone.'],
  ['is empty for a delay of the phone’s own', { m1: { ...guessed, guessed: undefined }, m2: ben }, { m1: listener, m2: listener }, ''],
  ['names no device of an unknown kind', { m1: { ...guessed, kind: 'x' } }, {}, 'A guess, as on another device of this kind.'],
])) {
  test(`the text of a guess ${name}`, () => {
    const base = room();
    assert.equal(guessText({ ...base, clients, live: { ...base.live, listeners } }, 'm1'), expected);
  });
}
