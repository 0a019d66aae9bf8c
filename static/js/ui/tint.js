// Tints the page with the colours of the current cover.

import { DEFAULT_TINT, tintFromPixels } from './colour.js';
import { loadCover, placeholderHue } from './cover.js';
import { setCssVariable } from './dom.js';

/** @typedef {import('../types.js').Track} Track */

/** Covers are scaled to a square of this side length before their colours are analysed. */
const SAMPLE_SIDE_PX = 24;

/** Difference in degrees between the two hues of a track without a cover, as in the gradient of css/colours.css. */
const PLACEHOLDER_HUE_STEP = 60;

const PLACEHOLDER_STRENGTH = 0.7;

/** @returns {(track: Track | undefined) => void} sets the tint for a track */
export function createPageTint() {
  const canvas = document.createElement('canvas');
  canvas.width = SAMPLE_SIDE_PX;
  canvas.height = SAMPLE_SIDE_PX;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  /** @type {string | null} */
  let currentKey = null;

  return (track) => {
    const key = track ? track.coverUrl ?? track.trackId : '';
    if (key === currentKey) return;
    currentKey = key;
    if (!track) return applyTint(DEFAULT_TINT);
    if (!track.coverUrl || !context) {
      const hue = placeholderHue(track);
      return applyTint({ hue, secondHue: hue + PLACEHOLDER_HUE_STEP, strength: PLACEHOLDER_STRENGTH });
    }
    const image = new Image();
    loadCover(image, track.coverUrl, () => {
      if (currentKey !== key) return;
      context.drawImage(image, 0, 0, SAMPLE_SIDE_PX, SAMPLE_SIDE_PX);
      applyTint(tintFromPixels(context.getImageData(0, 0, SAMPLE_SIDE_PX, SAMPLE_SIDE_PX).data));
    });
  };
}

/** @param {import('./colour.js').Tint} tint */
function applyTint({ hue, secondHue, strength }) {
  const root = document.documentElement;
  setCssVariable(root, '--hue', String(hue));
  setCssVariable(root, '--second-hue', String(secondHue));
  setCssVariable(root, '--tint-strength', strength.toFixed(2));
}
