// The seek bar: shows the playback position, and sends one seek for each drag or series of key presses.

import { formatTime } from '../format.js';
import { text } from '../language/texts.js';
import { roundToPixel, withoutSmallStepsBack } from './seek-bar-position.js';
import { setPermitted } from './rules/reasons.js';
import { elementById, lineDirection, setAttribute, setCssVariable, setText } from './dom.js';

/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {import('./seek-bar-position.js').PlaybackPosition} PlaybackPosition */

const ARROW_KEY_STEP_SEC = 5;

/** Key presses that follow each other within this time become one seek. */
const KEY_DEBOUNCE_MS = 400;

/** @param {(positionSec: number, trackId: TrackId) => void} onSeek */
export function createSeekBar(onSeek) {
  const slider = elementById('position', HTMLInputElement);
  const frame = elementById('position-frame', HTMLElement);
  const thumbTimeText = elementById('position-thumb-time', HTMLElement);
  const elapsedText = elementById('elapsed', HTMLElement);
  const remainingText = elementById('remaining', HTMLElement);
  /** @type {TrackId | null} */
  let currentTrackId = null;
  /** The last rendered value of the slider, in seconds. */
  let renderedSec = 0;
  /** @type {PlaybackPosition | null} */
  let shownPosition = null;
  /** The state before the current drag or series of key presses; `null` at other times. Meanwhile nothing is rendered. */
  /** @type {{trackId: TrackId | null, startSec: number} | null} */
  let stateBeforeInput = null;
  /** Whether the slider is being moved by keys. */
  let isKeyboardInput = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let keyTimer;

  /** @param {number} valueSec */
  function showTimes(valueSec) {
    const durationSec = Number(slider.max);
    setCssVariable(frame, '--progress', (durationSec > 0 ? slider.valueAsNumber / durationSec : 0).toFixed(4));
    setText(thumbTimeText, formatTime(valueSec));
    setText(elapsedText, formatTime(valueSec));
    setText(remainingText, durationSec > 0 ? `−${formatTime(durationSec - Math.floor(valueSec))}` : '');
    setAttribute(slider, 'aria-valuetext', text('dock.positionOf', { position: formatTime(valueSec), duration: formatTime(durationSec) }));
  }

  /** Ends the drag or the series of key presses, and sends the seek if the value has changed. */
  function release() {
    clearTimeout(keyTimer);
    frame.classList.remove('dragging');
    if (!stateBeforeInput) return;
    const { trackId, startSec } = stateBeforeInput;
    stateBeforeInput = null;
    isKeyboardInput = false;
    // A seek is dropped if its track has ended in the meantime.
    if (trackId === null || trackId !== currentTrackId || slider.valueAsNumber === startSec) return;
    renderedSec = slider.valueAsNumber;
    if (shownPosition) shownPosition = { ...shownPosition, positionSec: renderedSec };
    onSeek(renderedSec, trackId);
  }

  function releaseOrDebounce() {
    clearTimeout(keyTimer);
    if (isKeyboardInput) keyTimer = setTimeout(release, KEY_DEBOUNCE_MS);
    else release();
  }

  slider.addEventListener('keydown', (event) => {
    const { key } = event;
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    isKeyboardInput = /^(Arrow|Page|Home|End)/.test(key);
    if (isKeyboardInput && slider.getAttribute('aria-disabled') === 'true') {
      event.preventDefault();
      // A click on it shows the reason.
      return frame.click();
    }
    const direction = lineDirection(slider);
    const step = { ArrowRight: direction, ArrowUp: 1, ArrowLeft: -direction, ArrowDown: -1 }[key];
    if (!step) return;
    event.preventDefault();
    slider.valueAsNumber += step * ARROW_KEY_STEP_SEC;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
  });
  slider.addEventListener('input', () => {
    stateBeforeInput ??= { trackId: currentTrackId, startSec: renderedSec };
    frame.classList.add('dragging');
    if (isKeyboardInput) releaseOrDebounce();
    showTimes(slider.valueAsNumber);
  });
  slider.addEventListener('change', releaseOrDebounce);
  slider.addEventListener('keyup', releaseOrDebounce);
  slider.addEventListener('blur', release);
  slider.addEventListener('pointerdown', () => {
    isKeyboardInput = false;
    clearTimeout(keyTimer);
  });
  // The browser uses the touch for a scroll or a system gesture instead, so the drag is undone.
  slider.addEventListener('pointercancel', () => {
    stateBeforeInput = null;
    release();
    slider.valueAsNumber = renderedSec;
    showTimes(renderedSec);
  });
  // A slider that returns to its old value sends no `change`, and the pointer may be released outside of the slider.
  document.addEventListener('pointerup', release);

  return {
    /** Whether the rules let this phone seek. @param {boolean} isPermitted */
    setPermitted: (isPermitted) => {
      // A slider has no clicks that could be refused, so the frame gets the touches.
      setPermitted(slider, 'control', isPermitted);
      setPermitted(frame, 'control', isPermitted);
    },
    /** @param {PlaybackPosition} position @param {number} durationSec 0 if unknown */
    render: (position, durationSec) => {
      currentTrackId = position.trackId;
      if (stateBeforeInput) return;
      const maxSec = Math.max(0, Math.floor(durationSec));
      setAttribute(slider, 'max', String(maxSec));
      slider.disabled = durationSec <= 0;
      shownPosition = { ...position, positionSec: withoutSmallStepsBack(shownPosition, position) };
      const valueSec = roundToPixel(shownPosition.positionSec, maxSec, slider.clientWidth);
      if (slider.valueAsNumber !== valueSec) slider.valueAsNumber = valueSec;
      renderedSec = slider.valueAsNumber;
      showTimes(shownPosition.positionSec);
    },
  };
}
