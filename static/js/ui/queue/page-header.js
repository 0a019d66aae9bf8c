// The head of the page of an album, an artist or a playlist: picture, name, facts, and what can be done with all of its tracks.

import { hashHue, initials } from '../../format.js';
import { text } from '../../language/texts.js';
import { renderCover } from '../cover.js';
import { elementById, queryElement, setCssVariable, setHidden, setText } from '../dom.js';
import { setPermitted } from '../rules/reasons.js';
import { albumArtistText, renderAlbumCover, totalTime } from './list-items.js';

/** @typedef {import('../../library/albums.js').Album} Album */
/** @typedef {import('../../library/albums.js').Artist} Artist */
/** @typedef {import('../../types.js').AppState} AppState */
/** @typedef {import('../../types.js').Playlist} Playlist */
/** @typedef {import('../../types.js').TrackId} TrackId */

/** @typedef {{kind: 'album', album: Album} | {kind: 'artist', artist: Artist} | {kind: 'playlist', playlist: Playlist}} QueuePage */

const ADD_KEYS = /** @type {const} */ ({ album: 'album.add', artist: 'artist.add', playlist: 'playlist.add' });

/** @param {QueuePage} page @returns {readonly TrackId[]} */
export function pageTrackIds(page) {
  if (page.kind === 'playlist') return [...new Set(page.playlist.trackIds)];
  return (page.kind === 'album' ? page.album : page.artist).tracks.map(({ trackId }) => trackId);
}

/**
 * @param {object} options
 * @param {() => void} options.onBack
 * @param {(trackIds: readonly TrackId[]) => void} options.onAdd
 * @param {(trackIds: readonly TrackId[]) => void} options.onPlayNext
 * @param {(name: string) => void} options.onArtist
 */
export function createPageHeader({ onBack, onAdd, onPlayNext, onArtist }) {
  const header = elementById('queue-page', HTMLElement);
  const cover = elementById('page-cover', HTMLElement);
  const title = elementById('page-title', HTMLElement);
  const artistButton = elementById('page-artist', HTMLButtonElement);
  const artistText = elementById('page-artist-text', HTMLElement);
  const facts = elementById('page-facts', HTMLElement);
  const addButton = elementById('page-add', HTMLButtonElement);
  const nextButton = elementById('page-next', HTMLButtonElement);
  const backButton = elementById('page-back', HTMLButtonElement);
  /** @type {QueuePage | null} */
  let page = null;

  backButton.addEventListener('click', onBack);
  addButton.addEventListener('click', () => page && onAdd(pageTrackIds(page)));
  nextButton.addEventListener('click', () => page && onPlayNext(pageTrackIds(page)));
  artistButton.addEventListener('click', () => page?.kind === 'album' && page.album.artist && onArtist(page.album.artist));

  return {
    focus: () => title.focus({ preventScroll: true }),
    /**
     * @param {QueuePage | null} newPage
     * @param {AppState['index']} index
     * @param {{add: boolean, move: boolean}} permitted what the rules let this phone do
     */
    render: (newPage, index, permitted) => {
      page = newPage;
      setHidden(backButton, page === null);
      setHidden(header, page === null);
      if (!page) return;
      const trackIds = pageTrackIds(page);
      header.dataset['kind'] = page.kind;
      setText(queryElement(addButton, 'span', HTMLElement), text(ADD_KEYS[page.kind]));
      setText(queryElement(nextButton, 'span', HTMLElement), text('album.playNext'));
      setHidden(nextButton, page.kind === 'artist');
      setPermitted(addButton, 'pick', permitted.add);
      setPermitted(nextButton, permitted.add ? 'move' : 'pick', permitted.add && permitted.move);
      const counts = [text('queue.trackCount', { count: trackIds.length }), totalTime(trackIds, index)];
      const year = page.kind === 'album' && page.album.year !== null ? [String(page.album.year)] : [];
      setText(facts, [...year, ...counts].join(' · '));
      const albumArtist = page.kind === 'album' ? page.album.artist : null;
      setHidden(artistButton, albumArtist === null);
      setText(artistButton, albumArtist ?? '');
      setHidden(artistText, page.kind !== 'album' || albumArtist !== null);
      if (page.kind === 'album') {
        setText(title, page.album.title);
        setText(artistText, albumArtistText(page.album));
        renderAlbumCover(cover, page.album);
      } else if (page.kind === 'artist') {
        setText(title, page.artist.name);
        renderCover(cover, undefined);
        setCssVariable(cover, '--placeholder-hue', String(hashHue(page.artist.key)));
        setText(queryElement(cover, '.initials', HTMLElement), initials(page.artist.name));
      } else {
        setText(title, page.playlist.name);
        const first = page.playlist.trackIds.map((trackId) => index.get(trackId)).find((track) => track?.coverUrl);
        renderCover(cover, first ?? index.get(page.playlist.trackIds[0] ?? ''));
      }
    },
  };
}
