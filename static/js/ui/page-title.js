// Shows the current track in the document's title.

import { shownTrack } from './current-track.js';

/** @typedef {import('../types.js').AppState} AppState */

/** @returns {(state: AppState) => void} sets the title; must be called while the page is hidden, too */
export function createPageTitle() {
  const defaultTitle = document.title;
  return (state) => {
    const trackTitle = shownTrack(state)?.tags.title;
    const title = trackTitle ? `${trackTitle} · Lockstep` : defaultTitle;
    if (document.title !== title) document.title = title;
  };
}
