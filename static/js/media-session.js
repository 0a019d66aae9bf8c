// What the lock screen, the headset and the media keys show of the room, and what they do to it: the same
// as the buttons of the page. Nothing here touches audio.

import { roomPosition } from './align.js';
import { offsetAt } from './clock.js';
import { shownRoom } from './foresee.js';
import { currentTrack, wantsToPlay } from './state.js';

/** @typedef {import('./types.js').AppState} AppState */
/** @typedef {import('./types.js').Command} Command */
/** @typedef {import('./types.js').Room} Room */
/** @typedef {import('./types.js').Track} Track */

/**
 * What is to be shown. The position is `null` while nobody can say how it moves.
 * @typedef {object} Showing
 * @property {Track | null} track
 * @property {MediaSessionPlaybackState} playback
 * @property {{duration: number, position: number, playbackRate: number} | null} position
 */

/** A browser reckons on from what it was told; it is told anew when that is off by more, in seconds. */
const OFF_SEC = 0.25;

/** Systems that name no distance mean this one, in seconds. */
const STEP_SEC = 10;

const ARTWORK_SIZES = [96, 192, 512];

/**
 * @param {AppState} state
 * @param {number} nowMs
 * @returns {Showing}
 */
export function showing(state, nowMs) {
  const room = state.view === 'room' ? shownRoom(state) : null;
  const track = (room && state.index.get(currentTrack(room) ?? '')) ?? null;
  if (!room || !track) return { track: null, playback: 'none', position: null };
  // A phone that has to be tapped is offered Play, which will do for the tap.
  const playback = wantsToPlay(room) && !state.sound.locked ? 'playing' : 'paused';
  const { duration } = track;
  // A rate of 0, which waiting would be, is not allowed; without a position no bar runs on.
  if (!duration || room.barrier) return { track, playback, position: null };
  const at = roomPosition(room, offsetAt(state.clock, nowMs), nowMs, duration);
  return { track, playback, position: { duration, position: Math.max(0, at), playbackRate: 1 } };
}

/**
 * Whether what was told at an earlier moment leads elsewhere than `next` by now.
 * @param {Showing & {atMs: number}} told
 * @param {Showing} next
 * @param {number} nowMs
 */
export function isOff(told, next, nowMs) {
  if (told.position === null || next.position === null) return told.position !== next.position;
  if (told.playback !== next.playback || told.position.duration !== next.position.duration) return true;
  const ranSec = told.playback === 'playing' ? (nowMs - told.atMs) / 1000 : 0;
  const reckoned = Math.min(told.position.position + ranSec, told.position.duration);
  return Math.abs(reckoned - next.position.position) > OFF_SEC;
}

/**
 * The command that a key of the system stands for, given what is shown; `null` for none.
 * @param {MediaSessionActionDetails} details
 * @param {Showing} shown
 * @param {boolean} plays Whether the room plays, or is about to.
 * @returns {Command | null}
 */
export function commandOf({ action, seekTime, seekOffset }, { position: shown }, plays) {
  const positionSec = shown?.position ?? 0;
  const seek = (/** @type {number} */ to) => {
    const last = shown?.duration ?? Infinity;
    return /** @type {Command} */ ({ name: 'seek', positionSec: Math.min(Math.max(0, to), last) });
  };
  switch (action) {
    case 'play':
      return plays ? null : { name: 'play', positionSec };
    case 'pause':
      return plays ? { name: 'pause', positionSec } : null;
    case 'nexttrack':
      return { name: 'next' };
    case 'seekto':
      return seekTime === undefined || seekTime === null ? null : seek(seekTime);
    case 'seekforward':
      return seek(positionSec + (seekOffset ?? STEP_SEC));
    case 'seekbackward':
      return seek(positionSec - (seekOffset ?? STEP_SEC));
    default:
      return null;
  }
}

/** @type {MediaSessionAction[]} */
const ACTIONS = ['play', 'pause', 'nexttrack', 'seekto', 'seekforward', 'seekbackward'];

/**
 * @param {object} options
 * @param {import('./store.js').Store} options.store
 * @param {(make: (room: Room) => Command | null) => void} options.press
 * @param {() => void} options.gesture Browsers take a key of the system for a touch of the page.
 */
export function createMediaSession({ store, press, gesture }) {
  const { mediaSession } = navigator;
  if (!mediaSession) return;
  /** @type {Showing & {atMs: number}} */
  let told = { track: null, playback: 'none', position: null, atMs: 0 };
  /** @type {MediaImage[]} */
  let artwork = [];

  function show() {
    const nowMs = performance.now();
    const next = showing(store.get(), nowMs);
    if (!sameLook(next.track, told.track)) showTrack(next.track);
    if (next.playback !== told.playback) mediaSession.playbackState = next.playback;
    // What is told of the position stands until it is off: then it is counted from there.
    if (!isOff(told, next, nowMs)) {
      told = { ...told, track: next.track, playback: next.playback };
      return;
    }
    told = { ...next, atMs: nowMs };
    mediaSession.setPositionState(next.position ?? undefined);
  }

  /** @param {Track | null} track */
  async function showTrack(track) {
    for (const { src } of artwork) URL.revokeObjectURL(src);
    artwork = [];
    mediaSession.metadata = track && describe(track, artwork);
    if (!track?.coverUrl) return;
    const drawn = await draw(track.coverUrl).catch(() => []);
    if (!sameLook(told.track, track)) return drawn.forEach(({ src }) => URL.revokeObjectURL(src));
    artwork = drawn;
    mediaSession.metadata = describe(track, artwork);
  }

  for (const action of ACTIONS) {
    try {
      mediaSession.setActionHandler(action, (details) => {
        if (action === 'play') gesture();
        press((room) => {
          const shown = showing(store.get(), performance.now());
          return commandOf(details, shown, wantsToPlay(room));
        });
      });
    } catch {
      // A browser that does not know the action has no key for it.
    }
  }
  store.subscribe(show);
}

/**
 * Whether both look the same there. After each reconnection a track is described anew.
 * @param {Track | null} a
 * @param {Track | null} b
 */
function sameLook(a, b) {
  return a?.trackId === b?.trackId && a?.version === b?.version && a?.coverUrl === b?.coverUrl;
}

/**
 * @param {Track} track
 * @param {MediaImage[]} artwork
 */
function describe({ tags: { title, artist = '', album = '' } }, artwork) {
  return new MediaMetadata({ title, artist, album, artwork });
}

/**
 * The cover in the sizes that systems ask for, at hand even when the server is away.
 * @param {string} url
 * @returns {Promise<MediaImage[]>}
 */
async function draw(url) {
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
      if (!blob) throw new Error('the cover cannot be drawn');
      return { src: URL.createObjectURL(blob), sizes: `${size}x${size}`, type: blob.type };
    }),
  );
}
