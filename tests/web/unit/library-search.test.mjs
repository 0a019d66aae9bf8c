// The search over songs, albums and artists.

import assert from 'node:assert/strict';
import test from 'node:test';
import { collect } from '../../../static/js/library/albums.js';
import { createSearch } from '../../../static/js/library/search.js';
import { track } from '../support/libraries.mjs';

const TRACKS = [
  track('porch', { title: 'Porch Swing', artist: 'The Lanterns', album: 'Summer House' }),
  track('swing', { title: 'Swing Low', artist: 'Swingles', album: 'Porch' }),
  track('eclair', { title: 'Éclair', artist: 'Fantasma', album: 'Pâtisserie' }, { fileName: '01 Wanda.mp3' }),
  track('strasse', { title: 'Straße im Øst', artist: 'Łukasz', album: 'Dont' }),
  track('dont', { title: 'Don’t Look', artist: 'Sigur Rós' }),
  track('tokyo', { title: '東京の夜', artist: 'Kento' }),
  track('light', { title: 'Night Light', artist: 'Kento' }),
];

/** The ids of the found songs, the titles of albums and the names of artists. */
function find(/** @type {string} */ text) {
  const result = createSearch(TRACKS, collect(TRACKS, 'en')).find(text);
  return result && [result.songs.map(({ trackId }) => trackId), result.albums.map(({ title }) => title), result.artists.map(({ name }) => name)];
}

/** [typed, songs, albums, artists] */
const CASES = /** @type {const} */ ([
  ['porch', ['porch', 'swing'], ['Porch'], []],
  ['SWING', ['swing', 'porch'], ['Porch'], ['Swingles']],
  ['swi po', ['porch', 'swing'], ['Porch'], []],
  ['ecl', ['eclair'], [], []],
  ['patisserie', ['eclair'], ['Pâtisserie'], []],
  ['strasse ost', ['strasse'], [], []],
  ['lukasz', ['strasse'], ['Dont'], ['Łukasz']],
  ['dont', ['dont', 'strasse'], ['Dont'], []],
  ["don't look", ['dont'], [], []],
  ['sigur ros', ['dont'], [], ['Sigur Rós']],
  ['wanda', ['eclair'], [], []],
  ['夜', ['tokyo'], [], []],
  ['lanters', ['porch'], ['Summer House'], ['The Lanterns']],
  ['porsh swing', ['porch', 'swing'], ['Porch'], []],
  ['fantasam', ['eclair'], ['Pâtisserie'], ['Fantasma']],
  ['fanntasma', ['eclair'], ['Pâtisserie'], ['Fantasma']],
  ['light', ['light'], [], []],
  ['swingg', ['porch', 'swing'], ['Porch'], ['Swingles']],
  ['wing', [], [], []],
  ['eclr', [], [], []],
  ['fantasma porch', [], [], []],
]);
for (const [typed, songs, albums, artists] of CASES) {
  test(`the search for “${typed}” finds ${[...songs, ...albums, ...artists].join(', ') || 'nothing'}`, () => {
    const found = find(typed);
    assert.deepEqual([[...found[0]].sort(), found[1], found[2]], [[...songs].sort(), [...albums], [...artists]]);
  });
}

test('matches in the title come before matches in artist and album', () => {
  assert.deepEqual(find('porch')?.[0], ['porch', 'swing']);
  assert.deepEqual(find('dont')?.[0], ['dont', 'strasse']);
});

test('a search without a word has no result', () => {
  assert.deepEqual([find(''), find('  …')], [null, null]);
});

test('a search that is prepared in parts finds the same', () => {
  const search = createSearch(TRACKS, collect(TRACKS, 'en'));
  while (!search.prepareSome());
  assert.deepEqual(search.find('kento')?.songs.map(({ trackId }) => trackId), ['tokyo', 'light']);
});
