// Albums, artists and letters of a library.

import assert from 'node:assert/strict';
import test from 'node:test';
import { collect, discsOf } from '../../../static/js/library/albums.js';
import { lettersOf, sortByName } from '../../../static/js/library/collation.js';
import { largeLibrary, track } from '../support/libraries.mjs';

const ids = (/** @type {{trackId: string}[]} */ tracks) => tracks.map(({ trackId }) => trackId);

test('an album is sorted by disc, track number and file name', () => {
  const album = { album: 'Both', artist: 'Ann' };
  const tracks = [
    track('last', album, { fileName: '10 b.mp3' }),
    track('second', { ...album, disc: 1, trackNumber: 2 }),
    track('third', { ...album, disc: 2, trackNumber: 1 }),
    track('first', { ...album, trackNumber: 1 }),
    track('early', album, { fileName: '9 a.mp3' }),
  ];
  const [both] = collect(tracks, 'en').albums;
  assert.deepEqual(ids(both.tracks), ['first', 'second', 'early', 'last', 'third']);
  assert.deepEqual(discsOf(both).map(({ disc, tracks: members }) => [disc, ids(members)]), [[1, ['first', 'second', 'early', 'last']], [2, ['third']]]);
});

test('an album of one disc has no disc numbers', () => {
  const [album] = collect([track('a', { album: 'One', disc: 1 })], 'en').albums;
  assert.deepEqual(discsOf(album).map(({ disc }) => disc), [null]);
});

test('a compilation is one album, listed under its album artist', () => {
  const tracks = [
    track('a', { album: 'Hits', artist: 'Ann', albumArtist: 'Label' }),
    track('b', { album: 'Hits', artist: 'Bob', albumArtist: 'Label' }),
    track('c', { album: 'Mixed', artist: 'Ann', compilation: true }),
    track('d', { album: 'Mixed', artist: 'Bob', compilation: true }),
  ];
  const { albums, artists } = collect(tracks, 'en');
  assert.deepEqual(albums.map(({ title, artist, tracks: members }) => [title, artist, ids(members)]), [['Hits', 'Label', ['a', 'b']], ['Mixed', null, ['c', 'd']]]);
  assert.deepEqual(artists.map(({ name, albums: own, tracks: members }) => [name, own.map(({ title }) => title), ids(members)]), [
    ['Ann', [], ['a', 'c']],
    ['Bob', [], ['b', 'd']],
    ['Label', ['Hits'], ['a', 'b']],
  ]);
});

test('equal titles of two artists are two albums', () => {
  const tracks = [track('a', { album: 'Greatest Hits', artist: 'Ann' }), track('b', { album: 'Greatest hits', artist: 'Bob' }), track('c', { album: 'Greatest Hits', artist: 'ann' })];
  assert.deepEqual(collect(tracks, 'en').albums.map(({ artist, tracks: members }) => [artist, ids(members)]), [['Ann', ['a', 'c']], ['Bob', ['b']]]);
});

test('the album number of the server joins tracks of several artists', () => {
  const tracks = [track('a', { album: 'Split', artist: 'Ann' }, { albumId: 4 }), track('b', { album: 'Split', artist: 'Bob' }, { albumId: 4 })];
  assert.deepEqual(collect(tracks, 'en').albums.map(({ artist, tracks: members }) => [artist, ids(members)]), [[null, ['a', 'b']]]);
});

test('an album has its most common year and the first picture', () => {
  const tracks = [track('a', { album: 'X', year: 1999 }), track('b', { album: 'X', year: 1971 }, { coverUrl: '/cover/b' }), track('c', { album: 'X', year: 1971 })];
  const [{ year, cover }] = collect(tracks, 'en').albums;
  assert.deepEqual([year, cover.trackId], [1971, 'b']);
});

test('tracks without an album are listed under their artist only', () => {
  const { albums, artists, albumKeys } = collect([track('a', { artist: 'Ann' }), track('b')], 'en');
  assert.deepEqual([albums, artists.map(({ name, tracks }) => [name, ids(tracks)]), albumKeys.size], [[], [['Ann', ['a']]], 0]);
});

test('the albums of an artist are listed newest first', () => {
  const tracks = [track('a', { album: 'Old', artist: 'Ann', year: 1970 }), track('b', { album: 'New', artist: 'Ann', year: 2020 })];
  assert.deepEqual(collect(tracks, 'en').artists[0]?.albums.map(({ title }) => title), ['New', 'Old']);
});

test('names are sorted without case, accents and article, numbers last', () => {
  const names = ['zebra', 'The Beatles', 'Ähnlich', '10cc', 'Ben', 'étude', 'The', '2 Unlimited'];
  const sorted = sortByName(names, (name) => name, 'en');
  assert.deepEqual(sorted, ['Ähnlich', 'The Beatles', 'Ben', 'étude', 'The', 'zebra', '2 Unlimited', '10cc']);
  assert.deepEqual(lettersOf(sorted, (name) => name).map(({ letter, index }) => `${letter}${index}`), ['A0', 'B1', 'E3', 'T4', 'Z5', '#6']);
});

test('every track of a large library is in exactly one album', () => {
  const tracks = largeLibrary(2_000);
  const { albums, albumKeys } = collect(tracks, 'en');
  assert.deepEqual([albums.length, albumKeys.size, albums.reduce((sum, album) => sum + album.tracks.length, 0)], [200, 2_000, 2_000]);
});
