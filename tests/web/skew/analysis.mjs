// Analysis of recordings, without I/O: skew between phones, the start of a piece of music, gaps and clicks. A sound is a Float32Array of
// samples; times are seconds from its start.

export const RATE = 48_000;

/** @typedef {Float32Array} Sound */
/** @typedef {{fromSec: number, toSec: number}} Span */
/** @typedef {{a: number, b: number, ms: number | null}} Pair phone `b` is heard `ms` after phone `a`; `null`: their windows do not match */
/** @typedef {{atSec: number, pairs: Pair[], widestMs: number | null}} WindowSkew `widestMs`: largest absolute skew of all pairs */

/** Amplitudes up to this one count as silence; the noise floor of the test music is higher, see music.mjs. */
const SILENCE_LEVEL = 5e-4;

/** Length of the compared windows in samples. */
const WINDOW = RATE / 2;
/** Length of the searched range in samples: a power of two for the FFT. */
const SEARCH_LENGTH = 65_536;
/** Largest lag in samples, in either direction. */
const MAX_LAG = (SEARCH_LENGTH - WINDOW) / 2;

/** Smallest correlation of matching windows: 1 for identical sounds; that of different music is far lower. */
const MIN_CORRELATION = 0.5;

/** Playback rates to try if windows do not match: a phone that corrects its position plays slightly faster or slower. */
const PLAYBACK_RATES = [1.002, 0.998, 1.004, 0.996, 1.006, 0.994];

/** Frequency range of the test music. */
const LOWEST_HZ = 80;
const HIGHEST_HZ = 12_000;

/** Exponent of the spectral whitening before the correlation: 0 for none, 1 to give all frequencies the same level. */
const WHITENING = 0.75;

/** Largest linear prediction error of a tone without clicks, for samples between -1 and 1. */
const MAX_PREDICTION_ERROR = 2e-3;

/**
 * The skew between phones for each window.
 * @param {Sound[]} sounds one recording for each phone
 * @param {Span} span
 * @param {number} [everySec]
 * @returns {WindowSkew[]}
 */
export function skewByWindow(sounds, { fromSec, toSec }, everySec = 0.5) {
  const windows = [];
  const lastStart = Math.min(toSec * RATE, ...sounds.map(({ length }) => length)) - WINDOW;
  for (let start = Math.round(fromSec * RATE); start <= lastStart; start += Math.round(everySec * RATE)) {
    const pairs = sounds.flatMap((sound, a) => {
      const window = sliceSamples(sound, start, WINDOW);
      return sounds.slice(a + 1).map((other, i) => {
        const lag = match(window, sliceSamples(other, start - MAX_LAG, SEARCH_LENGTH));
        return { a, b: a + 1 + i, ms: lag === null ? null : ((lag - MAX_LAG) / RATE) * 1_000 };
      });
    });
    const magnitudes = pairs.map(({ ms }) => (ms === null ? NaN : Math.abs(ms)));
    const widest = Math.max(...magnitudes);
    windows.push({ atSec: start / RATE, pairs, widestMs: Number.isNaN(widest) ? null : widest });
  }
  return windows;
}

/**
 * The time at which `piece` starts in the sound, or `null`.
 * @param {Sound} sound
 * @param {Sound} piece
 * @param {Span} span the searched times
 */
export function findPiece(sound, piece, { fromSec, toSec }) {
  const from = Math.round(fromSec * RATE);
  const lag = match(piece, sliceSamples(sound, from, Math.round(toSec * RATE) - from + piece.length));
  return lag === null ? null : (from + lag) / RATE;
}

/**
 * For each window, the time at which the track was at position 0, extrapolated from the position in this window. The time is
 * constant while the track plays at its normal rate.
 * @param {Sound} sound
 * @param {Sound} track
 * @param {number} fromSec a time after the start of the track
 * @param {number} beginSec when the track was at position 0, with an error of at most a third of a second
 */
export function trackStarts(sound, track, fromSec, beginSec) {
  const starts = [];
  let begin = Math.round(beginSec * RATE);
  for (let at = Math.round(fromSec * RATE); at + WINDOW <= sound.length; at += WINDOW) {
    const lag = match(sliceSamples(sound, at, WINDOW), sliceSamples(track, at - begin - MAX_LAG, SEARCH_LENGTH));
    if (lag === null) continue;
    const exact = begin - (lag - MAX_LAG);
    starts.push({ atSec: at / RATE, beginSec: exact / RATE });
    begin = Math.round(exact);
  }
  return starts;
}

/**
 * The time of the first sound, or `null`.
 * @param {Sound} sound
 * @param {number} [fromSec]
 */
export function firstSoundSec(sound, fromSec = 0) {
  for (let i = Math.max(0, Math.round(fromSec * RATE)); i < sound.length; i += 1) {
    if (isSound(sound[i])) return i / RATE;
  }
  return null;
}

/**
 * Gaps: silence between two sounds.
 * @param {Sound} sound
 * @param {Span} span
 * @param {number} [minMs]
 */
export function findGaps(sound, { fromSec, toSec }, minMs = 4) {
  const gaps = [];
  const end = Math.min(sound.length, Math.round(toSec * RATE));
  /** @type {number | null} */
  let lastSound = null;
  for (let i = Math.max(0, Math.round(fromSec * RATE)); i < end; i += 1) {
    if (!isSound(sound[i])) continue;
    const ms = lastSound === null ? 0 : ((i - lastSound - 1) / RATE) * 1_000;
    if (lastSound !== null && ms >= minMs) gaps.push({ atSec: (lastSound + 1) / RATE, ms });
    lastSound = i;
  }
  return gaps;
}

/**
 * Times of clicks in a pure tone. Discontinuities within 10 ms count as one click.
 * @param {Sound} sound
 * @param {number} hz
 * @param {Span} span
 */
export function findClicks(sound, hz, { fromSec, toSec }) {
  const coefficient = 2 * Math.cos((2 * Math.PI * hz) / RATE);
  const clicksSec = [];
  const end = Math.min(sound.length, Math.round(toSec * RATE));
  let lastClick = -Infinity;
  for (let i = Math.max(2, Math.round(fromSec * RATE)); i < end; i += 1) {
    const predicted = coefficient * (sound[i - 1] ?? 0) - (sound[i - 2] ?? 0);
    if (Math.abs((sound[i] ?? 0) - predicted) < MAX_PREDICTION_ERROR) continue;
    if (i - lastClick > RATE / 100) clicksSec.push(i / RATE);
    lastClick = i;
  }
  return clicksSec;
}

/**
 * `count` samples from `from` on, padded with silence outside the sound.
 * @param {Sound} sound
 * @param {number} from
 * @param {number} count
 */
export function sliceSamples(sound, from, count) {
  const piece = new Float32Array(count);
  const first = Math.min(sound.length, Math.max(0, from));
  const end = Math.max(first, Math.min(sound.length, from + count));
  if (end > first) piece.set(sound.subarray(first, end), first - from);
  return piece;
}

/**
 * The piece at another playback rate, resampled around its middle.
 * @param {Sound} piece
 * @param {number} rate
 */
function resampled(piece, rate) {
  const middle = piece.length / 2;
  return piece.map((_, i) => {
    const position = middle + (i - middle) * rate;
    const index = Math.floor(position);
    const [current, next] = [piece[index] ?? 0, piece[index + 1] ?? 0];
    return current + (position - index) * (next - current);
  });
}

/** @param {Sound} sound */
function isSilent(sound) {
  return !sound.some(isSound);
}

/** @param {number | undefined} sample */
function isSound(sample) {
  return Math.abs(sample ?? 0) > SILENCE_LEVEL;
}

/**
 * The lag at which `piece` matches `searched`, or `null`.
 * @param {Sound} piece
 * @param {Sound} searched
 */
function match(piece, searched) {
  if (isSilent(piece) || isSilent(searched)) return null;
  let best = locate(piece, searched);
  if (best.correlation < MIN_CORRELATION) {
    const others = PLAYBACK_RATES.map((rate) => locate(resampled(piece, rate), searched));
    best = others.reduce((one, other) => (other.correlation > one.correlation ? other : one));
  }
  return best.correlation < MIN_CORRELATION ? null : best.lag;
}

/**
 * The lag with the highest correlation of `piece` and `searched`, to a fraction of a sample, and this correlation.
 * @param {Sound} piece
 * @param {Sound} searched
 */
function locate(piece, searched) {
  const n = 2 ** Math.ceil(Math.log2(searched.length));
  const score = correlate(piece, searched, n);
  let best = 0;
  for (let lag = 1; lag <= searched.length - piece.length; lag += 1) {
    if (at(score, lag) > at(score, best)) best = lag;
  }
  // The vertex of the parabola through the peak and its two neighbours, which may wrap around the edge.
  const [before, peak, after] = [at(score, (best + n - 1) % n), at(score, best), at(score, (best + 1) % n)];
  const curvature = before - 2 * peak + after;
  const lag = best + (curvature < 0 ? (before - after) / (2 * curvature) : 0);
  return { lag, correlation: correlation(piece, searched, best) };
}

/**
 * The whitened cross-correlation for each lag. Without whitening the cross-correlation of music has many wide peaks.
 * @param {Sound} piece
 * @param {Sound} searched
 * @param {number} n
 */
function correlate(piece, searched, n) {
  // One transform for both real signals: `searched` is the imaginary part, and symmetry separates the spectra.
  const re = new Float64Array(n);
  const im = new Float64Array(n);
  re.set(piece);
  im.set(searched);
  fft(re, im);
  const crossRe = new Float64Array(n);
  const crossIm = new Float64Array(n);
  const highest = Math.round((HIGHEST_HZ / RATE) * n);
  for (let bin = Math.round((LOWEST_HZ / RATE) * n); bin <= highest; bin += 1) {
    const [r, i, mirrorR, mirrorI] = [at(re, bin), at(im, bin), at(re, n - bin), at(im, n - bin)];
    const [pieceRe, pieceIm] = [r + mirrorR, i - mirrorI];
    const [searchedRe, searchedIm] = [i + mirrorI, mirrorR - r];
    const x = pieceRe * searchedRe + pieceIm * searchedIm;
    const y = pieceRe * searchedIm - pieceIm * searchedRe;
    const weight = 1 / (Math.hypot(x, y) ** WHITENING + 1e-9);
    crossRe[bin] = x * weight;
    crossRe[n - bin] = x * weight;
    crossIm[bin] = y * weight;
    crossIm[n - bin] = -y * weight;
  }
  // Swapping real and imaginary parts turns the forward transform into the inverse.
  fft(crossIm, crossRe);
  return crossRe;
}

/**
 * The normalised correlation at a lag: 1 for identical sounds.
 * @param {Sound} piece
 * @param {Sound} searched
 * @param {number} lag
 */
function correlation(piece, searched, lag) {
  let [product, pieceEnergy, searchedEnergy] = [0, 0, 0];
  for (let i = 0; i < piece.length; i += 1) {
    const [x, y] = [piece[i] ?? 0, searched[lag + i] ?? 0];
    product += x * y;
    pieceEnergy += x * x;
    searchedEnergy += y * y;
  }
  return pieceEnergy * searchedEnergy === 0 ? 0 : product / Math.sqrt(pieceEnergy * searchedEnergy);
}

/**
 * The discrete Fourier transform, in place.
 * @param {Float64Array} re
 * @param {Float64Array} im
 */
function fft(re, im) {
  const n = re.length;
  const [cos, sin] = twiddleFactors(n);
  for (let i = 0, mirrored = 0; i < n; i += 1) {
    if (i < mirrored) for (const part of [re, im]) [part[i], part[mirrored]] = [at(part, mirrored), at(part, i)];
    let bit = n >> 1;
    for (; mirrored & bit; bit >>= 1) mirrored ^= bit;
    mirrored |= bit;
  }
  for (let half = 1; half < n; half *= 2) {
    const step = n / (2 * half);
    for (let block = 0; block < n; block += 2 * half) {
      for (let i = 0; i < half; i += 1) {
        const [low, high] = [block + i, block + i + half];
        const c = at(cos, i * step);
        const s = at(sin, i * step);
        const r = at(re, high) * c + at(im, high) * s;
        const j = at(im, high) * c - at(re, high) * s;
        re[high] = at(re, low) - r;
        im[high] = at(im, low) - j;
        re[low] = at(re, low) + r;
        im[low] = at(im, low) + j;
      }
    }
  }
}

/** @type {Map<number, [Float64Array, Float64Array]>} */
const twiddleCache = new Map();

/** Twiddle factors: cosine and sine of half a turn in steps of 1/n. @param {number} n */
function twiddleFactors(n) {
  const angles = Float64Array.from({ length: n / 2 }, (_, i) => (2 * Math.PI * i) / n);
  const factors = twiddleCache.get(n) ?? /** @type {[Float64Array, Float64Array]} */ ([angles.map(Math.cos), angles.map(Math.sin)]);
  twiddleCache.set(n, factors);
  return factors;
}

/** The element at an index within the bounds. @param {Float64Array} numbers @param {number} i */
function at(numbers, i) {
  return /** @type {number} */ (numbers[i]);
}
