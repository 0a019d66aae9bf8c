// PURE: the track that the page shows as the current one, with pending commands applied.

import { shownRoom } from '../room/optimistic.js';
import { currentTrackId } from '../room/selectors.js';

/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').Track} Track */

/** @param {AppState} state @returns {Track | undefined} */
export function shownTrack(state) {
  const room = shownRoom(state);
  return state.index.get((room && currentTrackId(room)) ?? '');
}
