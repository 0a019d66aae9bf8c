// PURE: the items of each list in the Queue tab.

import { artistKeyOf, discsOf } from '../../library/albums.js';
import { libraryTrackIds, picksOf } from '../../room/picks.js';
import { currentTrackId } from '../../room/selectors.js';
import { inLines } from './item-layout.js';

/** @typedef {import('../../library/albums.js').Album} Album */
/** @typedef {import('../../library/albums.js').Artist} Artist */
/** @typedef {import('../../types.js').HistoryEntry} HistoryEntry */
/** @typedef {import('../../types.js').Playlist} Playlist */
/** @typedef {import('../../types.js').Room} Room */
/** @typedef {import('../../types.js').Track} Track */
/** @typedef {import('../../types.js').TrackId} TrackId */

/**
 * A row of a track. `place`: where the track stands: the current one, one of the picks, behind them, played before, or anywhere
 * in the library. `number`: of the track on its album. `hidesArtist`: because the page names the artist.
 * @typedef {{kind: 'track', key: string, trackId: TrackId, place: 'current' | 'pick' | 'ring' | 'played' | 'song', entry?: HistoryEntry, number?: number, hidesArtist?: boolean}} TrackItem
 */
/** @typedef {{kind: 'header', key: string, title: 'played' | 'upNext' | 'fromLibrary' | 'songs' | 'albums' | 'artists' | 'tracks' | 'disc', disc?: number, trackIds?: readonly TrackId[]}} HeaderItem `trackIds`: whose length is shown */
/** @typedef {{kind: 'hint', key: string, text: 'noPicks'}} HintItem */
/** @typedef {{kind: 'cards', key: string, albums: readonly Album[]}} CardsItem */
/** @typedef {{kind: 'artist', key: string, artist: Artist}} ArtistItem */
/** @typedef {{kind: 'playlist', key: string, playlist: Playlist}} PlaylistItem */
/** @typedef {{kind: 'more', key: string, count: number}} MoreItem shows all songs that were found */
/** @typedef {TrackItem | HeaderItem | HintItem | CardsItem | ArtistItem | PlaylistItem | MoreItem} QueueItem */

/** The key of the current track's item, and of each other track of the ring. @param {TrackId} trackId */
export const trackKey = (trackId) => `t:${trackId}`;

/** Songs that a search shows above the albums and artists that it found. */
const FIRST_SONG_COUNT = 6;

/**
 * What was played (oldest first), the current track, the picks, and the rest of the ring.
 * @param {Room} room
 * @param {readonly HistoryEntry[]} history newest first
 * @returns {QueueItem[]}
 */
export function upNextItems(room, history) {
  const currentId = currentTrackId(room);
  if (currentId === null) return [];
  const picks = picksOf(room);
  const libraryIds = libraryTrackIds(room);
  /** @type {QueueItem[]} */
  const items = [];
  if (history.length > 0) items.push({ kind: 'header', key: 'header:played', title: 'played' });
  for (const entry of [...history].reverse()) items.push({ kind: 'track', key: `h:${entry.id}`, trackId: entry.trackId, place: 'played', entry });
  items.push({ kind: 'track', key: trackKey(currentId), trackId: currentId, place: 'current' });
  items.push({ kind: 'header', key: 'header:upNext', title: 'upNext', trackIds: picks.map(({ trackId }) => trackId) });
  if (picks.length === 0) items.push({ kind: 'hint', key: 'hint', text: 'noPicks' });
  for (const { trackId } of picks) items.push({ kind: 'track', key: trackKey(trackId), trackId, place: 'pick' });
  if (libraryIds.length > 0) items.push({ kind: 'header', key: 'header:fromLibrary', title: 'fromLibrary' });
  for (const trackId of libraryIds) items.push({ kind: 'track', key: trackKey(trackId), trackId, place: 'ring' });
  return items;
}

/** @param {readonly Track[]} tracks @param {string} [group] distinguishes rows of one track in several groups @returns {TrackItem[]} */
export function songItems(tracks, group = '') {
  /** How often a playlist has had each track so far. @type {Map<TrackId, number>} */
  const counts = new Map();
  return tracks.map(({ trackId }) => {
    const count = counts.get(trackId) ?? 0;
    counts.set(trackId, count + 1);
    return { kind: 'track', key: `s:${group}${trackId}${count > 0 ? `:${count}` : ''}`, trackId, place: 'song' };
  });
}

/** @param {readonly Album[]} albums @param {number} columns @returns {CardsItem[]} */
export function albumItems(albums, columns) {
  return inLines(albums, columns).map((line, i) => ({ kind: 'cards', key: `c:${i}`, albums: line }));
}

/** @param {readonly Artist[]} artists @returns {ArtistItem[]} */
export function artistItems(artists) {
  return artists.map((artist) => ({ kind: 'artist', key: `a:${artist.key}`, artist }));
}

/** @param {readonly Playlist[]} playlists @returns {PlaylistItem[]} */
export function playlistItems(playlists) {
  return playlists.map((playlist) => ({ kind: 'playlist', key: `p:${playlist.playlistId}`, playlist }));
}

/** The tracks of an album, disc by disc. @param {Album} album @returns {QueueItem[]} */
export function albumPageItems(album) {
  return discsOf(album).flatMap(({ disc, tracks }) => {
    /** @type {QueueItem[]} */
    const rows = songItems(tracks, `${disc ?? ''}.`).map((item, i) => {
      const { trackNumber, artist } = tracks[i]?.tags ?? {};
      return { ...item, number: trackNumber, hidesArtist: album.artist !== null && artistKeyOf(artist) === artistKeyOf(album.artist) };
    });
    return disc === null ? rows : [{ kind: 'header', key: `header:disc${disc}`, title: 'disc', disc }, ...rows];
  });
}

/** @param {Artist} artist @param {number} columns @returns {QueueItem[]} */
export function artistPageItems({ albums, tracks }, columns) {
  /** @type {QueueItem[]} */
  const items = [];
  if (albums.length > 0) items.push({ kind: 'header', key: 'header:albums', title: 'albums' }, ...albumItems(albums, columns));
  if (tracks.length > 0) items.push({ kind: 'header', key: 'header:tracks', title: 'tracks' }, ...songItems(tracks));
  return items;
}

/** The known tracks of a playlist. @param {Playlist} playlist @param {ReadonlyMap<TrackId, Track>} index */
export function playlistTracks({ trackIds }, index) {
  return trackIds.flatMap((trackId) => index.get(trackId) ?? []);
}

/**
 * What a search found, in groups.
 * @param {import('../../library/search.js').SearchResult} result
 * @param {number} columns
 * @param {boolean} areAllSongsShown
 * @returns {QueueItem[]}
 */
export function searchItems({ songs, albums, artists }, columns, areAllSongsShown) {
  const isShortened = !areAllSongsShown && songs.length > FIRST_SONG_COUNT + 1 && albums.length + artists.length > 0;
  const shownSongs = isShortened ? songs.slice(0, FIRST_SONG_COUNT) : songs;
  /** @type {QueueItem[]} */
  const items = [];
  if (songs.length > 0) items.push({ kind: 'header', key: 'header:songs', title: 'songs' }, ...songItems(shownSongs));
  if (isShortened) items.push({ kind: 'more', key: 'more', count: songs.length });
  if (albums.length > 0) items.push({ kind: 'header', key: 'header:albums', title: 'albums' }, ...albumItems(albums, columns));
  if (artists.length > 0) items.push({ kind: 'header', key: 'header:artists', title: 'artists' }, ...artistItems(artists));
  return items;
}
