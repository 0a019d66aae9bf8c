// Tracks and large libraries for tests.

import { seededRandom } from './seeded-random.mjs';

/** A track of the index. */
export function track(/** @type {string} */ trackId, /** @type {object} */ tags = {}, /** @type {object} */ rest = {}) {
  return /** @type {import('../../../static/js/types.js').Track} */ ({ trackId, fileName: `${trackId}.mp3`, size: 1, mime: 'audio/mpeg', version: 'v1', tags: { title: trackId, ...tags }, ...rest });
}

const SYLLABLES = 'ka lo mi ren tu sha vel dor pin sa gro lum bre fa zen ol wy tar ni quo'.split(' ');

/** `count` tracks with made-up names, in albums of ten tracks by one of `count / 40` artists. */
export function largeLibrary(/** @type {number} */ count) {
  const random = seededRandom(11);
  const word = () => Array.from({ length: 2 + Math.floor((random() + 1) * 1.5) }, () => SYLLABLES[Math.floor(((random() + 1) / 2) * SYLLABLES.length)]).join('');
  const name = (/** @type {number} */ words) => Array.from({ length: words }, word).map((text) => text[0].toUpperCase() + text.slice(1)).join(' ');
  const artists = Array.from({ length: Math.ceil(count / 40) }, () => name(2));
  const albums = Array.from({ length: Math.ceil(count / 10) }, (_, i) => ({ album: name(2), albumArtist: artists[i % artists.length], year: 1960 + (i % 60) }));
  return Array.from({ length: count }, (_, i) => {
    const album = albums[Math.floor(i / 10)];
    return track(`t${i}`, { title: name(1 + (i % 4)), artist: album.albumArtist, trackNumber: 1 + (i % 10), ...album }, { albumId: Math.floor(i / 10) });
  });
}
