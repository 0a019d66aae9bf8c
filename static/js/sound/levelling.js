// PURE: how loud this phone plays. Tracks are levelled to one loudness: all phones play a track with the same gain. The server
// decides that gain once and states it in the room, so that it never changes while the track sounds. While the server is
// unreachable, the phones decide as the server would (`level_gain_db` in src/room/levelling.rs).

import { currentTrackId, validSegue } from '../room/selectors.js';

/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').Room} Room */
/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {Pick<Track, 'gainDb' | 'peak' | 'albumId' | 'albumGainDb' | 'albumPeak'>} TrackLevel */

const MAX_GAIN_DB = 15;

/** The highest peak after levelling, in dB of full scale. */
const MAX_PEAK_DB = -1;

/**
 * The gain of a track in dB; `null` if its loudness is unknown. A track after another one of its album has the same gain as that
 * one, and the first of them the gain of the album.
 * @param {TrackLevel} track
 * @param {{albumId?: number | undefined, gainDb: number | null} | null} previous the track that plays before it, and its gain
 * @param {number | undefined} nextAlbumId the album of the track that follows
 * @returns {number | null}
 */
export function levelGainDb(track, previous, nextAlbumId) {
  const { albumId, albumGainDb } = track;
  const isAfterAlbumTrack = albumId !== undefined && previous?.albumId === albumId;
  const isInAlbum = isAfterAlbumTrack || (albumId !== undefined && nextAlbumId === albumId);
  const inheritedDb = isAfterAlbumTrack ? previous?.gainDb : null;
  const ofAlbumDb = isInAlbum && albumGainDb !== undefined ? limited(albumGainDb, track.albumPeak) : null;
  const gainDb = inheritedDb ?? ofAlbumDb ?? track.gainDb;
  if (gainDb === undefined) return null;
  // Adding 0 turns -0 into 0.
  return Math.round(limited(gainDb, track.peak) * 100) / 100 + 0;
}

/** @param {number} gainDb @param {number} [peak] an unknown peak counts as full scale */
function limited(gainDb, peak = 1) {
  const clampedDb = Math.max(-MAX_GAIN_DB, Math.min(MAX_GAIN_DB, gainDb));
  return Math.min(clampedDb, MAX_PEAK_DB - 20 * Math.log10(peak));
}

/**
 * The factor with which a track is played.
 * @param {Pick<AppState, 'room' | 'index' | 'settings'>} state
 * @param {TrackId} trackId
 */
export function trackGain({ room, index, settings }, trackId) {
  const gainDb = room && settings.isLevelling ? roomGainDb(room, index, trackId) : null;
  return gainDb === null ? 1 : toFactor(gainDb);
}

/**
 * @param {Room} room
 * @param {AppState['index']} index
 * @param {TrackId} trackId
 */
function roomGainDb(room, index, trackId) {
  if (trackId === currentTrackId(room)) return room.gainDb;
  const segue = validSegue(room);
  const { queue, queueIndex } = room;
  /** The id of the track that is `distance` places after the current one. @param {number} distance */
  const idAt = (distance) => queue[(queueIndex + distance) % queue.length] ?? '';
  let gainDb = room.gainDb;
  for (let i = 1; i < queue.length; i += 1) {
    const id = idAt(i);
    const previous = { albumId: index.get(idAt(i - 1))?.albumId, gainDb };
    // A promised gain applies to the tracks of its album that follow, too.
    const isPromised = segue?.trackId === id;
    gainDb = isPromised ? segue.gainDb : levelGainDb(index.get(id) ?? {}, previous, index.get(idAt(i + 1))?.albumId);
    if (id === trackId) return gainDb;
  }
  return null;
}

/**
 * The factor of everything that this phone plays: its volume, and its trim, which other phones can set.
 * @param {Pick<AppState, 'room' | 'memberId' | 'settings'>} state
 */
export function outputGain({ room, memberId, settings }) {
  if (settings.isMuted) return 0;
  const trimDb = room?.clients[memberId ?? '']?.trimDb ?? 0;
  // The square makes equal steps of the slider sound about equal.
  return settings.volume ** 2 * toFactor(trimDb);
}

/** @param {number} db */
function toFactor(db) {
  return 10 ** (db / 20);
}
