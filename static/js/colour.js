// PURE: from the pixels of a cover to the colours that tint the page: the one of all controls, and a
// second one that only lights the ground. The page mixes its colours in OKLCH by hue and strength alone
// and fixes lightness itself, so contrast never hangs on a cover.

/** @typedef {{hue: number, second: number, strength: number}} Tint hues in degrees, strength from 0 to 1 */

/** What the page wears when nothing plays. */
/** @type {Tint} */
export const PLAIN = { hue: 286, second: 320, strength: 0.7 };

const BINS = 24;

/** Below this chroma a pixel is grey and has no say. */
const GREY = 0.03;

/** As colourful as a cover has to be to tint the page in full. */
const VIVID = 0.13;

/** So far apart two hues are two colours. */
const APART = 35;

/** Dark yellows are mud: a light of such a colour lights nothing. */
const MUD = { from: 75, to: 130 };

/** A second colour that is less of the cover than this part of the first is a speck. */
const SPECK = 0.08;

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
  if (best.weight === 0) return { ...PLAIN, strength: 0.12 };
  const hue = degrees(best);
  return { hue, second: secondOf(bins, hue, SPECK * best.weight), strength: Math.min(1, Math.max(0.25, colourful / pixels / VIVID)) };
}

/**
 * The colour that there is most of beside the first one, or a neighbour of the first.
 * @param {readonly {weight: number, a: number, b: number}[]} bins
 * @param {number} hue
 * @param {number} least
 */
function secondOf(bins, hue, least) {
  const fits = (/** @type {number} */ other) => apart(other, hue) >= APART && (other < MUD.from || other > MUD.to);
  const others = bins.filter((bin) => bin.weight > least && fits(degrees(bin)));
  const most = others.sort((one, two) => two.weight - one.weight)[0];
  if (most) return degrees(most);
  return (hue + (hue < MUD.to ? 360 - APART : APART)) % 360;
}

/** @param {{a: number, b: number}} colour */
function degrees({ a, b }) {
  return (Math.round((Math.atan2(b, a) * 180) / Math.PI) + 360) % 360;
}

/**
 * @param {number} one
 * @param {number} two
 */
function apart(one, two) {
  const between = Math.abs(one - two) % 360;
  return Math.min(between, 360 - between);
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
