// The table that comes out, in Markdown.

/** @typedef {import('./scenarios.mjs').Take} Take */

/**
 * @typedef {object} Row
 * @property {string} name
 * @property {Take[]} takes
 * @property {number} thrown recordings that were thrown away, since the machine was stalled
 * @property {string[]} failures what went wrong in others
 */

const COLUMNS = [
  ...['', 'first 2 s: median, p95', 'from 5 s on: median, p95', 'widest', 'press to sound: median, worst'],
  ...['holes', 'besides', 'of', 'thrown away', 'failed'],
];

/** @param {Row[]} rows */
export function table(rows) {
  const lines = [COLUMNS, COLUMNS.map(() => '---'), ...rows.map(cells)];
  return lines.map((line) => `| ${line.join(' | ')} |`).join('\n');
}

/** @param {Row} row */
function cells({ name, takes, thrown, failures }) {
  const early = takes.flatMap((take) => take.early);
  const later = takes.flatMap((take) => take.later);
  const presses = takes.flatMap(({ pressToSoundMs }) => (pressToSoundMs === undefined ? [] : [pressToSoundMs]));
  return [
    name,
    pair(early),
    pair(later),
    early.length + later.length === 0 ? '' : ms(Math.max(...early, ...later)),
    presses.length === 0 ? '' : `${Math.round(quantile(presses, 0.5))}, ${Math.round(Math.max(...presses))} ms`,
    holesOf(takes),
    besides(takes),
    takes.length,
    thrown,
    failures.length,
  ];
}

/** Median and p95. @param {number[]} values */
function pair(values) {
  return values.length === 0 ? '' : `${quantile(values, 0.5).toFixed(1)}, ${ms(quantile(values, 0.95))}`;
}

/** @param {Take[]} takes */
function holesOf(takes) {
  const all = takes.flatMap(({ holes }) => holes);
  const own = all.filter(({ onAll }) => !onAll);
  const longest = own.reduce((most, hole) => Math.max(most, hole.ms), 0);
  const told = own.length === 0 ? '0' : `${own.length}, to ${ms(longest)}`;
  return own.length === all.length ? told : `${told}; ${all.length - own.length} more, on all at once`;
}

/** What only some scenarios tell. @param {Take[]} takes */
function besides(takes) {
  const told = [];
  const backs = takes.flatMap(({ backSec }) => (backSec === undefined ? [] : [backSec ?? Infinity]));
  if (backs.length > 0) told.push(`within 5 ms after: median ${seconds(quantile(backs, 0.5))}, worst ${seconds(Math.max(...backs))}`);
  const gaps = takes.flatMap(({ gapsMs }) => gapsMs ?? []);
  if (gaps.length > 0) told.push(`silence between the tracks: ${quantile(gaps, 0.5).toFixed(1)}, at most ${ms(Math.max(...gaps))}`);
  const slips = takes.flatMap(({ slipsMs }) => slipsMs ?? []);
  if (slips.length > 0) told.push(`late by ${Math.min(...slips).toFixed(1)} to ${ms(Math.max(...slips))}`);
  const clicks = takes.flatMap((take) => (take.clicks ? [take.clicks.length] : []));
  if (clicks.length > 0) told.push(`clicks: ${clicks.reduce((sum, count) => sum + count)}`);
  const shifts = takes.flatMap(({ shiftMs }) => (shiftMs === undefined ? [] : [shiftMs]));
  if (shifts.length > 0) told.push(`moved within half a second by at most ${ms(Math.max(...shifts))}`);
  const unmatched = takes.reduce((sum, take) => sum + take.unmatched, 0);
  if (unmatched > 0) told.push(`${unmatched} windows without a match`);
  return told.join('; ');
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
  const at = share * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(at)] ?? NaN, sorted[Math.ceil(at)] ?? NaN];
  // Between two values that are never reached there is no middle.
  return below === above ? below : below + (at % 1) * (above - below);
}
