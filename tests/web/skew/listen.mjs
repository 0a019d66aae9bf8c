// What can be heard in recordings: how far apart phones are, when a piece of music is heard, where there
// are holes and clicks. Pure; a sound is a Float32Array of samples, and times are seconds from its start.

export const RATE = 48_000;

/** @typedef {Float32Array} Sound */
/** @typedef {{fromSec: number, toSec: number}} Span */
/** @typedef {{a: number, b: number, ms: number | null}} Pair `b` is heard so much later than `a`; `null`: they cannot be matched. */
/** @typedef {{atSec: number, pairs: Pair[], widestMs: number | null}} Look */

/** Less than this is silence; the test music's noise is louder, see music.mjs. */
const SILENCE = 5e-4;

/** Phones are compared in windows of this length, and looked for as far away as makes a handy transform. */
const WINDOW = RATE / 2;
const FIELD = 65_536;
const REACH = (FIELD - WINDOW) / 2;

/** Two windows match from this likeness on: 1 is the very same, and other music stays far below. */
const ALIKE = 0.5;

/** A phone that catches up runs a little faster for the moment; so windows that do not match are tried at other speeds. */
const SPEEDS = [1.002, 0.998, 1.004, 0.996, 1.006, 0.994];

/** Where the test music has something to compare. */
const LOWEST_HZ = 80;
const HIGHEST_HZ = 12_000;

/** How much louder frequencies are played down for the comparison: 0 not at all, 1 all are equal. */
const FLATTENING = 0.75;

/** A tone that goes on leaves so little beside what its last two samples foretell, at full scale 1. */
const SMOOTH = 2e-3;

/**
 * How far apart the phones are, window after window.
 * @param {Sound[]} sounds one of each phone
 * @param {Span} span
 * @param {number} [everySec]
 * @returns {Look[]}
 */
export function apart(sounds, { fromSec, toSec }, everySec = 0.5) {
  const looks = [];
  const last = Math.min(toSec * RATE, ...sounds.map(({ length }) => length)) - WINDOW;
  for (let at = Math.round(fromSec * RATE); at <= last; at += Math.round(everySec * RATE)) {
    const pairs = sounds.flatMap((sound, a) => {
      const window = cut(sound, at, WINDOW);
      return sounds.slice(a + 1).map((other, i) => {
        const lag = match(window, cut(other, at - REACH, FIELD));
        return { a, b: a + 1 + i, ms: lag === null ? null : ((lag - REACH) / RATE) * 1_000 };
      });
    });
    const sizes = pairs.map(({ ms }) => (ms === null ? NaN : Math.abs(ms)));
    const widest = Math.max(...sizes);
    looks.push({ atSec: at / RATE, pairs, widestMs: Number.isNaN(widest) ? null : widest });
  }
  return looks;
}

/**
 * When the beginning of `piece` is heard, or `null` if it is not.
 * @param {Sound} sound
 * @param {Sound} piece
 * @param {Span} span where it is looked for
 */
export function heardAt(sound, piece, { fromSec, toSec }) {
  const from = Math.round(fromSec * RATE);
  const lag = match(piece, cut(sound, from, Math.round(toSec * RATE) - from + piece.length));
  return lag === null ? null : (from + lag) / RATE;
}

/**
 * The moment at which the track's beginning was heard, or would have been, as it looks window after window: it
 * stays the same while the music runs at its own speed, and ends where the music does.
 * @param {Sound} sound
 * @param {Sound} track
 * @param {number} fromSec the track is heard by then
 * @param {number} beginSec when its beginning was heard, give or take a third of a second
 */
export function runs(sound, track, fromSec, beginSec) {
  const begins = [];
  let begin = Math.round(beginSec * RATE);
  for (let at = Math.round(fromSec * RATE); at + WINDOW <= sound.length; at += WINDOW) {
    const lag = match(cut(sound, at, WINDOW), cut(track, at - begin - REACH, FIELD));
    if (lag === null) continue;
    const exact = begin - (lag - REACH);
    begins.push({ atSec: at / RATE, beginSec: exact / RATE });
    begin = Math.round(exact);
  }
  return begins;
}

/**
 * The first sound, or `null`.
 * @param {Sound} sound
 * @param {number} [fromSec]
 */
export function onset(sound, fromSec = 0) {
  for (let i = Math.max(0, Math.round(fromSec * RATE)); i < sound.length; i += 1) {
    if (isSound(sound[i])) return i / RATE;
  }
  return null;
}

/**
 * Where sound stops and comes back.
 * @param {Sound} sound
 * @param {Span} span
 * @param {number} [leastMs]
 */
export function holes(sound, { fromSec, toSec }, leastMs = 4) {
  const found = [];
  const end = Math.min(sound.length, Math.round(toSec * RATE));
  /** @type {number | null} */
  let last = null;
  for (let i = Math.max(0, Math.round(fromSec * RATE)); i < end; i += 1) {
    if (!isSound(sound[i])) continue;
    const ms = last === null ? 0 : ((i - last - 1) / RATE) * 1_000;
    if (last !== null && ms >= leastMs) found.push({ atSec: (last + 1) / RATE, ms });
    last = i;
  }
  return found;
}

/**
 * When a pure tone is not smooth. Breaks that are closer than 10 ms are one click.
 * @param {Sound} sound
 * @param {number} hz
 * @param {Span} span
 */
export function clicks(sound, hz, { fromSec, toSec }) {
  const turn = 2 * Math.cos((2 * Math.PI * hz) / RATE);
  const found = [];
  const end = Math.min(sound.length, Math.round(toSec * RATE));
  let last = -Infinity;
  for (let i = Math.max(2, Math.round(fromSec * RATE)); i < end; i += 1) {
    const foretold = turn * (sound[i - 1] ?? 0) - (sound[i - 2] ?? 0);
    if (Math.abs((sound[i] ?? 0) - foretold) < SMOOTH) continue;
    if (i - last > RATE / 100) found.push(i / RATE);
    last = i;
  }
  return found;
}

/**
 * The samples from `from` on, with silence where there are none.
 * @param {Sound} sound
 * @param {number} from
 * @param {number} count
 */
export function cut(sound, from, count) {
  const piece = new Float32Array(count);
  const first = Math.min(sound.length, Math.max(0, from));
  const end = Math.max(first, Math.min(sound.length, from + count));
  if (end > first) piece.set(sound.subarray(first, end), first - from);
  return piece;
}

/**
 * The piece at another speed, its middle where it was.
 * @param {Sound} piece
 * @param {number} speed
 */
function stretched(piece, speed) {
  const middle = piece.length / 2;
  return piece.map((_, i) => {
    const from = middle + (i - middle) * speed;
    const whole = Math.floor(from);
    const [here, next] = [piece[whole] ?? 0, piece[whole + 1] ?? 0];
    return here + (from - whole) * (next - here);
  });
}

/** @param {Sound} sound */
function isSilent(sound) {
  return !sound.some(isSound);
}

/** @param {number | undefined} sample */
function isSound(sample) {
  return Math.abs(sample ?? 0) > SILENCE;
}

/**
 * Where in `field` the piece lies, or `null` if it is not there.
 * @param {Sound} piece
 * @param {Sound} field
 */
function match(piece, field) {
  if (isSilent(piece) || isSilent(field)) return null;
  let best = locate(piece, field);
  if (best.likeness < ALIKE) {
    const others = SPEEDS.map((speed) => locate(stretched(piece, speed), field));
    best = others.reduce((one, other) => (other.likeness > one.likeness ? other : one));
  }
  return best.likeness < ALIKE ? null : best.lag;
}

/**
 * Where in `field` the piece lies best, to a fraction of a sample, and how alike the two are there.
 * @param {Sound} piece
 * @param {Sound} field
 */
function locate(piece, field) {
  const n = 2 ** Math.ceil(Math.log2(field.length));
  const score = correlate(piece, field, n);
  let best = 0;
  for (let lag = 1; lag <= field.length - piece.length; lag += 1) {
    if (at(score, lag) > at(score, best)) best = lag;
  }
  // The top of the parabola through the peak and its neighbours, the last of which may be beyond the edge.
  const [before, peak, after] = [at(score, (best + n - 1) % n), at(score, best), at(score, (best + 1) % n)];
  const bend = before - 2 * peak + after;
  const lag = best + (bend < 0 ? (before - after) / (2 * bend) : 0);
  return { lag, likeness: likeness(piece, field, best) };
}

/**
 * The correlation of the two for each lag, with loud frequencies played down: plain correlation of music has
 * wide peaks, and many.
 * @param {Sound} piece
 * @param {Sound} field
 * @param {number} n
 */
function correlate(piece, field, n) {
  // Both in one transform, the field as imaginary part: they come apart again by their symmetry.
  const re = new Float64Array(n);
  const im = new Float64Array(n);
  re.set(piece);
  im.set(field);
  fft(re, im);
  const crossRe = new Float64Array(n);
  const crossIm = new Float64Array(n);
  const highest = Math.round((HIGHEST_HZ / RATE) * n);
  for (let k = Math.round((LOWEST_HZ / RATE) * n); k <= highest; k += 1) {
    const [r, i, mirrorR, mirrorI] = [at(re, k), at(im, k), at(re, n - k), at(im, n - k)];
    const [pieceRe, pieceIm] = [r + mirrorR, i - mirrorI];
    const [fieldRe, fieldIm] = [i + mirrorI, mirrorR - r];
    const x = pieceRe * fieldRe + pieceIm * fieldIm;
    const y = pieceRe * fieldIm - pieceIm * fieldRe;
    const weight = 1 / (Math.hypot(x, y) ** FLATTENING + 1e-9);
    crossRe[k] = x * weight;
    crossRe[n - k] = x * weight;
    crossIm[k] = y * weight;
    crossIm[n - k] = -y * weight;
  }
  // With its parts exchanged, a transform is its own inverse.
  fft(crossIm, crossRe);
  return crossRe;
}

/**
 * @param {Sound} piece
 * @param {Sound} field
 * @param {number} lag
 */
function likeness(piece, field, lag) {
  let [both, one, other] = [0, 0, 0];
  for (let i = 0; i < piece.length; i += 1) {
    const [x, y] = [piece[i] ?? 0, field[lag + i] ?? 0];
    both += x * y;
    one += x * x;
    other += y * y;
  }
  return one * other === 0 ? 0 : both / Math.sqrt(one * other);
}

/**
 * The discrete Fourier transform, in place.
 * @param {Float64Array} re
 * @param {Float64Array} im
 */
function fft(re, im) {
  const n = re.length;
  const [cos, sin] = waves(n);
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
const known = new Map();

/** Half a turn of cosine and sine, in steps of an nth of a turn. @param {number} n */
function waves(n) {
  const angles = Float64Array.from({ length: n / 2 }, (_, i) => (2 * Math.PI * i) / n);
  const made = known.get(n) ?? /** @type {[Float64Array, Float64Array]} */ ([angles.map(Math.cos), angles.map(Math.sin)]);
  known.set(n, made);
  return made;
}

/** A number that is there. @param {Float64Array} numbers @param {number} i */
function at(numbers, i) {
  return /** @type {number} */ (numbers[i]);
}
