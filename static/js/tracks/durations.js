// PURE: which length of a track applies. The header of a file may state a wrong length, which the server's index repeats. The
// length of the decoded track replaces it if the two contradict each other.

/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {{version: string, durationSec: number}} DecodedLength the version that was decoded, and its length */

/**
 * Lengths that differ by more than this contradict each other. Decoders trim the padding of encoders in different ways,
 * which changes the length by less.
 */
const MIN_CONTRADICTION_SEC = 0.25;

/** @param {number} lengthSec @param {number} otherSec */
export function contradicts(lengthSec, otherSec) {
  return Math.abs(lengthSec - otherSec) > MIN_CONTRADICTION_SEC;
}

/** The length in the server's index, in seconds; `undefined` if unknown. @param {Track} track */
export function indexedDurationSec({ duration, uncorrectedDuration }) {
  return uncorrectedDuration ?? duration;
}

/** The length of the decoded track, in seconds, if it contradicts the server's index. @param {Track | undefined} track */
export function contradictingDurationSec(track) {
  return track?.uncorrectedDuration === undefined ? undefined : track.duration;
}

/** Whether this phone could decode only the beginning of the track. @param {Track | undefined} track */
export function isCutShort(track) {
  return track?.uncorrectedDuration !== undefined && (track.duration ?? 0) < track.uncorrectedDuration;
}

/**
 * The track with the length of the decoded track if that contradicts the server's index, and with the index's length
 * otherwise. Returns the same track if nothing has changed.
 * @param {Track} track
 * @param {number} decodedSec of the version that `track` describes
 * @returns {Track}
 */
export function withDecodedDuration(track, decodedSec) {
  const indexedSec = indexedDurationSec(track);
  if (indexedSec === undefined) return track;
  if (contradicts(decodedSec, indexedSec)) {
    return track.duration === decodedSec ? track : { ...track, duration: decodedSec, uncorrectedDuration: indexedSec };
  }
  if (track.uncorrectedDuration === undefined) return track;
  const { uncorrectedDuration, ...rest } = track;
  return { ...rest, duration: indexedSec };
}

/**
 * The index that was received from the server, with the lengths of the tracks that this phone has decoded in that version.
 * @param {ReadonlyMap<TrackId, Track>} receivedIndex
 * @param {ReadonlyMap<TrackId, DecodedLength>} decodedLengths
 * @returns {ReadonlyMap<TrackId, Track>}
 */
export function withDecodedDurations(receivedIndex, decodedLengths) {
  const index = new Map(receivedIndex);
  for (const [trackId, { version, durationSec }] of decodedLengths) {
    const track = receivedIndex.get(trackId);
    if (track?.version === version) index.set(trackId, withDecodedDuration(track, durationSec));
  }
  return index;
}
