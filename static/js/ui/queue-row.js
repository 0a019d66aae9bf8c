// One row of the queue, made once and used for one track after the other.

import { clockTime } from '../format.js';
import { renderCover } from './cover.js';
import { part, setAttribute, setHidden, setText, stamp } from './dom.js';

/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * @typedef {object} RowState
 * @property {TrackId} id
 * @property {Track | undefined} track
 * @property {'now' | 'next' | ''} mark
 * @property {boolean} held Whole on this phone.
 * @property {number} place In the list, pinned rows included.
 * @property {number} of
 * @property {number} row From the top of the list that it lies in.
 * @property {boolean} bare Without its cover.
 */

/** @typedef {ReturnType<typeof createRow>} Row */

/** @param {boolean} loose Whether it is put where its place is, and does not just follow the one before. */
export function createRow(loose) {
  const element = stamp('row-template');
  const cover = part(element, '.cover', HTMLElement);
  const title = part(element, '.title', HTMLElement);
  const artist = part(element, '.artist', HTMLElement);
  const duration = part(element, '.duration', HTMLElement);
  const mark = part(element, '.mark', HTMLElement);
  const held = part(element, '.held', HTMLElement);
  const nudge = part(element, 'button', HTMLButtonElement);
  /** @type {RowState | null} */
  let shown = null;

  return {
    element,
    cover,
    nudge,
    shown: () => shown,
    hide: () => {
      setHidden(element, true);
      shown = null;
    },
    /** @param {RowState} state */
    render: (state) => {
      const before = shown;
      if (before && before.id === state.id && before.track === state.track && !before.bare) state.bare = false;
      if (before && keys.every((key) => before[key] === state[key])) return;
      shown = state;
      const name = state.track?.tags.title ?? '…';
      setHidden(element, false);
      element.dataset['track'] = state.id;
      element.dataset['nudges'] = String(state.mark === '');
      // Set as it is, not by a variable: every element inside would inherit it and be styled anew.
      if (loose) element.style.top = `calc(${state.row} * var(--row-height))`;
      setAttribute(element, 'aria-current', state.mark === 'now' ? 'true' : null);
      setAttribute(element, 'aria-posinset', String(state.place + 1));
      setAttribute(element, 'aria-setsize', String(state.of));
      element.classList.toggle('next', state.mark === 'next');
      element.classList.toggle('bare', state.bare);
      if (!state.bare) renderCover(cover, state.track);
      setText(title, name);
      setText(artist, state.track?.tags.artist ?? '');
      setText(duration, state.track?.duration ? clockTime(state.track.duration) : '');
      setText(mark, state.mark);
      setHidden(held, !state.held);
      setHidden(nudge, state.mark !== '');
      setAttribute(nudge, 'aria-label', `Play ${name} next`);
    },
  };
}

const keys = /** @type {const} */ (['id', 'track', 'mark', 'held', 'place', 'of', 'row', 'bare']);
