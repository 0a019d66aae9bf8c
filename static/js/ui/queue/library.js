// The library of the index, prepared for the Queue tab: albums, artists, sorted songs, and the search. Each part is computed
// when it is first needed, and again when the index has changed.

import { currentLocale } from '../../language/texts.js';
import { collect } from '../../library/albums.js';
import { lettersOf, sortByName } from '../../library/collation.js';
import { createSearch } from '../../library/search.js';

/** @typedef {import('../../types.js').AppState} AppState */
/** @typedef {import('../../types.js').Track} Track */
/** @typedef {{letter: string, index: number}[]} Letters */

const WARM_UP_DELAY_MS = 150;

/** @template T @param {() => T} compute @returns {() => T} */
function once(compute) {
  /** @type {{value: T} | null} */
  let result = null;
  return () => (result ??= { value: compute() }).value;
}

/** @typedef {ReturnType<typeof createLibrary>} Library */

/** @param {AppState['index']} index */
export function createLibrary(index) {
  const locale = currentLocale();
  const tracks = [...index.values()];
  const collection = once(() => collect(tracks, locale));
  const songs = once(() => sortByName(tracks, ({ tags }) => tags.title, locale));
  const search = once(() => createSearch(songs(), collection()));
  return {
    index,
    locale,
    collection,
    songs,
    search,
    songLetters: once(() => lettersOf(songs(), ({ tags }) => tags.title)),
    albumLetters: once(() => lettersOf(collection().albums, ({ title }) => title)),
    artistLetters: once(() => lettersOf(collection().artists, ({ name }) => name)),
  };
}

/**
 * Prepares the search in small steps, so that the first key press is fast.
 * @param {Library} library
 * @param {() => boolean} isCurrent whether the library is still needed
 */
export function warmUp(library, isCurrent) {
  const steps = [library.collection, library.songs];
  const run = () => {
    if (!isCurrent()) return;
    const step = steps.shift();
    if (step) step();
    else if (library.search().prepareSome()) return;
    setTimeout(run, 0);
  };
  setTimeout(run, WARM_UP_DELAY_MS);
}
