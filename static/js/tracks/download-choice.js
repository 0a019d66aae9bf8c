// Chooses the track to download next.

import { downloadOrder } from './cache-policy.js';

/** @typedef {import('../types.js').Track} Track */

/** The budget is compared in steps of this size, because the browser's quota estimate varies with each write. */
const BUDGET_STEP_BYTES = 10e6;

/**
 * @param {import('../store.js').Store} store
 * @param {() => number} budgetBytes
 * @param {(track: Track) => boolean} [isBrought] whether the page is about to store the track from a file that it has uploaded
 * @returns {() => Track | null} the most urgent track that is not stored yet
 */
export function createDownloadChoice(store, budgetBytes, isBrought = () => false) {
  /**
   * The inputs of the last computation of `orderedTracks`, which is slow for ten thousand tracks and therefore not
   * repeated for the same inputs.
   */
  /** @type {unknown[]} */
  let lastInputs = [];
  /** @type {Track[]} */
  let orderedTracks = [];

  return () => {
    const { view, room, index, cachedTrackIds, unplayableReasons, settings } = store.get();
    if (view !== 'room' || !room || settings.isRemoteControl) return null;
    const availableBytes = budgetBytes();
    const budgetStep = Math.floor(availableBytes / BUDGET_STEP_BYTES);
    const currentInputs = [room.queue, room.queueIndex, room.picks, room.barrier, index, cachedTrackIds, unplayableReasons, budgetStep];
    if (!currentInputs.every((value, i) => value === lastInputs[i])) {
      lastInputs = currentInputs;
      orderedTracks = downloadOrder({ room, index, cachedTrackIds, unplayableReasons, budgetBytes: availableBytes });
    }
    return orderedTracks.find((track) => !cachedTrackIds.has(track.trackId) && !isBrought(track)) ?? null;
  };
}
