// The volume of this phone, in the dock of the Now tab: a slider, and a button that mutes. A muted phone keeps playing silently.

import { formatPercent } from '../format.js';
import { text } from '../language/texts.js';
import { elementById, setAttribute, setCssVariable } from './dom.js';

/** @typedef {import('../types.js').AppState} AppState */

/** The volume after unmuting a phone whose slider is at 0. */
const LOW_VOLUME = 0.3;

/**
 * @param {object} options
 * @param {() => AppState} options.getState
 * @param {(change: Partial<import('../types.js').Settings>) => void} options.changeSettings
 */
export function createVolumeControl({ getState, changeSettings }) {
  const control = elementById('volume-control', HTMLElement);
  const slider = elementById('volume', HTMLInputElement);
  const muteButton = elementById('mute', HTMLButtonElement);

  /** @param {AppState} state */
  function isSilent({ settings }) {
    return settings.isMuted || settings.volume === 0;
  }

  slider.addEventListener('input', () => changeSettings({ volume: slider.valueAsNumber / 100, isMuted: false }));
  muteButton.addEventListener('click', () => {
    const state = getState();
    const volume = state.settings.volume || LOW_VOLUME;
    changeSettings(isSilent(state) ? { volume, isMuted: false } : { isMuted: true });
  });

  return {
    /** @param {AppState} state */
    render: (state) => {
      const { volume, isMuted, isRemoteControl } = state.settings;
      const percent = Math.round(volume * 100);
      control.hidden = isRemoteControl;
      slider.valueAsNumber = percent;
      setCssVariable(slider, '--progress', String(isMuted ? 0 : volume));
      setAttribute(slider, 'aria-valuetext', isMuted ? text('dock.muted') : formatPercent(percent));
      setAttribute(muteButton, 'aria-pressed', String(isSilent(state)));
    },
  };
}
