// PURE: measures integrated loudness and true peak by ITU-R BS.1770-5: K-weighting, blocks of 400 ms with an overlap of
// 75 %, an absolute gate at -70 LUFS, and a relative gate 10 LU below. A meter takes a track in pieces.

/** Hops per block: a block begins with every hop of 100 ms. */
const HOPS_PER_BLOCK = 4;

const ABSOLUTE_GATE_LUFS = -70;
const RELATIVE_GATE_LU = 10;

/** Offset of the scale of LUFS (BS.1770-5, formula 2): it cancels the gain of the K-weighting at 1 kHz. */
const LUFS_OFFSET = -0.691;

/** The peak that silence is reported with, in dB. */
const MIN_PEAK_DB = -120;

/** The interpolation for the true peak: four values for each sample, each from twelve samples. */
const TAPS_BEFORE = 5;
const TAPS_AFTER = 6;
const HISTORY_SAMPLES = TAPS_BEFORE + TAPS_AFTER;
const PHASES = [0.25, 0.5, 0.75].map(interpolationTaps);

/** Only next to samples above this part of the peak so far is interpolated: between lower ones lies no higher peak of music. */
const INTERPOLATION_THRESHOLD = 0.6;

/** The weights of the channels, by their number: in the browser's order, where the fourth of six channels is the LFE. */
/** @type {Record<number, number[]>} */
const CHANNEL_WEIGHTS = { 4: [1, 1, 1.41, 1.41], 5: [1, 1, 1, 1.41, 1.41], 6: [1, 1, 1, 0, 1.41, 1.41], 8: [1, 1, 1, 0, 1.41, 1.41, 1.41, 1.41] };

/** @typedef {{lufs: number, peakDb: number}} Loudness */

/**
 * @param {number} sampleRate in Hz
 * @param {number} channelCount
 */
export function createLoudnessMeter(sampleRate, channelCount) {
  const hopFrames = Math.round(sampleRate / 10);
  const weights = CHANNEL_WEIGHTS[channelCount] ?? Array.from({ length: channelCount }, () => 1);
  const filters = weights.map(() => createKWeighting(sampleRate));
  const histories = weights.map(() => new Float32Array(HISTORY_SAMPLES));
  /** The weighted energy of each complete hop. @type {number[]} */
  const hopEnergies = [];
  let energy = 0;
  let hopPosition = 0;
  let peak = 0;

  return {
    /** Adds the next samples of the track. @param {Float32Array[]} channels of equal length */
    add: (channels) => {
      const frames = channels[0]?.length ?? 0;
      for (let from = 0; from < frames; ) {
        const to = Math.min(frames, from + hopFrames - hopPosition);
        channels.forEach((samples, channel) => {
          energy += (weights[channel] ?? 0) * (filters[channel]?.(samples, from, to) ?? 0);
        });
        hopPosition += to - from;
        from = to;
        if (hopPosition < hopFrames) break;
        hopEnergies.push(energy);
        energy = hopPosition = 0;
      }
      channels.forEach((samples, channel) => {
        const joined = new Float32Array(HISTORY_SAMPLES + frames);
        joined.set(histories[channel] ?? []);
        joined.set(samples, HISTORY_SAMPLES);
        peak = truePeak(joined, peak);
        histories[channel] = joined.slice(-HISTORY_SAMPLES);
      });
    },

    /** The loudness of all samples so far; that of silence if they are quieter than the absolute gate. @returns {Loudness} */
    result: () => ({
      lufs: gatedLoudness(hopEnergies, hopFrames),
      peakDb: Math.max(MIN_PEAK_DB, 20 * Math.log10(peak)),
    }),
  };
}

/** @param {number[]} hopEnergies @param {number} hopFrames */
function gatedLoudness(hopEnergies, hopFrames) {
  const powers = [];
  for (let i = 0; i + HOPS_PER_BLOCK <= hopEnergies.length; i += 1) {
    const blockEnergy = hopEnergies.slice(i, i + HOPS_PER_BLOCK).reduce((sum, hop) => sum + hop, 0);
    powers.push(blockEnergy / (HOPS_PER_BLOCK * hopFrames));
  }
  const audible = powers.filter((power) => toLufs(power) > ABSOLUTE_GATE_LUFS);
  if (audible.length === 0) return ABSOLUTE_GATE_LUFS;
  const gateLufs = toLufs(mean(audible)) - RELATIVE_GATE_LU;
  return toLufs(mean(audible.filter((power) => toLufs(power) > gateLufs)));
}

/** @param {number} power */
function toLufs(power) {
  return LUFS_OFFSET + 10 * Math.log10(power);
}

/** @param {number[]} values */
function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * The K-weighting of one channel: a shelving filter and a high-pass filter. BS.1770 states their coefficients for 48 kHz; these
 * formulas give the same ones, and those for other rates (as in libebur128).
 * @param {number} sampleRate
 * @returns {(samples: Float32Array, from: number, to: number) => number} the energy of the weighted samples
 */
function createKWeighting(sampleRate) {
  const shelf = Math.tan((Math.PI * 1681.974450955533) / sampleRate);
  const shelfQ = 0.7071752369554196;
  const highGain = 10 ** (3.999843853973347 / 20);
  const bandGain = highGain ** 0.4996667741545416;
  const shelfNorm = 1 + shelf / shelfQ + shelf * shelf;
  const b0 = (highGain + (bandGain * shelf) / shelfQ + shelf * shelf) / shelfNorm;
  const b1 = (2 * (shelf * shelf - highGain)) / shelfNorm;
  const b2 = (highGain - (bandGain * shelf) / shelfQ + shelf * shelf) / shelfNorm;
  const a1 = (2 * (shelf * shelf - 1)) / shelfNorm;
  const a2 = (1 - shelf / shelfQ + shelf * shelf) / shelfNorm;

  const pass = Math.tan((Math.PI * 38.13547087602444) / sampleRate);
  const passQ = 0.5003270373238773;
  const passNorm = 1 + pass / passQ + pass * pass;
  const c1 = (2 * (pass * pass - 1)) / passNorm;
  const c2 = (1 - pass / passQ + pass * pass) / passNorm;

  // The states of the two filters, in direct form II.
  let s1 = 0;
  let s2 = 0;
  let p1 = 0;
  let p2 = 0;
  return (samples, from, to) => {
    let sum = 0;
    for (let i = from; i < to; i += 1) {
      const s0 = /** @type {number} */ (samples[i]) - a1 * s1 - a2 * s2;
      const p0 = b0 * s0 + b1 * s1 + b2 * s2 - c1 * p1 - c2 * p2;
      const y = p0 - 2 * p1 + p2;
      sum += y * y;
      s2 = s1;
      s1 = s0;
      p2 = p1;
      p1 = p0;
    }
    // Denormal numbers, to which the states decay in silence, are slow.
    if (Math.abs(s1) + Math.abs(p1) < 1e-30) s1 = s2 = p1 = p2 = 0;
    return sum;
  };
}

/**
 * The larger one of `peak` and the true peak of the samples after the first `TAPS_BEFORE`, except the last `TAPS_AFTER`.
 * @param {Float32Array} samples
 * @param {number} peak
 */
function truePeak(samples, peak) {
  for (let i = TAPS_BEFORE; i < samples.length; i += 1) {
    const level = Math.abs(/** @type {number} */ (samples[i]));
    if (level > peak) peak = level;
    if (level <= INTERPOLATION_THRESHOLD * peak || i >= samples.length - TAPS_AFTER) continue;
    for (const taps of PHASES) {
      let value = 0;
      for (let k = 0; k < taps.length; k += 1) value += /** @type {number} */ (taps[k]) * /** @type {number} */ (samples[i - TAPS_BEFORE + k]);
      peak = Math.max(peak, Math.abs(value));
    }
  }
  return peak;
}

/** The factors of twelve samples for the value at a fraction of the interval after the sixth: a windowed sinc. @param {number} fraction */
function interpolationTaps(fraction) {
  const taps = Array.from({ length: HISTORY_SAMPLES + 1 }, (_, k) => {
    const distance = k - TAPS_BEFORE - fraction;
    const window = Math.cos((Math.PI * distance) / (2 * (TAPS_AFTER + 0.5))) ** 2;
    return (Math.sin(Math.PI * distance) / (Math.PI * distance)) * window;
  });
  const sum = taps.reduce((total, tap) => total + tap, 0);
  return taps.map((tap) => tap / sum);
}
