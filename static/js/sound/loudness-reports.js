// Measures the tracks whose loudness the server does not know, after they have been decoded for playback, and reports the
// loudness to the server (`POST /loudness`).

import { ApiError } from '../net/http.js';
import { sleep } from '../timer.js';

/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */

/** The other phones wait for this time, one after the other, so that mostly one phone measures a track. */
const TURN_MS = 2_000;

/** A failed measurement is made again, and a report that was not answered sent again, after this time. */
const RETRY_MS = 5_000;

/** Whether the server does not know the loudness of a track, or has asked for another measurement. @param {Track} track @returns {boolean} */
export function isLoudnessUnknown(track) {
  return track.measureAgain || track.gainDb === undefined || track.peak === undefined;
}

/**
 * The place of this phone among the listeners, in the order of their ids.
 * @param {Pick<AppState, 'room' | 'memberId'>} state
 */
export function measuringTurn({ room, memberId }) {
  const listeners = Object.entries(room?.live.listeners ?? {}).filter(([, { role }]) => role === 'listener');
  const ids = listeners.map(([id]) => id).sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  return Math.max(0, ids.indexOf(memberId ?? ''));
}

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {Pick<import('./player.js').Player, 'decodedBuffer' | 'preparedTrack'>} options.player
 * @param {ReturnType<typeof import('./loudness-measurement.js').createLoudnessMeasurement>} options.measure
 * @param {(report: import('../types.js').LoudnessReport) => Promise<void>} options.send
 */
export function startLoudnessReports({ store, player, measure, send }) {
  /** The measurements that were made: track, version, and whether it was asked for again. @type {Set<string>} */
  const done = new Set();
  let isMeasuring = false;

  /** @param {Track} track */
  function keyOf({ trackId, version, measureAgain }) {
    return `${trackId} ${version} ${measureAgain ? 'again' : ''}`;
  }

  /** The track as the index describes it now, if it is decoded and must be measured. @param {TrackId} trackId */
  function dueTrack(trackId) {
    const track = store.get().index.get(trackId);
    const isDue =
      track && isLoudnessUnknown(track) && !done.has(keyOf(track)) && player.preparedTrack(trackId)?.version === track.version;
    return isDue && player.decodedBuffer(trackId) ? track : null;
  }

  /**
   * Measures a decoded track. The samples are held only meanwhile, since a phone's memory may not hold those of another track too.
   * @param {Track} track
   * @returns {Promise<{track: Track, loudness: import('./loudness.js').Loudness | null} | null>} `null` if it is no longer needed;
   *   `loudness` is `null` if this phone cannot measure the track
   */
  async function measureTrack({ trackId, version }) {
    const buffer = player.decodedBuffer(trackId);
    const neededTrack = () => {
      const track = player.decodedBuffer(trackId) === buffer ? dueTrack(trackId) : null;
      return track?.version === version ? track : null;
    };
    const loudness = buffer && neededTrack() ? await measure(buffer, () => neededTrack() !== null) : null;
    const track = neededTrack();
    return track && { track, loudness };
  }

  /** @param {Track} nextTrack */
  async function report(nextTrack) {
    await sleep(measuringTurn(store.get()) * TURN_MS);
    const measured = await measureTrack(nextTrack).catch(() => sleep(RETRY_MS));
    if (!measured) return;
    const { track, loudness } = measured;
    done.add(keyOf(track));
    if (!loudness) return;
    const { trackId, version } = track;
    try {
      await send({ trackId, version, ...loudness });
    } catch (error) {
      // What the server has refused (4xx) would be refused again.
      if (error instanceof ApiError && error.status < 500) return;
      await sleep(RETRY_MS);
      done.delete(keyOf(track));
    }
  }

  async function reportDueTracks() {
    if (isMeasuring) return;
    isMeasuring = true;
    for (;;) {
      const { readyTrackIds, connection } = store.get();
      const track = connection === 'open' ? [...readyTrackIds].map(dueTrack).find(Boolean) : null;
      if (!track) break;
      await report(track);
    }
    isMeasuring = false;
  }

  store.subscribe((state, previous) => {
    if (state.readyTrackIds !== previous.readyTrackIds || state.index !== previous.index || state.connection !== previous.connection) {
      reportDueTracks();
    }
  });
}
