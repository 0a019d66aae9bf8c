// PURE: formats durations, sizes, figures, names and colours for display, in the current language.

import { currentLocale, text } from './language/texts.js';

/** @param {number} seconds @returns {string} `3:05`, `1:02:03` */
export function formatTime(seconds) {
  const totalSec = Math.max(0, Math.floor(seconds));
  const twoDigits = (/** @type {number} */ n) => String(n).padStart(2, '0');
  const [hours, minutes, remainingSec] = [Math.floor(totalSec / 3600), Math.floor(totalSec / 60) % 60, totalSec % 60];
  return hours > 0 ? `${hours}:${twoDigits(minutes)}:${twoDigits(remainingSec)}` : `${minutes}:${twoDigits(remainingSec)}`;
}

/** @param {number} bytes @returns {string} in decimal units: `840 kB`, `12.3 MB` */
export function formatBytes(bytes) {
  if (bytes < 1e6) return formatUnit(Math.round(bytes / 1e3), 'kilobyte', 0);
  return bytes < 1e9 ? formatUnit(bytes / 1e6, 'megabyte', 1) : formatUnit(bytes / 1e9, 'gigabyte', 2);
}

/** @param {number} value @param {string} unit @param {number} fractionDigits */
function formatUnit(value, unit, fractionDigits) {
  return new Intl.NumberFormat(currentLocale(), { style: 'unit', unit, ...digitOptions(fractionDigits) }).format(value);
}

/** A number as the language writes it, without separators of thousands. @param {number} value @param {number} [fractionDigits] */
export function formatNumber(value, fractionDigits = 0) {
  // Adding 0 turns -0 into 0.
  const rounded = Number(value.toFixed(fractionDigits)) + 0;
  return rounded.toLocaleString(currentLocale(), digitOptions(fractionDigits));
}

/** @param {number} fractionDigits */
function digitOptions(fractionDigits) {
  return { minimumFractionDigits: fractionDigits, maximumFractionDigits: fractionDigits, useGrouping: false };
}

/** @param {number} percent @returns {string} `43 %` */
export function formatPercent(percent) {
  return text('figure.percent', { value: percent });
}

/** @param {number} ms @returns {string} `15 ms` */
export function formatMs(ms) {
  return `${formatNumber(ms)} ms`;
}

/** Of several names: `Ada, Ben`. @param {readonly string[]} names */
export function formatList(names) {
  return names.join(text('list.separator'));
}

/** The most names that a sentence lists in full. */
const MAX_LISTED_NAMES = 3;

/** Names in one line: all of a few, or else the first two and how many others there are. @param {readonly string[]} names @returns {string} */
export function formatNames(names) {
  if (names.length <= MAX_LISTED_NAMES) return formatList(names);
  return text('list.others', { names: formatList(names.slice(0, 2)), count: names.length - 2 });
}

/**
 * The first letters or digits of the first two words, in capitals; `♪` for a text without letters and digits.
 * @param {string} text
 */
export function initials(text) {
  const words = text.match(/[\p{L}\p{N}]+/gu) ?? [];
  const letters = words.slice(0, 2).map((word) => [...word][0] ?? '');
  return letters.join('').toLocaleUpperCase() || '♪';
}

/** The common name of an audio format. @param {string} mime @returns {string} `MP3` for `audio/mpeg` */
export function audioFormatName(mime) {
  const subtype = mime.replace(/^audio\/(x-)?/, '').replace(/;.*$/, '');
  return { mpeg: 'MP3', mp4: 'M4A', ogg: 'Ogg', wave: 'WAV' }[subtype] ?? subtype.toUpperCase();
}

/** The golden angle: each further hue falls into one of the widest gaps between the earlier hues. */
const GOLDEN_ANGLE_DEG = 137.508;

/**
 * The hue of a member's avatar, in degrees. Members who paired one after the other get clearly different hues.
 * @param {import('./types.js').MemberId} memberId
 */
export function memberHue(memberId) {
  return Math.round((Number(memberId.slice(1)) * GOLDEN_ANGLE_DEG) % 360);
}

/** A hash of `text` as a hue from 0 to 359 degrees. @param {string} text */
export function hashHue(text) {
  let hash = 0;
  for (const char of text) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) >>> 0;
  return hash % 360;
}

/** @param {number} trimDb */
export function trimText(trimDb) {
  return `${trimDb < 0 ? '−' : ''}${formatNumber(Math.abs(trimDb))} dB`;
}
