// The tint of the page, computed from the pixels of a cover.

import assert from 'node:assert/strict';
import test from 'node:test';
import { DEFAULT_TINT, tintFromPixels } from '../../../static/js/ui/colour.js';

const RED = [200, 30, 30];
const BLUE = [30, 60, 210];
const YELLOW = [220, 200, 20];
const MAX_HUE_ERROR = 8;

const pixels = (...colours) => new Uint8ClampedArray(colours.flatMap((rgb) => [...rgb, 255]));

/** [name, pixels, expected hue in degrees] */
const mainHues = [
  ['red', pixels(RED), 27],
  ['green', pixels([20, 160, 60]), 150],
  ['blue', pixels(BLUE), 264],
  ['mostly blue', pixels(BLUE, BLUE, RED), 264],
];
for (const [name, rgba, hue] of mainHues) {
  test(`a cover that is ${name} gives the hue ${hue}`, () => {
    assert.ok(Math.abs(tintFromPixels(rgba).hue - hue) < MAX_HUE_ERROR, `the hue is ${tintFromPixels(rgba).hue}`);
  });
}

test('a grey cover gives the default hue at low strength', () => {
  const tint = tintFromPixels(pixels([128, 128, 128], [20, 20, 20]));
  assert.equal(tint.hue, DEFAULT_TINT.hue);
  assert.ok(tint.strength < 0.2, `the strength is ${tint.strength}`);
});

/** [name, pixels, expected second hue in degrees] */
const secondHues = [
  ['two colours is the hue of the rarer colour', pixels(BLUE, BLUE, RED), 27],
  ['one colour is a neighbouring hue', pixels(BLUE), 299],
  ['one colour is a neighbouring hue despite one pixel of another', pixels(...Array(40).fill(BLUE), RED), 299],
  ['a rarer colour that is yellow is a neighbour of the main hue', pixels(RED, RED, YELLOW), 352],
];
for (const [name, rgba, hue] of secondHues) {
  test(`the second hue for ${name}`, () => {
    assert.ok(Math.abs(tintFromPixels(rgba).secondHue - hue) < MAX_HUE_ERROR, `the hue is ${tintFromPixels(rgba).secondHue}`);
  });
}
