// PURE: figures and names as a person reads them.

/**
 * @param {number} seconds
 * @returns {string} `3:05`, `1:02:03`
 */
export function clockTime(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/**
 * @param {number} bytes
 * @returns {string} `840 kB`, `12.3 MB`
 */
export function byteSize(bytes) {
  if (bytes < 1e6) return `${Math.round(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/**
 * One or two letters that stand for a title where there is no cover.
 * @param {string} title
 */
export function initials(title) {
  const words = title.match(/[\p{L}\p{N}]+/gu) ?? [];
  const letters = words.slice(0, 2).map((word) => [...word][0] ?? '');
  return letters.join('').toLocaleUpperCase() || '♪';
}

/**
 * What a `mime` is called by people.
 * @param {string} mime
 */
export function formatName(mime) {
  const name = mime.replace(/^audio\/(x-)?/, '').replace(/;.*$/, '');
  return { mpeg: 'MP3', mp4: 'M4A', ogg: 'Ogg', wave: 'WAV' }[name] ?? name.toUpperCase();
}

/** The golden angle: each new hue falls into the widest gap between those before it. */
const APART = 137.508;

/**
 * The hue of a person. People who come one after the other look unlike each other.
 * @param {string} member `m1`, `m2`, …
 */
export function memberHue(member) {
  return Math.round((Number(member.slice(1)) * APART) % 360);
}

/**
 * A steady number from 0 to 359 for an id, to colour what has no picture.
 * @param {string} id
 */
export function hueOf(id) {
  let hash = 0;
  for (const char of id) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) >>> 0;
  return hash % 360;
}
