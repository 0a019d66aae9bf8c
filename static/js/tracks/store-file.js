// Stores a file that this phone has uploaded as the track that it has become, so that the track need not be downloaded.

import { PART_BYTES } from './storage.js';

/**
 * @param {import('./track-cache.js').TrackCache} cache
 * @param {import('../types.js').Track} track
 * @param {Blob} file
 * @returns {Promise<void>}
 * @throws if the file is not the track's, cannot be read, or does not fit
 */
export async function storeFile(cache, track, file) {
  if (file.size !== track.size) throw new Error('the track has another size than the file');
  if (!cache.mayFit(file.size)) throw new Error('the file does not fit');
  await cache.remove(track.trackId);
  let { entry } = await cache.begin(track);
  while (entry.receivedBytes < file.size) {
    entry = await cache.append(entry, await file.slice(entry.receivedBytes, entry.receivedBytes + PART_BYTES).arrayBuffer());
  }
}
