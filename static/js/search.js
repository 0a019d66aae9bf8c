// PURE: finding tracks by what somebody types.

/** @typedef {import('./types.js').Track} Track */

/** What is searched of a track, made once: ten thousand of them take longer than a keystroke may. */
/** @type {WeakMap<Track, string>} */
const made = new WeakMap();

/**
 * Whether what is searched of a track has all the words somewhere.
 * @param {string} typed
 * @returns {((text: string) => boolean) | null} `null` where nothing is sought
 */
export function finder(typed) {
  const words = fold(typed).split(/\s+/).filter(Boolean);
  if (words.length === 0) return null;
  return (text) => words.every((word) => text.includes(word));
}

/** @param {Track | undefined} track */
export function searched(track) {
  if (!track) return '';
  const known = made.get(track);
  if (known !== undefined) return known;
  const { title, artist = '', album = '' } = track.tags;
  const text = fold(`${title} ${artist} ${album} ${track.fileName}`);
  made.set(track, text);
  return text;
}

/**
 * Text as it is searched: no case, no accents.
 * @param {string} text
 */
function fold(text) {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
}
