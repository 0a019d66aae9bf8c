// Renders the status line. status-line.js determines its text.

import { currentLocale } from '../language/texts.js';
import { statusOf } from './status-line.js';
import { elementById, queryElement, setAttribute, setText } from './dom.js';

/** @typedef {import('../types.js').AppState} AppState */

/** Minimum time between two changes of the figure, so that it can be read. */
const FIGURE_INTERVAL_MS = 2_000;

/** @returns {(state: AppState) => void} */
export function createStatusView() {
  const statusLine = elementById('status', HTMLElement);
  const statusText = queryElement(statusLine, '.text', HTMLElement);
  const statusFigure = queryElement(statusLine, '.figure', HTMLElement);
  let figureChangedAtMs = -Infinity;
  let figureLocale = '';

  return (state) => {
    const { text, figure, tone } = statusOf(state);
    setText(statusText, text);
    setAttribute(statusLine, 'data-tone', tone);
    const nowMs = performance.now();
    // The figures of downloads and scans (tone `busy`) only increase and remain readable, so they are not throttled.
    const isThrottled = figure !== '' && tone !== 'busy' && statusFigure.textContent !== '' && figureLocale === currentLocale();
    if (isThrottled && nowMs - figureChangedAtMs < FIGURE_INTERVAL_MS) return;
    figureChangedAtMs = nowMs;
    figureLocale = currentLocale();
    setText(statusFigure, figure);
  };
}
