// A track's picture: its cover, or a gradient and initials of its own where it has none.

import { hueOf, initials } from '../format.js';
import { part, setText, setVariable } from './dom.js';

/** @typedef {import('../types.js').Track} Track */

/**
 * @param {HTMLElement} frame holds an <img> and a `.initials`
 * @param {Track | undefined} track
 */
export function renderCover(frame, track) {
  const image = part(frame, 'img', HTMLImageElement);
  const url = track?.coverUrl ?? '';
  const seed = track ? `${track.tags.album ?? ''}${track.trackId}` : '';
  setVariable(frame, '--art', String(hueOf(seed)));
  setText(part(frame, '.initials', HTMLElement), track ? initials(track.tags.title) : '♪');
  if (image.getAttribute('src') === url) return;
  image.classList.remove('here');
  if (!url) {
    image.removeAttribute('src');
    return;
  }
  image.onload = () => image.classList.add('here');
  image.onerror = () => image.classList.remove('here');
  image.src = url;
}
