// PURE: from the pixels of a cover to the one colour that tints the page. The page mixes its colours
// in OKLCH by hue and strength alone and fixes lightness itself, so contrast never hangs on a cover.

/** @typedef {{hue: number, strength: number}} Tint hue in degrees, strength from 0 to 1 */

/** What the page wears when nothing plays. */
/** @type {Tint} */
export const PLAIN = { hue: 286, strength: 0.7 };

const BINS = 24;

/** Below this chroma a pixel is grey and has no say. */
const GREY = 0.03;

/** As colourful as a cover has to be to tint the page in full. */
const VIVID = 0.13;

/**
 * @param {Uint8ClampedArray} rgba four bytes a pixel
 * @returns {Tint}
 */
export function tintOf(rgba) {
  const bins = Array.from({ length: BINS }, () => ({ weight: 0, a: 0, b: 0 }));
  let pixels = 0;
  let colourful = 0;
  for (let i = 0; i + 3 < rgba.length; i += 4) {
    const [l, a, b] = oklab(rgba[i] ?? 0, rgba[i + 1] ?? 0, rgba[i + 2] ?? 0);
    const chroma = Math.hypot(a, b);
    pixels += 1;
    if (chroma < GREY || l < 0.12) continue;
    colourful += chroma;
    const bin = bins[Math.floor(((Math.atan2(b, a) / (2 * Math.PI) + 1) % 1) * BINS)];
    if (!bin) continue;
    bin.weight += chroma;
    bin.a += a;
    bin.b += b;
  }
  const best = bins.reduce((most, bin) => (bin.weight > most.weight ? bin : most));
  if (best.weight === 0) return { hue: PLAIN.hue, strength: 0.12 };
  const hue = ((Math.atan2(best.b, best.a) * 180) / Math.PI + 360) % 360;
  return { hue: Math.round(hue), strength: Math.min(1, Math.max(0.25, colourful / pixels / VIVID)) };
}

/**
 * sRGB bytes to OKLab (Björn Ottosson's matrices).
 * @param {number} red
 * @param {number} green
 * @param {number} blue
 * @returns {[number, number, number]}
 */
function oklab(red, green, blue) {
  const [r, g, b] = [linear(red), linear(green), linear(blue)];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

/** @param {number} byte */
function linear(byte) {
  const x = byte / 255;
  return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
}
