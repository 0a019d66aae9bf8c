// The sheet of sync figures: what this phone knows of the server's clock and of its own sound, and the last two
// minutes as a small plot.

import { offsetAt } from '../clock.js';
import { byId, setAttribute, setText } from './dom.js';

/** @typedef {import('../types.js').AppState} AppState */

/** The plot's own units. */
const WIDTH = 240;
const HEIGHT = 60;
const PLOT_MS = 120_000;

/** It shows at least so much to either side, in milliseconds. */
const LEAST_RANGE_MS = 5;

const UNKNOWN = 'not known yet';

/**
 * A figure and its unit, never on two lines; and never `-0`.
 * @param {number} value
 * @param {number} digits
 * @param {string} unit
 */
function figure(value, digits, unit) {
  return `${(Number(value.toFixed(digits)) + 0).toFixed(digits)}\u00a0${unit}`;
}

/**
 * The line of the plot, as SVG has it: now at the right, in step in the middle, ahead above it.
 * @param {readonly import('../figures.js').Look[]} looks
 * @param {number} nowMs
 * @param {number} rangeMs
 */
export function plotLine(looks, nowMs, rangeMs) {
  return looks
    .map(({ atMs, offMs }) => {
      const x = WIDTH * (1 - (nowMs - atMs) / PLOT_MS);
      const y = (HEIGHT / 2) * (1 - Math.max(-1, Math.min(1, offMs / rangeMs)));
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(' ');
}

/** @param {import('../figures.js').Figures} figures */
export function createFiguresSheet(figures) {
  /** @param {string} id @param {string} text */
  const say = (id, text) => setText(byId(id, HTMLElement), text);

  /** @param {AppState} state */
  return ({ clock }) => {
    const nowMs = performance.now();
    const { plot, latencyMs, slews, cuts } = figures.all();
    const offMs = figures.offMs();
    const offsetMs = offsetAt(clock, nowMs);
    const rangeMs = Math.max(LEAST_RANGE_MS, ...plot.map((look) => Math.abs(look.offMs)));
    say('sync-error', offMs === null ? 'not playing' : figure(offMs, 1, 'ms'));
    say('sync-offset', offsetMs === null ? UNKNOWN : figure(offsetMs, 1, 'ms'));
    say('sync-drift', clock ? figure(clock.drift * 1e6, 0, 'ppm') : UNKNOWN);
    say('sync-round-trip', clock ? `${figure(clock.roundTripMs, 1, 'ms')}, at times ${figure(clock.slowTripMs, 0, 'ms')}` : UNKNOWN);
    say('sync-latency', latencyMs ? figure(latencyMs, 0, 'ms') : UNKNOWN);
    say('sync-corrections', `${slews} unheard, ${cuts} heard`);
    say('sync-range', `±${rangeMs.toFixed(0)} ms, last two minutes`);
    setAttribute(byId('sync-line', SVGElement), 'points', plotLine(plot, nowMs, rangeMs));
  };
}
