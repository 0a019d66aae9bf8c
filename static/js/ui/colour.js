// PURE: computes the page's tint from the pixels of a cover: a main hue for all controls, and a second hue for the
// background glow. app.css combines these hues with fixed OKLCH lightness values, so that the contrast does not depend
// on the cover.

/** @typedef {{hue: number, secondHue: number, strength: number}} Tint hues in degrees, strength from 0 to 1 */

/** The tint without a current track. @type {Tint} */
export const DEFAULT_TINT = { hue: 286, secondHue: 320, strength: 0.7 };

/** Number of bins of the hue histogram. */
const HUE_BINS = 24;

/** OKLab chroma below which a pixel counts as grey and is ignored. */
const MIN_CHROMA = 0.03;

/** OKLab lightness below which a pixel counts as black and is ignored. */
const MIN_LIGHTNESS = 0.12;

/** Mean chroma of a cover that tints the page at full strength. */
const FULL_STRENGTH_CHROMA = 0.13;

const MIN_STRENGTH = 0.25;
const GREY_COVER_STRENGTH = 0.12;

/** Distance in degrees from which two hues count as two colours. */
const MIN_HUE_DISTANCE = 35;

/** Yellow hues in degrees are no second hue, because a dark yellow glow looks brown. */
const YELLOW_HUES = { from: 75, to: 130 };

/** Weight, as a fraction of the main hue's bin, above which another bin may give the second hue. */
const MIN_SECOND_WEIGHT = 0.08;

/** @typedef {{weight: number, a: number, b: number}} HueBin sums of chroma and of OKLab's a and b */

/**
 * @param {Uint8ClampedArray} rgba four bytes for each pixel
 * @returns {Tint}
 */
export function tintFromPixels(rgba) {
  /** @type {HueBin[]} */
  const bins = Array.from({ length: HUE_BINS }, () => ({ weight: 0, a: 0, b: 0 }));
  let pixelCount = 0;
  let chromaSum = 0;
  for (let i = 0; i + 3 < rgba.length; i += 4) {
    const [lightness, a, b] = srgbToOklab(rgba[i] ?? 0, rgba[i + 1] ?? 0, rgba[i + 2] ?? 0);
    const chroma = Math.hypot(a, b);
    pixelCount += 1;
    if (chroma < MIN_CHROMA || lightness < MIN_LIGHTNESS) continue;
    chromaSum += chroma;
    const bin = bins[Math.floor(((Math.atan2(b, a) / (2 * Math.PI) + 1) % 1) * HUE_BINS)];
    if (!bin) continue;
    bin.weight += chroma;
    bin.a += a;
    bin.b += b;
  }
  const heaviestBin = bins.reduce((max, bin) => (bin.weight > max.weight ? bin : max));
  if (heaviestBin.weight === 0) return { ...DEFAULT_TINT, strength: GREY_COVER_STRENGTH };
  const hue = meanHue(heaviestBin);
  const strength = Math.min(1, Math.max(MIN_STRENGTH, chromaSum / pixelCount / FULL_STRENGTH_CHROMA));
  return { hue, secondHue: secondHue(bins, hue, MIN_SECOND_WEIGHT * heaviestBin.weight), strength };
}

/**
 * The heaviest hue that is clearly different from the main hue and not yellow; without one, a hue at
 * `MIN_HUE_DISTANCE` from the main hue.
 * @param {readonly HueBin[]} bins
 * @param {number} mainHue
 * @param {number} minWeight
 */
function secondHue(bins, mainHue, minWeight) {
  const isCandidate = (/** @type {number} */ hue) =>
    hueDistance(hue, mainHue) >= MIN_HUE_DISTANCE && (hue < YELLOW_HUES.from || hue > YELLOW_HUES.to);
  const candidates = bins.filter((bin) => bin.weight > minWeight && isCandidate(meanHue(bin)));
  const heaviestCandidate = candidates.sort((a, b) => b.weight - a.weight)[0];
  if (heaviestCandidate) return meanHue(heaviestCandidate);
  return (mainHue + (mainHue < YELLOW_HUES.to ? 360 - MIN_HUE_DISTANCE : MIN_HUE_DISTANCE)) % 360;
}

/** The hue in degrees of summed OKLab values. @param {{a: number, b: number}} sums */
function meanHue({ a, b }) {
  return (Math.round((Math.atan2(b, a) * 180) / Math.PI) + 360) % 360;
}

/** @param {number} hueA @param {number} hueB */
function hueDistance(hueA, hueB) {
  const difference = Math.abs(hueA - hueB) % 360;
  return Math.min(difference, 360 - difference);
}

/**
 * sRGB bytes to OKLab: https://bottosson.github.io/posts/oklab/.
 * @param {number} red
 * @param {number} green
 * @param {number} blue
 * @returns {[number, number, number]} lightness, a, b
 */
function srgbToOklab(red, green, blue) {
  const [r, g, b] = [toLinear(red), toLinear(green), toLinear(blue)];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

/** The inverse of sRGB's transfer function (IEC 61966-2-1). @param {number} byte */
function toLinear(byte) {
  const x = byte / 255;
  return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
}
