// The elements of the lists in the Queue tab that are not rows of tracks: headers, lines of album cards, artists, playlists.

import { formatTime, hashHue, initials } from '../../format.js';
import { text } from '../../language/texts.js';
import { renderCover } from '../cover.js';
import { cloneTemplate, queryElement, setCssVariable, setHidden, setText } from '../dom.js';
import { setPermitted } from '../rules/reasons.js';

/** @typedef {import('../../language/texts.js').TextKey} TextKey */
/** @typedef {import('../../library/albums.js').Album} Album */
/** @typedef {import('../../types.js').AppState} AppState */
/** @typedef {import('./queue-items.js').ArtistItem} ArtistItem */
/** @typedef {import('./queue-items.js').CardsItem} CardsItem */
/** @typedef {import('./queue-items.js').HeaderItem} HeaderItem */
/** @typedef {import('./queue-items.js').MoreItem} MoreItem */
/** @typedef {import('./queue-items.js').PlaylistItem} PlaylistItem */

/** @type {Record<Exclude<HeaderItem['title'], 'disc'>, TextKey>} */
const HEADER_KEYS = {
  played: 'queue.played', upNext: 'queue.upNext', fromLibrary: 'queue.fromLibrary',
  songs: 'queue.songs', albums: 'queue.albums', artists: 'queue.artists', tracks: 'artist.tracks',
};

/** The total length of tracks, as far as it is known. @param {readonly string[]} trackIds @param {AppState['index']} index */
export function totalTime(trackIds, index) {
  return formatTime(trackIds.reduce((sum, trackId) => sum + (index.get(trackId)?.duration ?? 0), 0));
}

/** @param {Album} album */
export function albumArtistText({ artist }) {
  return artist ?? text('album.variousArtists');
}

/**
 * @param {() => AppState['index']} getIndex
 * @param {() => boolean} mayControl whether this phone may shuffle and sort
 * @param {() => string} orderNote says why nobody moves picks; '' if they can be moved
 */
export function createHeader(getIndex, mayControl, orderNote) {
  const element = cloneTemplate('queue-header-template');
  const title = queryElement(element, 'h2', HTMLElement);
  const detail = queryElement(element, '.detail', HTMLElement);
  const note = queryElement(element, '.note', HTMLElement);
  const actions = queryElement(element, '.actions', HTMLElement);
  return {
    element,
    /** @param {HeaderItem} item */
    render: (item) => {
      setText(title, item.title === 'disc' ? text('album.disc', { number: item.disc ?? 1 }) : text(HEADER_KEYS[item.title]));
      const count = item.trackIds?.length ?? 0;
      setText(detail, count > 0 ? text('queue.pickCount', { count, duration: totalTime(item.trackIds ?? [], getIndex()) }) : '');
      setText(note, count > 0 ? orderNote() : '');
      element.classList.toggle('has-note', note.textContent !== '');
      setHidden(actions, item.title !== 'fromLibrary');
      for (const button of actions.querySelectorAll('button')) setPermitted(button, 'control', mayControl());
      setText(queryElement(actions, '[data-action="shuffle"] span', HTMLElement), text('queue.shuffle'));
      setText(queryElement(actions, '[data-action="sort"] span', HTMLElement), text('queue.inOrder'));
    },
  };
}

export function createHint() {
  const element = cloneTemplate('queue-hint-template');
  return { element, render: () => setText(queryElement(element, 'p', HTMLElement), text('queue.noPicks')) };
}

export function createMore() {
  const element = cloneTemplate('queue-more-template');
  const button = queryElement(element, 'button', HTMLButtonElement);
  return {
    element,
    focusTarget: () => button,
    /** @param {MoreItem} item */
    render: ({ count }) => setText(button, text('queue.showAll', { count })),
  };
}

/** A line of album cards. */
export function createCards() {
  const element = cloneTemplate('queue-cards-template');
  /** @type {{card: HTMLElement, album: Album | null, isDeferred: boolean}[]} */
  const cards = [];

  /** @param {Album[]} albums */
  function resize(albums) {
    while (cards.length > albums.length) cards.pop()?.card.remove();
    while (cards.length < albums.length) {
      const card = cloneTemplate('album-card-template');
      cards.push({ card, album: null, isDeferred: false });
      element.append(card);
    }
  }

  return {
    element,
    hasDeferredCover: () => cards.some(({ isDeferred }) => isDeferred),
    focusTarget: () => /** @type {HTMLElement} */ (element.firstElementChild),
    /** @param {CardsItem} item @param {boolean} areCoversDeferred */
    render: ({ albums }, areCoversDeferred) => {
      resize([...albums]);
      albums.forEach((album, i) => {
        const entry = cards[i];
        if (!entry || (entry.album === album && !entry.isDeferred)) return;
        const isSameAlbum = entry.album === album;
        const isDeferred = areCoversDeferred;
        Object.assign(entry, { album, isDeferred });
        entry.card.classList.toggle('cover-deferred', isDeferred);
        if (!isDeferred) renderAlbumCover(queryElement(entry.card, '.cover', HTMLElement), album);
        if (isSameAlbum) return;
        entry.card.dataset['album'] = album.key;
        setText(queryElement(entry.card, '.card-title', HTMLElement), album.title);
        setText(queryElement(entry.card, '.card-artist', HTMLElement), albumArtistText(album));
      });
    },
  };
}

/** The picture of an album, or the initials of its title. @param {HTMLElement} frame @param {Album} album */
export function renderAlbumCover(frame, { cover, title }) {
  renderCover(frame, { ...cover, tags: { ...cover.tags, title } });
}

export function createArtistRow() {
  const element = cloneTemplate('artist-row-template');
  const button = queryElement(element, 'button', HTMLButtonElement);
  return {
    element,
    focusTarget: () => button,
    /** @param {ArtistItem} item */
    render: ({ artist: { key, name, albums, tracks } }) => {
      element.dataset['artist'] = key;
      const avatar = queryElement(element, '.artist-avatar', HTMLElement);
      setCssVariable(avatar, '--placeholder-hue', String(hashHue(key)));
      setText(avatar, initials(name));
      setText(queryElement(element, '.title', HTMLElement), name);
      const counts = [albums.length > 0 ? text('queue.albumCount', { count: albums.length }) : '', text('queue.trackCount', { count: tracks.length })];
      setText(queryElement(element, '.artist', HTMLElement), counts.filter(Boolean).join(' · '));
    },
  };
}

/** @param {() => AppState['index']} getIndex */
export function createPlaylistRow(getIndex) {
  const element = cloneTemplate('playlist-row-template');
  const button = queryElement(element, 'button', HTMLButtonElement);
  return {
    element,
    focusTarget: () => button,
    /** @param {PlaylistItem} item */
    render: ({ playlist: { playlistId, name, trackIds } }) => {
      element.dataset['playlist'] = playlistId;
      const first = trackIds.map((trackId) => getIndex().get(trackId)).find((track) => track?.coverUrl) ?? getIndex().get(trackIds[0] ?? '');
      const cover = queryElement(element, '.cover', HTMLElement);
      renderCover(cover, first);
      setText(queryElement(element, '.title', HTMLElement), name);
      setText(queryElement(element, '.artist', HTMLElement), text('queue.trackCount', { count: trackIds.length }));
    },
  };
}
