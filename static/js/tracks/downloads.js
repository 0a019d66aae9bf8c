// Downloads tracks one at a time, the most urgent first. Failed downloads are retried with back-off. A track that fails
// repeatedly, or that the server does not have (404), is postponed.

import { ApiError } from '../net/http.js';
import { after } from '../timer.js';
import { urgentTrackIds } from './cache-policy.js';
import { isQuotaError } from './cache-quota.js';
import { createDownloadChoice } from './download-choice.js';
import { fetchTrack } from './fetch-track.js';

/** @typedef {import('./track-cache.js').TrackCache} TrackCache */
/** @typedef {import('../store.js').Store} Store */
/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */

/** Delay before the first, second, … retry. */
const BACKOFF_MS = [500, 1_000, 2_000, 5_000];

/** After this many attempts in a row without a byte, the track is postponed. */
const MAX_EMPTY_ATTEMPTS = 3;
const POSTPONEMENT_MS = 30_000;

const PROGRESS_INTERVAL_MS = 200;

/**
 * @param {object} options
 * @param {Store} options.store
 * @param {TrackCache} options.cache
 * @param {(track: Track) => boolean} [options.isBrought] whether the page is about to store the track from a file that it has uploaded
 * @param {() => void} options.onOutdated the server no longer has the track in the version of the index
 * @param {(trackId: TrackId) => void} options.onNoSpace an urgent track does not fit into the storage
 * @param {(trackIds: ReadonlySet<TrackId>) => void} options.onPostponed all tracks that are postponed now
 */
export function startDownloads({ store, cache, isBrought, onOutdated, onNoSpace, onPostponed }) {
  const nextTrackToDownload = createDownloadChoice(store, cache.prefetchBudgetBytes, isBrought);
  /** @type {{key: string, controller: AbortController} | null} */
  let activeDownload = null;
  let isRunning = false;
  let consecutiveFailures = 0;
  /** Number of consecutive attempts that have failed without receiving a byte. */
  let emptyAttemptCount = 0;
  /** Keys (`versionKey`) of postponed tracks, which must not delay the other downloads. */
  /** @type {Set<string>} */
  const postponedKeys = new Set();

  /** Downloads tracks until none is left. Aborts the active download if another track or version comes first now. */
  async function runDownloads() {
    const nextTrack = nextTrackToDownload();
    if (activeDownload && (!nextTrack || activeDownload.key !== versionKey(nextTrack))) activeDownload.controller.abort();
    if (isRunning) return;
    isRunning = true;
    try {
      for (let track = nextTrackToDownload(); track; track = nextTrackToDownload()) await download(track);
    } finally {
      isRunning = false;
    }
  }

  /** @param {Track} track */
  async function download(track) {
    const controller = new AbortController();
    activeDownload = { key: versionKey(track), controller };
    let hasReceivedBytes = false;
    let lastPublishedAtMs = -Infinity;
    const publishProgress = (/** @type {number} */ receivedBytes) => {
      const { trackId, size } = track;
      store.update({ download: { trackId, receivedBytes, size } });
    };
    const onBytes = (/** @type {number} */ receivedBytes) => {
      hasReceivedBytes = true;
      if (performance.now() - lastPublishedAtMs < PROGRESS_INTERVAL_MS) return;
      lastPublishedAtMs = performance.now();
      publishProgress(receivedBytes);
    };
    try {
      await fetchTrack(cache, track, controller.signal, { onStart: publishProgress, onBytes });
      consecutiveFailures = 0;
      emptyAttemptCount = 0;
      store.update({ cachedTrackIds: cache.cachedTrackIds(store.get().index) });
    } catch (error) {
      if (!controller.signal.aborted) await handleFailure(error, track, controller.signal, hasReceivedBytes);
    } finally {
      activeDownload = null;
      store.update({ download: null });
    }
  }

  /** @param {unknown} error @param {Track} track @param {AbortSignal} signal @param {boolean} hasReceivedBytes */
  async function handleFailure(error, track, signal, hasReceivedBytes) {
    if (isQuotaError(error)) return handleLackOfSpace(track);
    const status = error instanceof ApiError ? error.status : null;
    const retryAfterMs = error instanceof ApiError ? error.retryAfterSec * 1_000 : 0;
    // The failure is not specific to the track if the server is unreachable or overloaded (`Retry-After`).
    const isServerUnreachable = status === null && store.get().connection !== 'open';
    emptyAttemptCount = hasReceivedBytes || isServerUnreachable || retryAfterMs > 0 ? 0 : emptyAttemptCount + 1;
    if (status === 404 || emptyAttemptCount >= MAX_EMPTY_ATTEMPTS) {
      postpone(track);
      if (status === 404) onOutdated();
      return;
    }
    const backoffMs = BACKOFF_MS[Math.min(consecutiveFailures, BACKOFF_MS.length - 1)] ?? 0;
    consecutiveFailures += 1;
    await abortableSleep(Math.max(backoffMs, retryAfterMs), signal);
  }

  /**
   * Removes the stored part of a track that does not fit, and reports the track if it is urgent. Other tracks need no
   * report: the cache has just lowered its budget for prefetching, and the track is not chosen again.
   * @param {Track} track
   */
  async function handleLackOfSpace({ trackId }) {
    await cache.remove(trackId);
    const { room } = store.get();
    if (!room || !urgentTrackIds(room).includes(trackId)) return;
    onNoSpace(trackId);
  }

  /** @param {Track} track */
  function postpone(track) {
    const key = versionKey(track);
    consecutiveFailures = 0;
    emptyAttemptCount = 0;
    postponedKeys.add(key);
    reportPostponed();
    after(POSTPONEMENT_MS, () => {
      if (postponedKeys.delete(key)) reportPostponed();
    });
  }

  function reportPostponed() {
    const postponedTracks = [...store.get().index.values()].filter((track) => postponedKeys.has(versionKey(track)));
    onPostponed(new Set(postponedTracks.map(({ trackId }) => trackId)));
  }

  store.subscribe((state, previous) => {
    // After a reconnection the server may have the files again, for instance on a disk that was not mounted before.
    const hasReconnected = state.connection === 'open' && previous.connection !== 'open';
    if (postponedKeys.size > 0 && (hasReconnected || state.index !== previous.index)) {
      if (hasReconnected) postponedKeys.clear();
      reportPostponed();
    }
    if (mayChangeChoice(state, previous)) runDownloads();
  });
}

/** Whether an input of the download choice has changed. @param {AppState} state @param {AppState} previous */
function mayChangeChoice(state, previous) {
  return (
    state.view !== previous.view ||
    state.room?.queue !== previous.room?.queue ||
    state.room?.queueIndex !== previous.room?.queueIndex ||
    state.room?.picks !== previous.room?.picks ||
    state.room?.barrier !== previous.room?.barrier ||
    state.index !== previous.index ||
    state.cachedTrackIds !== previous.cachedTrackIds ||
    state.unplayableReasons !== previous.unplayableReasons ||
    state.settings !== previous.settings
  );
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal ends the sleep early
 * @returns {Promise<void>}
 */
function abortableSleep(ms, signal) {
  return new Promise((resolve) => {
    const cancel = after(ms, resolve);
    signal.addEventListener('abort', () => {
      cancel();
      resolve();
    });
  });
}

/** @param {Track} track */
function versionKey({ trackId, version }) {
  return `${trackId}@${version}`;
}
