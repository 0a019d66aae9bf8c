// Settings, "Sync figures": this phone's sync error, clock estimate and output latency, with a plot of the last two
// minutes.

import { formatMs, formatNumber } from '../format.js';
import { currentLocale, text } from '../language/texts.js';
import { offsetAt } from '../sound/clock.js';
import { PLOT_DURATION_MS } from '../sound/sync-stats.js';
import { comparisonText } from '../room/comparisons.js';
import { memberName, memberNumber } from '../room/selectors.js';
import { cloneTemplate, elementById, queryElement, setAttribute, setText } from './dom.js';

/** @typedef {import('../types.js').AppState} AppState */

/** Size of the plot in SVG user units. */
const PLOT_WIDTH = 240;
const PLOT_HEIGHT = 60;

/** The vertical axis of the plot covers at least this sync error above and below zero. */
const MIN_PLOT_RANGE_MS = 5;

/**
 * A number with its unit, joined by a no-break space.
 * @param {number} value
 * @param {number} fractionDigits
 * @param {string} unit
 */
function withUnit(value, fractionDigits, unit) {
  return `${formatNumber(value, fractionDigits)}\u00a0${unit}`;
}

/**
 * @param {number | null} syncErrorMs `null` while there are too few measurements
 * @param {boolean} isSounding whether a track is playing on this phone
 */
export function syncErrorText(syncErrorMs, isSounding) {
  if (syncErrorMs !== null) return withUnit(syncErrorMs, 1, 'ms');
  return text(isSounding ? 'sync.unknown' : 'sync.notPlaying');
}

/**
 * The `points` of the plot's polyline: the present is at the right, an error of 0 in the middle, and a positive error
 * (ahead) above the middle.
 * @param {readonly {atMs: number, syncErrorMs: number}[]} samples
 * @param {number} nowMs
 * @param {number} rangeMs the error at the upper edge of the plot
 */
export function plotPoints(samples, nowMs, rangeMs) {
  return samples
    .map(({ atMs, syncErrorMs }) => {
      const x = PLOT_WIDTH * (1 - (nowMs - atMs) / PLOT_DURATION_MS);
      const y = (PLOT_HEIGHT / 2) * (1 - Math.max(-1, Math.min(1, syncErrorMs / rangeMs)));
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(' ');
}

const formatDate = (/** @type {Date} */ date) => date.toLocaleString(currentLocale(), { dateStyle: 'medium', timeStyle: 'short' });

/** For each listener: when, with whom and by what its speaker was compared. @param {import('../types.js').Room} room */
function showComparisons(room) {
  const list = elementById('sync-comparisons', HTMLElement);
  const listenerIds = Object.keys(room.live.listeners).filter((memberId) => room.live.listeners[memberId]?.role === 'listener');
  listenerIds.sort((a, b) => memberNumber(a) - memberNumber(b));
  while (list.children.length > listenerIds.length) list.lastChild?.remove();
  while (list.children.length < listenerIds.length) list.append(cloneTemplate('measure-template'));
  listenerIds.forEach((memberId, i) => {
    const row = /** @type {HTMLElement} */ (list.children[i]);
    setText(queryElement(row, 'dt', HTMLElement), memberName(room, memberId));
    setText(queryElement(row, 'dd', HTMLElement), comparisonText(room, memberId, formatDate));
  });
}

/** @param {import('../sound/sync-stats.js').SyncStats} stats @returns {(state: AppState) => void} */
export function createSyncFigures(stats) {
  const show = (/** @type {string} */ id, /** @type {string} */ figure) => setText(elementById(id, HTMLElement), figure);

  return ({ clock, sound, room }) => {
    if (room) showComparisons(room);
    const unknown = text('sync.unknown');
    const nowMs = performance.now();
    const { plotSamples, latencyMs, slews, cuts } = stats.summary();
    const syncErrorMs = stats.syncErrorMs();
    const offsetMs = offsetAt(clock, nowMs);
    const rangeMs = Math.max(MIN_PLOT_RANGE_MS, ...plotSamples.map((sample) => Math.abs(sample.syncErrorMs)));
    show('sync-error', syncErrorText(syncErrorMs, sound.isSounding));
    show('sync-offset', offsetMs === null ? unknown : withUnit(offsetMs, 1, 'ms'));
    show('sync-drift', clock ? withUnit(clock.drift * 1e6, 0, 'ppm') : unknown);
    show('sync-round-trip', clock ? text('sync.roundTrips', { usual: withUnit(clock.roundTripMs, 1, 'ms'), slow: withUnit(clock.slowRoundTripMs, 0, 'ms') }) : unknown);
    show('sync-latency', latencyMs ? withUnit(latencyMs, 0, 'ms') : unknown);
    show('sync-corrections', text('sync.correctionCounts', { inaudible: slews, audible: cuts }));
    show('sync-range', text('sync.range', { range: formatMs(rangeMs) }));
    setAttribute(elementById('sync-line', SVGElement), 'points', plotPoints(plotSamples, nowMs, rangeMs));
  };
}
