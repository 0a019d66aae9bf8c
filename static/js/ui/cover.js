// A track's picture: its cover, or a gradient and initials of its own where it has none.

import { hueOf, initials } from '../format.js';
import { part, setText, setVariable } from './dom.js';

/** @typedef {import('../types.js').Track} Track */

/** Images whose picture did not come. */
/** @type {Set<HTMLImageElement>} */
const failed = new Set();

/**
 * What a track without a cover is coloured by: those of one album look much alike.
 * @param {Track} track
 */
export function artHue({ tags, trackId }) {
  return hueOf(`${tags.album ?? ''}${trackId}`);
}

/**
 * @param {HTMLImageElement} image
 * @param {string} url
 * @param {() => void} here called when it has come
 */
export function fetchCover(image, url, here) {
  image.onload = here;
  image.onerror = () => failed.add(image);
  image.src = url;
}

/** Asks again for those that did not come, once there is reason to think that they may. */
export function retryCovers() {
  for (const image of [...failed]) {
    failed.delete(image);
    // By itself a browser never does.
    image.src = image.src;
  }
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
  failed.delete(image);
  if (!url) {
    image.removeAttribute('src');
    return;
  }
  const here = () => image.classList.toggle('here', image.naturalWidth > 0);
  fetchCover(image, url, here);
  // One that the browser has at hand shows at once, without a flash of what stands in for it.
  if (image.complete) here();
}
