// Media Session: shows the room's track on the lock screen, and handles the keys of the lock screen, keyboards and headsets.
//
// Pause silences this phone alone: systems also send it when headphones are unplugged, at a phone call or for a voice assistant.
// No seek action has a handler: an iPhone would show ±10 s in place of Next.

import { offsetAt } from './clock.js';
import { roomPositionSec } from './goal.js';
import { shownRoom } from '../room/optimistic.js';
import { waitsForTap } from '../room/own-silence.js';
import { currentTrackId, isPlayingOrStarting } from '../room/selectors.js';

/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').Command} Command */
/** @typedef {import('../types.js').Room} Room */
/** @typedef {import('../types.js').Track} Track */

/**
 * The state that the system shows. `positionState` is the argument of `setPositionState`, in seconds; `null` while the
 * duration is unknown or a barrier is open.
 * @typedef {object} MediaState
 * @property {Track | null} track
 * @property {MediaSessionPlaybackState} playbackState
 * @property {{duration: number, position: number, playbackRate: number} | null} positionState
 */

/** Browsers advance the published position themselves. A position that differs by more than this is published again. */
const MAX_POSITION_ERROR_SEC = 0.25;

const ARTWORK_SIZES = [96, 192, 512];

/** @param {AppState} state @param {number} nowMs @returns {MediaState} */
export function mediaStateOf(state, nowMs) {
  const room = state.view === 'room' ? shownRoom(state) : null;
  const track = (room && state.index.get(currentTrackId(room) ?? '')) ?? null;
  if (!room || !track) return { track: null, playbackState: 'none', positionState: null };
  // While this phone is silent until a gesture, the system shows Play, because the system's Play key counts as the gesture.
  const isSilent = waitsForTap(state) || state.isOtherTabSounding;
  const playbackState = isPlayingOrStarting(room) && !isSilent ? 'playing' : 'paused';
  const { duration } = track;
  // During a barrier the state is "playing" while the position stands still. `setPositionState` throws at a rate of 0, so no
  // position is shown.
  if (!duration || room.barrier) return { track, playbackState, positionState: null };
  const positionSec = roomPositionSec(room, offsetAt(state.clock, nowMs), nowMs, duration);
  return { track, playbackState, positionState: { duration, position: Math.max(0, positionSec), playbackRate: 1 } };
}

/**
 * Whether the position that the browser computes from the published state differs from the position in `newState`.
 * @param {MediaState & {atMs: number}} publishedState
 * @param {MediaState} newState
 * @param {number} nowMs
 */
export function hasPositionChanged(publishedState, newState, nowMs) {
  if (publishedState.positionState === null || newState.positionState === null) return publishedState.positionState !== newState.positionState;
  if (publishedState.playbackState !== newState.playbackState || publishedState.positionState.duration !== newState.positionState.duration) return true;
  const elapsedSec = publishedState.playbackState === 'playing' ? (nowMs - publishedState.atMs) / 1000 : 0;
  const shownSec = Math.min(publishedState.positionState.position + elapsedSec, publishedState.positionState.duration);
  return Math.abs(shownSec - newState.positionState.position) > MAX_POSITION_ERROR_SEC;
}

/**
 * What an action of the system does: `pauseHere` and `rejoin` concern this phone alone, `play`, `next` and `previous` are commands
 * to the room; `null` does nothing.
 * @param {MediaSessionAction} action
 * @param {Pick<AppState, 'isPausedHere'>} state
 * @param {boolean} isPlaying whether the room plays, or will play when its barrier is released
 * @returns {'pauseHere' | 'rejoin' | 'play' | 'next' | 'previous' | null}
 */
export function responseTo(action, { isPausedHere }, isPlaying) {
  switch (action) {
    case 'play':
      // Where the system pauses a phone by accident, it may also resume it: the room is started only by who sees it paused.
      if (isPausedHere) return 'rejoin';
      return isPlaying ? null : 'play';
    case 'pause':
      return isPlaying ? 'pauseHere' : null;
    case 'nexttrack':
      return 'next';
    case 'previoustrack':
      return 'previous';
    default:
      return null;
  }
}

/** @type {MediaSessionAction[]} */
const ACTIONS = ['play', 'pause', 'nexttrack', 'previoustrack'];

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {(makeCommand: (room: Room) => Command | null) => unknown} options.sendCommand sends the command that
 *   `makeCommand` returns for the latest room; `null` sends nothing
 * @param {() => void} options.goToPrevious
 * @param {{pauseHere: () => void, rejoin: () => void}} options.phonePause
 * @param {() => void} options.onGesture called for Play: browsers count the system's Play key as a gesture
 */
export function startMediaSession({ store, sendCommand, goToPrevious, phonePause, onGesture }) {
  const { mediaSession } = navigator;
  if (!mediaSession) return;
  /** @type {MediaState & {atMs: number}} */
  let publishedState = { track: null, playbackState: 'none', positionState: null, atMs: 0 };
  /** @type {MediaImage[]} */
  let artwork = [];

  function publish() {
    const nowMs = performance.now();
    const newState = mediaStateOf(store.get(), nowMs);
    if (!hasSameMetadata(newState.track, publishedState.track)) publishMetadata(newState.track);
    if (newState.playbackState !== publishedState.playbackState) mediaSession.playbackState = newState.playbackState;
    if (!hasPositionChanged(publishedState, newState, nowMs)) {
      publishedState = { ...publishedState, track: newState.track, playbackState: newState.playbackState };
      return;
    }
    publishedState = { ...newState, atMs: nowMs };
    mediaSession.setPositionState(newState.positionState ?? undefined);
  }

  /** @param {Track | null} track */
  async function publishMetadata(track) {
    for (const { src } of artwork) URL.revokeObjectURL(src);
    artwork = [];
    mediaSession.metadata = track && metadataFor(track, artwork);
    if (!track?.coverUrl) return;
    const images = await renderArtwork(track.coverUrl).catch(() => []);
    if (!hasSameMetadata(publishedState.track, track)) return images.forEach(({ src }) => URL.revokeObjectURL(src));
    artwork = images;
    mediaSession.metadata = metadataFor(track, artwork);
  }

  /** @param {MediaSessionAction} action */
  function handleAction(action) {
    if (action === 'play') onGesture();
    const room = shownRoom(store.get());
    const response = responseTo(action, store.get(), room !== null && isPlayingOrStarting(room));
    switch (response) {
      case 'pauseHere':
      case 'rejoin':
        return phonePause[response]();
      case 'play':
        return void sendCommand(() => ({ name: 'play', positionSec: mediaStateOf(store.get(), performance.now()).positionState?.position ?? 0 }));
      case 'next':
        return void sendCommand(() => ({ name: 'next' }));
      case 'previous':
        return goToPrevious();
    }
  }

  for (const action of ACTIONS) {
    try {
      mediaSession.setActionHandler(action, () => handleAction(action));
    } catch {
      // Browsers throw a TypeError for an action that they do not support.
    }
  }
  store.subscribe(publish);
}

/**
 * Whether the metadata of both is the same. Track objects are replaced whenever the index is fetched again.
 * @param {Track | null} a
 * @param {Track | null} b
 */
function hasSameMetadata(a, b) {
  return a?.trackId === b?.trackId && a?.version === b?.version && a?.coverUrl === b?.coverUrl;
}

/** @param {Track} track @param {MediaImage[]} artwork */
function metadataFor({ tags: { title, artist = '', album = '' } }, artwork) {
  return new MediaMetadata({ title, artist, album, artwork });
}

/**
 * Renders the cover in the sizes that systems ask for, as Blob URLs, which work without the server.
 * @param {string} url
 * @returns {Promise<MediaImage[]>}
 */
async function renderArtwork(url) {
  const cover = new Image();
  cover.src = url;
  await cover.decode();
  return Promise.all(
    ARTWORK_SIZES.map(async (size) => {
      const canvas = document.createElement('canvas');
      canvas.width = canvas.height = size;
      const side = Math.min(cover.naturalWidth, cover.naturalHeight);
      const [left, top] = [(cover.naturalWidth - side) / 2, (cover.naturalHeight - side) / 2];
      canvas.getContext('2d')?.drawImage(cover, left, top, side, side, 0, 0, size, size);
      const blob = await new Promise((/** @type {BlobCallback} */ resolve) => canvas.toBlob(resolve, 'image/jpeg'));
      if (!blob) throw new Error('the cover could not be encoded as JPEG');
      return { src: URL.createObjectURL(blob), sizes: `${size}x${size}`, type: blob.type };
    }),
  );
}
