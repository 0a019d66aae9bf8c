// PURE: the items, the letters and the texts of the list that the Queue tab shows.

import { text } from '../../language/texts.js';
import { albumItems, albumPageItems, artistItems, artistPageItems, playlistItems, playlistTracks, searchItems, songItems, upNextItems } from './queue-items.js';

/** @typedef {import('../../types.js').HistoryEntry} HistoryEntry */
/** @typedef {import('../../types.js').Playlist} Playlist */
/** @typedef {import('../../types.js').Room} Room */
/** @typedef {import('./browsing.js').ListView} ListView */
/** @typedef {import('./library.js').Letters} Letters */
/** @typedef {import('./page-header.js').QueuePage} QueuePage */
/** @typedef {import('./queue-items.js').QueueItem} QueueItem */

/**
 * @typedef {object} ShownList
 * @property {readonly QueueItem[]} items
 * @property {QueuePage | null | 'gone'} page `gone`: the library no longer has the album, artist or playlist
 * @property {Letters | null} letters
 * @property {number} letterItemCount the number of items that the letters divide
 * @property {number} count of tracks, albums, artists or playlists
 */

/**
 * @param {ListView} view
 * @param {object} inputs
 * @param {Room | null} inputs.room
 * @param {import('./library.js').Library} inputs.library
 * @param {readonly HistoryEntry[]} inputs.history
 * @param {readonly Playlist[] | null} inputs.playlists
 * @param {number} inputs.columns cards in a line
 * @param {boolean} inputs.areAllSongsShown
 * @returns {ShownList}
 */
export function itemsOf(view, { room, library, history, playlists, columns, areAllSongsShown }) {
  const plain = (/** @type {readonly QueueItem[]} */ items, count = items.length) => ({ items, page: null, letters: null, letterItemCount: 0, count });
  const onPage = (/** @type {readonly QueueItem[]} */ items, /** @type {QueuePage} */ page) => ({ ...plain(items), page });
  const gone = { ...plain([]), page: /** @type {const} */ ('gone') };
  switch (view.name) {
    case 'up-next':
      return plain(room ? upNextItems(room, history) : [], room?.queue.length ?? 0);
    case 'albums': {
      const { albums } = library.collection();
      return { items: albumItems(albums, columns), page: null, letters: library.albumLetters(), letterItemCount: albums.length, count: albums.length };
    }
    case 'artists': {
      const { artists } = library.collection();
      return { items: artistItems(artists), page: null, letters: library.artistLetters(), letterItemCount: artists.length, count: artists.length };
    }
    case 'songs': {
      const songs = library.songs();
      return { items: songItems(songs), page: null, letters: library.songLetters(), letterItemCount: songs.length, count: songs.length };
    }
    case 'playlists':
      return plain(playlistItems(playlists ?? []));
    case 'album': {
      const album = library.collection().albumByKey.get(view.key);
      return album ? onPage(albumPageItems(album), { kind: 'album', album }) : gone;
    }
    case 'artist': {
      const artist = library.collection().artistByKey.get(view.key);
      return artist ? onPage(artistPageItems(artist, columns), { kind: 'artist', artist }) : gone;
    }
    case 'playlist': {
      const playlist = playlists?.find(({ playlistId }) => playlistId === view.key);
      return playlist ? onPage(songItems(playlistTracks(playlist, library.index)), { kind: 'playlist', playlist }) : gone;
    }
    case 'search': {
      const result = library.search().find(view.text);
      return plain(result ? searchItems(result, columns, areAllSongsShown) : [], result?.songs.length ?? 0);
    }
  }
}

/**
 * The count beside the search field, and the text of an empty list.
 * @param {ListView} view
 * @param {number} count
 * @param {boolean} isEmpty
 * @returns {{count: string, empty: string}}
 */
export function listTexts(view, count, isEmpty) {
  const tracks = text('queue.trackCount', { count });
  switch (view.name) {
    case 'up-next':
    case 'songs':
      return { count: tracks, empty: isEmpty ? text('queue.noMusic') : '' };
    case 'search':
      return { count: tracks, empty: isEmpty ? text('queue.nothingCalled', { text: view.text }) : '' };
    case 'albums':
      return { count: text('queue.albumCount', { count }), empty: isEmpty ? text('queue.noAlbums') : '' };
    case 'artists':
      return { count: text('queue.artistCount', { count }), empty: isEmpty ? text('queue.noArtists') : '' };
    case 'playlists':
      return { count: '', empty: isEmpty ? text('queue.noPlaylists') : '' };
    default:
      return { count: '', empty: '' };
  }
}
