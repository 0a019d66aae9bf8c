// What belongs to this phone alone: sound or none, its speaker's delay, its storage; and leaving.

import { byteSize } from '../format.js';
import { clampDelay } from '../settings.js';
import { memberName } from '../state.js';
import { byId, setText } from './dom.js';
import { createSheet } from './sheets.js';

/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').Settings} Settings */

/**
 * @param {object} on
 * @param {() => AppState} on.state
 * @param {(change: Partial<Settings>) => void} on.change
 * @param {() => Promise<{kind: string, usedBytes: number}>} on.storage
 * @param {() => Promise<void>} on.clear
 * @param {() => Promise<void>} on.leave
 */
export function createSettings(on) {
  const name = byId('settings-name', HTMLElement);
  const remote = byId('settings-remote', HTMLInputElement);
  const delay = byId('settings-delay', HTMLInputElement);
  const delayText = byId('settings-delay-text', HTMLElement);
  const storage = byId('settings-storage', HTMLElement);
  const offset = byId('sync-offset', HTMLElement);
  const roundTrip = byId('sync-round-trip', HTMLElement);
  const error = byId('sync-error', HTMLElement);

  remote.addEventListener('change', () => on.change({ remote: remote.checked }));
  delay.addEventListener('input', () => showDelay(delay.valueAsNumber));
  delay.addEventListener('change', () => on.change({ delayMs: clampDelay(delay.valueAsNumber) }));
  byId('settings-clear', HTMLButtonElement).addEventListener('click', on.clear);
  byId('settings-leave', HTMLButtonElement).addEventListener('click', on.leave);

  /** @param {number} delayMs */
  function showDelay(delayMs) {
    setText(delayText, `${delayMs > 0 ? '+' : delayMs < 0 ? '−' : ''}${Math.abs(delayMs)} ms`);
  }

  function fill() {
    const { settings } = on.state();
    remote.checked = settings.remote;
    delay.valueAsNumber = settings.delayMs;
    showDelay(settings.delayMs);
    show();
  }

  function show() {
    const { room, memberId, clock, sound } = on.state();
    setText(name, room && memberId ? memberName(room, memberId) : '');
    setText(offset, clock ? `${clock.offsetMs.toFixed(1)} ms` : 'not known yet');
    setText(roundTrip, clock ? `${clock.roundTripMs.toFixed(1)} ms` : 'not known yet');
    setText(error, sound.errorMs === null ? 'not playing' : `${sound.errorMs} ms`);
    showStorage();
  }

  async function showStorage() {
    const { kind, usedBytes } = await on.storage();
    setText(storage, `${byteSize(usedBytes)} of music, in ${kind === 'memory' ? 'memory only' : kind}`);
  }

  const sheet = createSheet('settings', fill);
  return {
    close: sheet.close,
    render: () => {
      if (sheet.isOpen()) show();
    },
  };
}
