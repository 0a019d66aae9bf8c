// A track's picture: the cover or, if the track has no cover, a gradient with the initials of the title.

import { hashHue, initials } from '../format.js';
import { queryElement, setCssVariable, setText } from './dom.js';

/** @typedef {import('../types.js').Track} Track */

/** Images whose request failed. @type {Set<HTMLImageElement>} */
const failedImages = new Set();

/** The hue of the gradient if there is no track, in degrees: the hue of the page's default tint. */
const NO_TRACK_HUE = 286;

/** The hue of the gradient that replaces a missing cover. @param {Track} track */
export function placeholderHue({ tags, trackId }) {
  return hashHue(`${tags.album ?? ''}${trackId}`);
}

/**
 * Loads `url` into `image`; a failed load is repeated by `retryFailedCovers`.
 * @param {HTMLImageElement} image
 * @param {string} url
 * @param {() => void} onLoad
 */
export function loadCover(image, url, onLoad) {
  image.onload = onLoad;
  image.onerror = () => failedImages.add(image);
  image.src = url;
}

/** Requests again all covers that failed to load. To be called when the connection to the server is restored. */
export function retryFailedCovers() {
  for (const image of [...failedImages]) {
    failedImages.delete(image);
    // Browsers repeat a failed request only if `src` is assigned again.
    image.src = image.src;
  }
}

/** Adds the image of a cover. An `<img>` without `src` would be invalid in index.html. @param {HTMLElement} frame */
function addImage(frame) {
  const image = new Image();
  image.alt = '';
  image.decoding = 'async';
  frame.append(image);
  return image;
}

/**
 * @param {HTMLElement} frame contains an `.initials` element; the image is added
 * @param {Track | undefined} track
 */
export function renderCover(frame, track) {
  const image = frame.querySelector('img') ?? addImage(frame);
  const url = track?.coverUrl ?? '';
  setCssVariable(frame, '--placeholder-hue', String(track ? placeholderHue(track) : NO_TRACK_HUE));
  setText(queryElement(frame, '.initials', HTMLElement), track ? initials(track.tags.title) : '♪');
  if ((image.getAttribute('src') ?? '') === url) return;
  image.classList.remove('loaded');
  failedImages.delete(image);
  if (!url) {
    image.removeAttribute('src');
    return;
  }
  const showLoaded = () => image.classList.toggle('loaded', image.naturalWidth > 0);
  loadCover(image, url, showLoaded);
  // An image from the browser's memory cache is complete at once, and is shown without waiting for the `load` event, so
  // that the placeholder does not flash.
  if (image.complete) showLoaded();
}
