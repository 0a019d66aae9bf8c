// The view of what plays, and the controls below both views.

import { roomPosition } from '../align.js';
import { offsetAt } from '../clock.js';
import { shownRoom } from '../foresee.js';
import { currentTrack, nextUp, wantsToPlay, waitedFor } from '../state.js';
import { statusOf } from '../status.js';
import { renderCover } from './cover.js';
import { byId, part, setAttribute, setText } from './dom.js';
import { createListeners } from './listeners.js';
import { arrive } from './motion.js';
import { createPosition } from './position.js';
import { createTint } from './tint.js';

/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').Command} Command */
/** @typedef {import('../types.js').Room} Room */

/** So often the seek bar moves. */
const TICK_MS = 250;

/** The figure in the status line changes so often at most: it is to be read. */
const FIGURE_EVERY_MS = 2_000;

/**
 * @param {object} on
 * @param {() => AppState} on.state
 * @param {(make: (room: Room) => Command | null) => void} on.press
 */
export function createNow(on) {
  const cover = byId('now-cover', HTMLElement);
  const title = byId('now-title', HTMLElement);
  const artist = byId('now-artist', HTMLElement);
  const album = byId('now-album', HTMLElement);
  const titles = part(document, '.titles', HTMLElement);
  const frame = byId('room-view', HTMLElement);
  const upcomingLine = byId('now-next-line', HTMLElement);
  const upcomingTitle = byId('now-next', HTMLElement);
  const upcomingCover = byId('now-next-cover', HTMLElement);
  const dockTitle = byId('dock-title', HTMLElement);
  const dockArtist = byId('dock-artist', HTMLElement);
  const dockCover = byId('dock-cover', HTMLElement);
  const status = byId('status', HTMLElement);
  const statusText = part(status, '.text', HTMLElement);
  const statusFigure = part(status, '.figure', HTMLElement);
  const note = byId('storage-note', HTMLElement);
  const play = byId('play', HTMLButtonElement);
  const next = byId('next', HTMLButtonElement);
  const startNow = byId('start-now', HTMLButtonElement);
  const listen = byId('listen', HTMLButtonElement);
  const renderListeners = createListeners();
  const tint = createTint();
  const plainTitle = document.title;
  let figureMs = -Infinity;
  /** @type {string | null} */
  let shownTrack = null;

  const position = createPosition((positionSec, trackId) =>
    on.press((room) => (currentTrack(room) === trackId ? { name: 'seek', positionSec } : null)),
  );

  /** @param {Room} room */
  function positionOf(room) {
    const { clock, index } = on.state();
    const durationSec = index.get(currentTrack(room) ?? '')?.duration ?? 0;
    return roomPosition(room, offsetAt(clock, performance.now()), performance.now(), durationSec);
  }

  play.addEventListener('click', () => {
    const room = shownRoom(on.state());
    if (!room) return;
    const name = wantsToPlay(room) ? 'pause' : 'play';
    on.press((now) => ({ name, positionSec: positionOf(now) }));
  });
  next.addEventListener('click', () => on.press(() => ({ name: 'next' })));
  startNow.addEventListener('click', () => on.press(() => ({ name: 'start-now' })));

  function renderPosition() {
    const room = shownRoom(on.state());
    if (!room) return;
    const { index } = on.state();
    const trackId = currentTrack(room);
    const place = { trackId, positionSec: positionOf(room), playing: room.playState.mode === 'playing' };
    position.render(place, index.get(trackId ?? '')?.duration ?? 0);
  }

  /** @param {AppState} state */
  function renderStatus(state) {
    const { text, figure, tone } = statusOf(state);
    setText(statusText, text);
    setAttribute(status, 'data-tone', tone);
    const nowMs = performance.now();
    // That of a download only grows.
    const restless = figure !== '' && tone !== 'busy' && statusFigure.textContent !== '';
    if (restless && nowMs - figureMs < FIGURE_EVERY_MS) return;
    figureMs = nowMs;
    setText(statusFigure, figure);
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {boolean} offered
   */
  function offer(button, offered) {
    // The focus would be lost with what it is on.
    if (!offered && document.activeElement === button) play.focus({ preventScroll: true });
    button.hidden = !offered;
  }

  setInterval(() => {
    if (document.visibilityState === 'visible') renderPosition();
  }, TICK_MS);

  return {
    /**
     * Names the page by what plays, also while nobody sees it and nothing is drawn.
     * @param {AppState} state
     */
    retitle: (state) => {
      const room = shownRoom(state);
      const name = state.index.get((room && currentTrack(room)) ?? '')?.tags.title;
      const title = name ? `${name} · Lockstep` : plainTitle;
      if (document.title !== title) document.title = title;
    },

    /** @param {AppState} state */
    render: (state) => {
      const room = shownRoom(state);
      const track = state.index.get((room && currentTrack(room)) ?? '');
      const { title: name = '', artist: by = '', album: from = '' } = track?.tags ?? {};
      setText(title, name || (state.scanning ? 'Reading the music…' : 'Nothing to play yet'));
      setText(artist, by);
      setText(album, from);
      setText(dockTitle, name);
      setText(dockArtist, by);
      renderCover(cover, track);
      renderCover(dockCover, track);
      tint(track);
      if (track && shownTrack !== null && shownTrack !== track.trackId) {
        arrive(cover);
        arrive(titles, 60);
      }
      shownTrack = track?.trackId ?? null;
      const playing = room !== null && wantsToPlay(room);
      setAttribute(frame, 'data-playing', String(playing));
      setAttribute(play, 'aria-label', playing ? 'Pause' : 'Play');
      play.disabled = next.disabled = !track;
      offer(startNow, room !== null && waitedFor(room).length > 0);
      offer(listen, state.sound.locked && playing);
      setText(note, state.storageNote ?? '');

      const upcoming = state.index.get((room && nextUp(room)) ?? '');
      setText(upcomingTitle, upcoming?.tags.title ?? '');
      renderCover(upcomingCover, upcoming);
      upcomingLine.hidden = !upcoming;

      renderStatus(state);
      renderListeners(room, state.memberId, state.sound.locked);
      renderPosition();
    },
  };
}
