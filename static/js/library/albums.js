// PURE: groups the tracks of the index into albums and artists.

import { sortByName } from './collation.js';
import { fold } from './fold.js';

/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * @typedef {object} Album
 * @property {string} key
 * @property {string} title
 * @property {string | null} artist the album artist, or the artist of all tracks; `null`: various artists
 * @property {number | null} year
 * @property {Track} cover a track whose picture represents the album
 * @property {Track[]} tracks in the order of discs and track numbers
 */

/**
 * @typedef {object} Artist
 * @property {string} key
 * @property {string} name
 * @property {Album[]} albums newest first
 * @property {Track[]} tracks all tracks of the artist, album by album, then those without an album
 */

/**
 * @typedef {object} Collection
 * @property {Album[]} albums by title
 * @property {Artist[]} artists by name
 * @property {ReadonlyMap<string, Album>} albumByKey
 * @property {ReadonlyMap<string, Artist>} artistByKey
 * @property {ReadonlyMap<TrackId, string>} albumKeys the album of each track that has one
 */

/** Created once, because a collator takes longer to create than to compare thousands of names. */
const FILE_ORDER = new Intl.Collator(undefined, { numeric: true });

/** @param {Track} track */
function albumKeyOf({ albumId, tags }) {
  if (!tags.album) return null;
  if (albumId !== undefined) return `${albumId}`;
  const artist = tags.compilation && !tags.albumArtist ? '' : (tags.albumArtist ?? tags.artist ?? '');
  return `${fold(tags.album)}|${fold(artist)}`;
}

/** @param {string | undefined} name @returns {string | null} the key of the artist of this name */
export function artistKeyOf(name) {
  return (name && fold(name).trim()) || null;
}

/**
 * @param {Iterable<Track>} tracks
 * @param {string} locale for the order of names
 * @returns {Collection}
 */
export function collect(tracks, locale) {
  /** @type {Map<string, Track[]>} */
  const tracksByAlbum = new Map();
  /** @type {Track[]} */
  const singles = [];
  for (const track of tracks) {
    const key = albumKeyOf(track);
    if (key === null) singles.push(track);
    else append(tracksByAlbum, key, track);
  }
  const albums = sortByName([...tracksByAlbum].map(([key, members]) => albumOf(key, members)), ({ title }) => title, locale);
  const artists = collectArtists(albums, singles, locale);
  return {
    albums,
    artists,
    albumByKey: new Map(albums.map((album) => [album.key, album])),
    artistByKey: new Map(artists.map((artist) => [artist.key, artist])),
    albumKeys: new Map(albums.flatMap(({ key, tracks: members }) => members.map(({ trackId }) => /** @type {const} */ ([trackId, key])))),
  };
}

/** @param {string} key @param {Track[]} members @returns {Album} */
function albumOf(key, members) {
  const tracks = [...members].sort(compareByPlace);
  const first = /** @type {Track} */ (tracks[0]);
  return {
    key,
    title: first.tags.album ?? '',
    artist: albumArtistOf(tracks),
    year: mostCommon(tracks.flatMap(({ tags }) => tags.year ?? [])),
    cover: tracks.find(({ coverUrl }) => coverUrl) ?? first,
    tracks,
  };
}

/** @param {Track} a @param {Track} b */
function compareByPlace({ tags: a, fileName: fileA }, { tags: b, fileName: fileB }) {
  const byNumbers = (a.disc ?? 1) - (b.disc ?? 1) || (a.trackNumber ?? Infinity) - (b.trackNumber ?? Infinity);
  // Two missing numbers give NaN.
  return byNumbers || FILE_ORDER.compare(fileA, fileB);
}

/** @param {Track[]} tracks */
function albumArtistOf(tracks) {
  const albumArtists = new Set(tracks.flatMap(({ tags }) => tags.albumArtist ?? []));
  if (albumArtists.size === 1) return [...albumArtists][0] ?? null;
  if (tracks.some(({ tags }) => tags.compilation)) return null;
  const artists = tracks.map(({ tags }) => tags.artist ?? '');
  const isOneArtist = new Set(artists.map(fold)).size === 1;
  return (isOneArtist && artists[0]) || null;
}

/** @param {number[]} values @returns {number | null} the value that occurs most often; the first of several */
function mostCommon(values) {
  /** @type {Map<number, number>} */
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? null;
}

/**
 * @param {Album[]} albums
 * @param {Track[]} singles tracks without an album
 * @param {string} locale
 */
function collectArtists(albums, singles, locale) {
  /** @type {Map<string, {name: string, albums: Album[], tracks: Track[]}>} */
  const entries = new Map();
  const entryOf = (/** @type {string | undefined | null} */ name) => {
    const key = artistKeyOf(name ?? undefined);
    if (key === null || !name) return null;
    const entry = entries.get(key) ?? { name, albums: [], tracks: [] };
    entries.set(key, entry);
    return entry;
  };
  for (const album of albums) {
    const albumArtist = entryOf(album.artist);
    albumArtist?.albums.push(album);
    for (const track of album.tracks) {
      albumArtist?.tracks.push(track);
      const trackArtist = entryOf(track.tags.artist);
      if (trackArtist !== albumArtist) trackArtist?.tracks.push(track);
    }
  }
  for (const track of singles) entryOf(track.tags.artist)?.tracks.push(track);
  const artists = [...entries].map(([key, { name, albums: own, tracks }]) => ({
    key,
    name,
    albums: [...own].sort((a, b) => (b.year ?? 0) - (a.year ?? 0)),
    tracks,
  }));
  return sortByName(artists, ({ name }) => name, locale);
}

/**
 * The tracks of an album, divided by disc; one group without a number if there is only one disc.
 * @param {Album} album
 * @returns {{disc: number | null, tracks: Track[]}[]}
 */
export function discsOf({ tracks }) {
  /** @type {Map<number, Track[]>} */
  const discs = new Map();
  for (const track of tracks) append(discs, track.tags.disc ?? 1, track);
  if (discs.size <= 1) return [{ disc: null, tracks }];
  return [...discs].map(([disc, members]) => ({ disc, tracks: members }));
}

/** @template K, V @param {Map<K, V[]>} map @param {K} key @param {V} value */
function append(map, key, value) {
  const values = map.get(key);
  if (values) values.push(value);
  else map.set(key, [value]);
}
