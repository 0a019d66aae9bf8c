// The seek bar: shows where the music is, and takes one seek for each drag or run of keys.

import { clockTime } from '../format.js';
import { drawn, forward } from '../progress.js';
import { byId, setAttribute, setText, setVariable } from './dom.js';

/** What an arrow key moves by, in seconds. */
const KEY_STEP_SEC = 5;

/** Keys pressed in a row are one seek. */
const KEY_REST_MS = 400;

/** @typedef {import('../types.js').TrackId} TrackId */

/** @param {(positionSec: number, trackId: TrackId) => void} onSeek */
export function createPosition(onSeek) {
  const slider = byId('position', HTMLInputElement);
  const frame = byId('position-frame', HTMLElement);
  const thumb = byId('position-thumb', HTMLElement);
  const elapsed = byId('elapsed', HTMLElement);
  const remaining = byId('remaining', HTMLElement);
  /** @type {TrackId | null} */
  let current = null;
  let rendered = 0;
  /** Where the music is, as it was shown. */
  /** @type {import('../progress.js').Place | null} */
  let shown = null;
  /** While a hand is on it, the slider is the hand's; this is what it took hold of. */
  /** @type {{trackId: TrackId | null, value: number} | null} */
  let hold = null;
  let keys = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let rest;

  /** @param {number} value what is read off the bar, in seconds */
  function show(value) {
    const max = Number(slider.max);
    setVariable(frame, '--at', (max > 0 ? slider.valueAsNumber / max : 0).toFixed(4));
    setText(thumb, clockTime(value));
    setText(elapsed, clockTime(value));
    setText(remaining, max > 0 ? `−${clockTime(max - Math.floor(value))}` : '');
    setAttribute(slider, 'aria-valuetext', `${clockTime(value)} of ${clockTime(max)}`);
  }

  function letGo() {
    clearTimeout(rest);
    frame.classList.remove('held');
    if (!hold) return;
    const { trackId, value } = hold;
    hold = null;
    keys = false;
    // A place in a track that is over is no place in the one that plays now.
    if (trackId === null || trackId !== current || slider.valueAsNumber === value) return;
    rendered = slider.valueAsNumber;
    if (shown) shown = { ...shown, positionSec: rendered };
    onSeek(rendered, trackId);
  }

  function restOrLetGo() {
    clearTimeout(rest);
    if (keys) rest = setTimeout(letGo, KEY_REST_MS);
    else letGo();
  }

  slider.addEventListener('keydown', (event) => {
    const { key } = event;
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    keys = /^(Arrow|Page|Home|End)/.test(key);
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[key];
    if (!step) return;
    event.preventDefault();
    slider.valueAsNumber += step * KEY_STEP_SEC;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
  });
  slider.addEventListener('input', () => {
    hold ??= { trackId: current, value: rendered };
    frame.classList.add('held');
    if (keys) restOrLetGo();
    show(slider.valueAsNumber);
  });
  slider.addEventListener('change', restOrLetGo);
  slider.addEventListener('keyup', restOrLetGo);
  slider.addEventListener('blur', letGo);
  slider.addEventListener('pointerdown', () => {
    keys = false;
    clearTimeout(rest);
  });
  // The finger meant something else: to scroll, or to go home.
  slider.addEventListener('pointercancel', () => {
    hold = null;
    letGo();
    slider.valueAsNumber = rendered;
    show(rendered);
  });
  // A thumb that was dragged away and back sends no `change`, and may be let go of anywhere.
  document.addEventListener('pointerup', letGo);

  return {
    /**
     * @param {import('../progress.js').Place} place
     * @param {number} durationSec 0 where it is not known
     */
    render: (place, durationSec) => {
      current = place.trackId;
      if (hold) return;
      const max = Math.max(0, Math.floor(durationSec));
      setAttribute(slider, 'max', String(max));
      slider.disabled = durationSec <= 0;
      shown = { ...place, positionSec: forward(shown, place) };
      const value = drawn(shown.positionSec, max, slider.clientWidth);
      if (slider.valueAsNumber !== value) slider.valueAsNumber = value;
      rendered = slider.valueAsNumber;
      show(shown.positionSec);
    },
  };
}
