// What belongs to this phone alone: its name, sound or none, its speaker's delay, its storage; who else is paired; and
// leaving.

import { byteSize } from '../format.js';
import { LEAST_STORAGE_MB, MOST_STORAGE_MB, clampStorage } from '../settings.js';
import { memberName, ownDelay } from '../state.js';
import { byId, setAttribute, setText } from './dom.js';
import { createSheet } from './sheets.js';

/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').Settings} Settings */

/**
 * @param {object} on
 * @param {() => AppState} on.state
 * @param {(change: Partial<Settings>) => void} on.change
 * @param {(name: string) => Promise<void>} on.rename
 * @param {() => Promise<{kind: string, usedBytes: number, fixed: boolean}>} on.storage `fixed`: the browser
 *   does not tell how much there is room for.
 * @param {(state: AppState) => void} on.figures draws them
 * @param {(state: AppState) => void} on.paired draws them
 * @param {(delayMs: number | null) => void} on.tryDelay `null`: no more
 * @param {(delayMs: number) => Promise<void>} on.delay
 * @param {(on: boolean) => void} on.tick
 * @param {() => Promise<void>} on.clear
 * @param {() => Promise<void>} on.leave
 */
export function createSettings(on) {
  const name = byId('settings-name', HTMLInputElement);
  const remote = byId('settings-remote', HTMLInputElement);
  const delay = byId('settings-delay', HTMLInputElement);
  const delayText = byId('settings-delay-text', HTMLElement);
  const storage = byId('settings-storage', HTMLElement);
  const budgetLine = byId('settings-budget-line', HTMLElement);
  const budget = byId('settings-budget', HTMLInputElement);
  const tick = byId('settings-tick', HTMLButtonElement);

  name.addEventListener('change', () => {
    const wanted = name.value.trim();
    if (wanted !== ownName()) on.rename(wanted);
  });
  name.addEventListener('keydown', ({ key, isComposing }) => {
    // Not the Enter that ends the spelling of a word in some scripts.
    if (key === 'Enter' && !isComposing) name.blur();
  });
  budget.min = String(LEAST_STORAGE_MB);
  budget.max = String(MOST_STORAGE_MB);
  budget.addEventListener('change', () => {
    const storageMb = clampStorage(budget.valueAsNumber);
    budget.valueAsNumber = storageMb;
    on.change({ storageMb });
  });
  remote.addEventListener('change', () => on.change({ remote: remote.checked }));
  delay.addEventListener('input', () => on.tryDelay(delay.valueAsNumber));
  delay.addEventListener('change', () => on.delay(delay.valueAsNumber));
  tick.addEventListener('click', () => on.tick(on.state().tuning?.kind !== 'tick'));
  byId('settings-clear', HTMLButtonElement).addEventListener('click', on.clear);
  byId('settings-leave', HTMLButtonElement).addEventListener('click', on.leave);

  /** @param {number} delayMs */
  function showDelay(delayMs) {
    setText(delayText, `${delayMs > 0 ? '+' : delayMs < 0 ? '−' : ''}${Math.abs(delayMs)} ms`);
  }

  function fill() {
    const { settings } = on.state();
    remote.checked = settings.remote;
    budget.valueAsNumber = settings.storageMb;
    show();
  }

  function ownName() {
    const { room, memberId } = on.state();
    return room && memberId ? room.clients[memberId]?.name ?? '' : '';
  }

  function show() {
    const state = on.state();
    const { room, memberId, tuning } = state;
    // A field that somebody types in is left alone.
    if (document.activeElement !== name) name.value = ownName();
    name.placeholder = room && memberId ? memberName(room, memberId) : '';
    const delayMs = ownDelay(state);
    delay.valueAsNumber = delayMs;
    showDelay(delayMs);
    setAttribute(tick, 'aria-pressed', String(tuning?.kind === 'tick'));
    on.figures(state);
    on.paired(state);
    showStorage();
  }

  async function showStorage() {
    const { kind, usedBytes, fixed } = await on.storage();
    budgetLine.hidden = !fixed;
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
