// The seek bar: shows where the music is, and takes one seek for each drag or run of keys.

import { clockTime } from '../format.js';
import { byId, setAttribute, setText, setVariable } from './dom.js';

/** What an arrow key moves by, in seconds. */
const KEY_STEP_SEC = 5;

/** Keys pressed in a row are one seek. */
const KEY_REST_MS = 400;

/** @param {(positionSec: number) => void} onSeek */
export function createPosition(onSeek) {
  const slider = byId('position', HTMLInputElement);
  const frame = byId('position-frame', HTMLElement);
  const thumb = byId('position-thumb', HTMLElement);
  const elapsed = byId('elapsed', HTMLElement);
  const remaining = byId('remaining', HTMLElement);
  /** While a hand is on it, the slider is the hand's. */
  let held = false;
  let keys = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let rest;

  function show() {
    const [value, max] = [slider.valueAsNumber, Number(slider.max)];
    setVariable(frame, '--at', (max > 0 ? value / max : 0).toFixed(4));
    setText(thumb, clockTime(value));
    setText(elapsed, clockTime(value));
    setText(remaining, max > 0 ? `−${clockTime(max - value)}` : '');
    setAttribute(slider, 'aria-valuetext', `${clockTime(value)} of ${clockTime(max)}`);
  }

  function letGo() {
    clearTimeout(rest);
    held = false;
    keys = false;
    frame.classList.remove('held');
    onSeek(slider.valueAsNumber);
  }

  slider.addEventListener('keydown', ({ key }) => {
    keys = /^(Arrow|Page|Home|End)/.test(key);
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[key];
    // The browser will add the last second of the step itself.
    if (step) slider.valueAsNumber += step * (KEY_STEP_SEC - Number(slider.step));
  });
  slider.addEventListener('input', () => {
    held = true;
    frame.classList.add('held');
    show();
  });
  slider.addEventListener('change', () => {
    clearTimeout(rest);
    if (keys) rest = setTimeout(letGo, KEY_REST_MS);
    else letGo();
  });
  slider.addEventListener('pointerdown', () => (keys = false));

  return {
    /**
     * @param {number} positionSec
     * @param {number} durationSec 0 where it is not known
     */
    render: (positionSec, durationSec) => {
      if (held) return;
      setAttribute(slider, 'max', String(Math.max(0, Math.floor(durationSec))));
      slider.disabled = durationSec <= 0;
      slider.valueAsNumber = Math.floor(positionSec);
      show();
    },
  };
}
