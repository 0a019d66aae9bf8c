// Searches songs, albums and artists. A word that was typed matches the beginning of any word; only if nothing matches, words
// may have one typo.

import { wordsOf } from './fold.js';
import { createTextIndex } from './text-index.js';

/** @typedef {import('./albums.js').Album} Album */
/** @typedef {import('./albums.js').Artist} Artist */
/** @typedef {import('./albums.js').Collection} Collection */
/** @typedef {import('../types.js').Track} Track */

/** @typedef {{songs: Track[], albums: Album[], artists: Artist[]}} SearchResult the best matches first */
/** @typedef {ReturnType<typeof createSearch>} Search */

/** Tracks per task of the preparation, so that no task blocks input for long. */
const TRACKS_PER_TASK = 250;

/**
 * @param {readonly Track[]} songs in the order of equally good matches
 * @param {Pick<Collection, 'albums' | 'artists'>} collection
 */
export function createSearch(songs, { albums, artists }) {
  const songIndex = createTextIndex();
  const albumIndex = createTextIndex();
  const artistIndex = createTextIndex();
  let indexedCount = 0;
  let isComplete = false;

  /** Indexes up to `count` further tracks. @returns {boolean} whether the index is complete */
  function indexSome(/** @type {number} */ count) {
    for (const { fileName, tags } of songs.slice(indexedCount, indexedCount + count)) {
      songIndex.add([tags.title, tags.artist ?? tags.albumArtist ?? '', tags.album ?? '', fileName]);
    }
    indexedCount += count;
    if (indexedCount < songs.length || isComplete) return isComplete;
    for (const { title, artist } of albums) albumIndex.add([title, artist ?? '']);
    for (const { name } of artists) artistIndex.add([name]);
    for (const index of [songIndex, albumIndex, artistIndex]) index.prepare();
    isComplete = true;
    return true;
  }

  return {
    /** Indexes a part of the tracks. @returns {boolean} whether the index is complete */
    prepareSome: () => indexSome(TRACKS_PER_TASK),
    /** @param {string} text @returns {SearchResult | null} `null` if the text contains no word */
    find: (text) => {
      const words = wordsOf(text);
      if (words.length === 0) return null;
      indexSome(Infinity);
      const findAll = (/** @type {boolean} */ mayHaveTypos) => ({
        songs: pick(songs, songIndex.find(words, mayHaveTypos)),
        albums: pick(albums, albumIndex.find(words, mayHaveTypos)),
        artists: pick(artists, artistIndex.find(words, mayHaveTypos)),
      });
      const exact = findAll(false);
      return exact.songs.length + exact.albums.length + exact.artists.length > 0 ? exact : findAll(true);
    },
  };
}

/** @template T @param {readonly T[]} items @param {number[]} numbers */
function pick(items, numbers) {
  return numbers.map((number) => /** @type {T} */ (items[number]));
}
