// Tints the page with the colour of the current cover.

import { PLAIN, tintOf } from '../colour.js';
import { artHue, fetchCover } from './cover.js';
import { setVariable } from './dom.js';

/** @typedef {import('../types.js').Track} Track */

/** A cover is read at this size: its colours are wanted, not its details. */
const SIDE = 24;

export function createTint() {
  const canvas = document.createElement('canvas');
  canvas.width = SIDE;
  canvas.height = SIDE;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  /** @type {string | null} */
  let shown = null;

  /** @param {import('../colour.js').Tint} tint */
  function wear({ hue, second, strength }) {
    setVariable(document.documentElement, '--hue', String(hue));
    setVariable(document.documentElement, '--hue2', String(second));
    setVariable(document.documentElement, '--strength', strength.toFixed(2));
  }

  /** @param {Track | undefined} track */
  return (track) => {
    const key = track ? track.coverUrl ?? track.trackId : '';
    if (key === shown) return;
    shown = key;
    if (!track?.coverUrl || !context) {
      wear(track ? { hue: artHue(track), second: artHue(track) + 60, strength: 0.7 } : PLAIN);
      return;
    }
    const image = new Image();
    fetchCover(image, track.coverUrl, () => {
      if (shown !== key) return;
      context.drawImage(image, 0, 0, SIDE, SIDE);
      wear(tintOf(context.getImageData(0, 0, SIDE, SIDE).data));
    });
  };
}
