// Formats the results as a Markdown table.

/** @typedef {import('./scenarios.mjs').Measurement} Measurement */

/**
 * @typedef {object} Row
 * @property {string} name
 * @property {Measurement[]} measurements
 * @property {number} discarded number of recordings discarded because tasks waited for a CPU
 * @property {string[]} failures errors of the failed recordings
 */

const COLUMNS = [
  ...['', 'first 2 s: median, p95', 'from 5 s on: median, p95', 'largest', 'press to sound: median, worst'],
  ...['gaps', 'other figures', 'recordings', 'discarded', 'failed'],
];

/** @param {Row[]} rows */
export function table(rows) {
  const lines = [COLUMNS, COLUMNS.map(() => '---'), ...rows.map(cells)];
  return lines.map((line) => `| ${line.join(' | ')} |`).join('\n');
}

/** @param {Row} row */
function cells({ name, measurements, discarded, failures }) {
  const earlySkewsMs = measurements.flatMap((measurement) => measurement.earlySkewsMs);
  const laterSkewsMs = measurements.flatMap((measurement) => measurement.laterSkewsMs);
  const presses = measurements.flatMap(({ pressToSoundMs }) => (pressToSoundMs === undefined ? [] : [pressToSoundMs]));
  return [
    name,
    medianAndP95(earlySkewsMs),
    medianAndP95(laterSkewsMs),
    earlySkewsMs.length + laterSkewsMs.length === 0 ? '' : ms(Math.max(...earlySkewsMs, ...laterSkewsMs)),
    presses.length === 0 ? '' : `${Math.round(quantile(presses, 0.5))}, ${Math.round(Math.max(...presses))} ms`,
    gapsOf(measurements),
    otherFigures(measurements),
    measurements.length,
    discarded,
    failures.length,
  ];
}

/** @param {number[]} values */
function medianAndP95(values) {
  return values.length === 0 ? '' : `${quantile(values, 0.5).toFixed(1)}, ${ms(quantile(values, 0.95))}`;
}

/** @param {Measurement[]} measurements */
function gapsOf(measurements) {
  const allGaps = measurements.flatMap(({ gaps }) => gaps);
  const gapsNotOnAllPhones = allGaps.filter(({ isOnAllPhones }) => !isOnAllPhones);
  const longest = gapsNotOnAllPhones.reduce((maximum, gap) => Math.max(maximum, gap.ms), 0);
  const text = gapsNotOnAllPhones.length === 0 ? '0' : `${gapsNotOnAllPhones.length}, up to ${ms(longest)}`;
  return gapsNotOnAllPhones.length === allGaps.length ? text : `${text}; ${allGaps.length - gapsNotOnAllPhones.length} more on all phones at once`;
}

/** Figures that only some scenarios measure. @param {Measurement[]} measurements */
function otherFigures(measurements) {
  const texts = [];
  const recoveries = measurements.flatMap(({ recoverySec }) => (recoverySec === undefined ? [] : [recoverySec ?? Infinity]));
  if (recoveries.length > 0) texts.push(`within 5 ms after: median ${seconds(quantile(recoveries, 0.5))}, worst ${seconds(Math.max(...recoveries))}`);
  const trackGaps = measurements.flatMap(({ trackGapsMs }) => trackGapsMs ?? []);
  if (trackGaps.length > 0) texts.push(`silence between tracks: ${quantile(trackGaps, 0.5).toFixed(1)}, at most ${ms(Math.max(...trackGaps))}`);
  const delays = measurements.flatMap(({ trackDelaysMs }) => trackDelaysMs ?? []);
  if (delays.length > 0) texts.push(`next track late by ${Math.min(...delays).toFixed(1)} to ${ms(Math.max(...delays))}`);
  const clicks = measurements.flatMap((measurement) => (measurement.clicks ? [measurement.clicks.length] : []));
  if (clicks.length > 0) texts.push(`clicks: ${clicks.reduce((sum, count) => sum + count)}`);
  const shifts = measurements.flatMap(({ shiftMs }) => (shiftMs === undefined ? [] : [shiftMs]));
  if (shifts.length > 0) texts.push(`position changed within half a second by at most ${ms(Math.max(...shifts))}`);
  const unmatched = measurements.reduce((sum, measurement) => sum + measurement.unmatchedCount, 0);
  if (unmatched > 0) texts.push(`${unmatched} windows without a match`);
  return texts.join('; ');
}

/** @param {number} value */
function ms(value) {
  return `${value.toFixed(1)} ms`;
}

/** @param {number} value */
function seconds(value) {
  return Number.isFinite(value) ? `${value.toFixed(1)} s` : 'never';
}

/** @param {number[]} values @param {number} share */
function quantile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  const position = share * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(position)] ?? NaN, sorted[Math.ceil(position)] ?? NaN];
  // Infinite values have no midpoint.
  return below === above ? below : below + (position % 1) * (above - below);
}
