// A track's picture: its cover, or a gradient and initials of its own where it has none.

import { hueOf, initials } from '../format.js';
import { part, setText, setVariable } from './dom.js';

/** @typedef {import('../types.js').Track} Track */

/**
 * What a track without a cover is coloured by: those of one album look much alike.
 * @param {Track} track
 */
export function artHue({ tags, trackId }) {
  return hueOf(`${tags.album ?? ''}${trackId}`);
}

/**
 * @param {HTMLElement} frame holds an <img> and a `.initials`
 * @param {Track | undefined} track
 */
export function renderCover(frame, track) {
  const image = part(frame, 'img', HTMLImageElement);
  const url = track?.coverUrl ?? '';
  setVariable(frame, '--art', String(track ? artHue(track) : 286));
  setText(part(frame, '.initials', HTMLElement), track ? initials(track.tags.title) : '♪');
  if ((image.getAttribute('src') ?? '') === url) return;
  image.classList.remove('here');
  if (!url) {
    image.removeAttribute('src');
    return;
  }
  const here = () => image.classList.toggle('here', image.naturalWidth > 0);
  image.onload = here;
  image.onerror = here;
  image.src = url;
  // One that the browser has at hand shows at once, without a flash of what stands in for it.
  if (image.complete) here();
}
