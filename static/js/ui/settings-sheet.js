// The Settings sheet: this phone's name, sound, speaker delay and storage, the rules, the other paired phones, and
// leaving the room.

import { formatBytes, formatMs } from '../format.js';
import { LANGUAGES, htmlLanguage } from '../language/languages.js';
import { text } from '../language/texts.js';
import { MIN_STORAGE_MB, MAX_STORAGE_MB, clampStorage } from '../settings.js';
import { guessText } from '../room/guessed-delay.js';
import { memberName, ownDelayMs } from '../room/selectors.js';
import { elementById, setAttribute, setHidden, setText } from './dom.js';
import { createSheet } from './sheets.js';

/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').Settings} Settings */

/**
 * @param {object} options
 * @param {() => AppState} options.getState
 * @param {(change: Partial<Settings>) => void} options.changeSettings
 * @param {(name: string) => void} options.rename
 * @param {(delayMs: number) => void} options.tryDelay called while the slider of the speaker delay moves
 * @param {(delayMs: number) => void} options.setDelay called when that slider is released
 * @param {(isOn: boolean) => void} options.setTicks
 * @param {() => Promise<Pick<import('../tracks/track-cache.js').TrackCache, 'kind' | 'usedBytes' | 'usesSettingsLimit'>>}
 *   options.getTrackCache
 * @param {() => void} options.clearStorage
 * @param {() => void} options.leave
 * @param {(state: AppState) => void} options.renderSyncFigures
 * @param {(state: AppState) => void} options.renderRules
 * @param {(state: AppState) => void} options.renderPairedDevices
 */
export function createSettingsSheet(options) {
  const { getState } = options;
  const nameField = elementById('settings-name', HTMLInputElement);
  const languageSelect = createLanguageSelect((language) => options.changeSettings({ language }));
  const remoteSwitch = elementById('settings-remote', HTMLInputElement);
  const levellingSwitch = elementById('settings-levelling', HTMLInputElement);
  const delaySlider = elementById('settings-delay', HTMLInputElement);
  const delayText = elementById('settings-delay-text', HTMLElement);
  const delayGuess = elementById('settings-delay-guess', HTMLElement);
  const storageText = elementById('settings-storage', HTMLElement);
  const limitLine = elementById('settings-limit-line', HTMLElement);
  const limitField = elementById('settings-limit', HTMLInputElement);
  const ticksButton = elementById('settings-ticks', HTMLButtonElement);

  nameField.addEventListener('change', () => {
    const newName = nameField.value.trim();
    if (newName !== ownName(getState())) options.rename(newName);
  });
  nameField.addEventListener('keydown', ({ key, isComposing }) => {
    // While an input method composes text, Enter accepts a suggestion and must not end the editing.
    if (key === 'Enter' && !isComposing) nameField.blur();
  });
  limitField.min = String(MIN_STORAGE_MB);
  limitField.max = String(MAX_STORAGE_MB);
  limitField.addEventListener('change', () => {
    const storageMb = clampStorage(limitField.valueAsNumber);
    limitField.valueAsNumber = storageMb;
    options.changeSettings({ storageMb });
  });
  remoteSwitch.addEventListener('change', () => options.changeSettings({ isRemoteControl: remoteSwitch.checked }));
  levellingSwitch.addEventListener('change', () => options.changeSettings({ isLevelling: levellingSwitch.checked }));
  delaySlider.addEventListener('input', () => options.tryDelay(delaySlider.valueAsNumber));
  delaySlider.addEventListener('change', () => options.setDelay(delaySlider.valueAsNumber));
  ticksButton.addEventListener('click', () => options.setTicks(getState().testSoundSchedule?.kind !== 'tick'));
  elementById('settings-clear', HTMLButtonElement).addEventListener('click', options.clearStorage);
  elementById('settings-leave', HTMLButtonElement).addEventListener('click', options.leave);

  function onOpen() {
    const { settings } = getState();
    languageSelect.value = settings.language;
    remoteSwitch.checked = settings.isRemoteControl;
    levellingSwitch.checked = settings.isLevelling;
    limitField.valueAsNumber = settings.storageMb;
    render();
  }

  function render() {
    const state = getState();
    const { room, memberId, testSoundSchedule } = state;
    // While the field has the focus, the user may be editing the name.
    if (document.activeElement !== nameField) nameField.value = ownName(state);
    nameField.placeholder = room && memberId ? memberName(room, memberId) : '';
    const delayMs = ownDelayMs(state);
    delaySlider.valueAsNumber = delayMs;
    setText(delayText, signedMsText(delayMs));
    const guess = room && memberId !== null && state.trialDelayMs === null ? guessText(room, memberId) : '';
    setText(delayGuess, guess);
    setHidden(delayGuess, guess === '');
    setAttribute(ticksButton, 'aria-pressed', String(testSoundSchedule?.kind === 'tick'));
    options.renderSyncFigures(state);
    options.renderRules(state);
    options.renderPairedDevices(state);
    renderStorage();
  }

  async function renderStorage() {
    const { kind, usedBytes, usesSettingsLimit } = await options.getTrackCache();
    // The user sets the limit only where the browser reports no quota.
    limitLine.hidden = !usesSettingsLimit();
    setText(storageText, text('settings.storageUsed', { size: formatBytes(usedBytes()), place: kind === 'memory' ? text('settings.storageMemory') : kind }));
  }

  const sheet = createSheet('settings', onOpen);
  return {
    close: sheet.close,
    render: () => {
      if (sheet.isOpen()) render();
    },
  };
}

/** Adds the languages, each with its own name. @param {(language: Settings['language']) => void} onChange */
function createLanguageSelect(onChange) {
  const select = elementById('settings-language', HTMLSelectElement);
  for (const [language, name] of Object.entries(LANGUAGES)) {
    const option = new Option(name, language);
    option.lang = htmlLanguage(/** @type {keyof typeof LANGUAGES} */ (language));
    select.add(option);
  }
  select.addEventListener('change', () => onChange(/** @type {Settings['language']} */ (select.value)));
  return select;
}

/** @param {AppState} state */
function ownName({ room, memberId }) {
  return room && memberId ? room.clients[memberId]?.name ?? '' : '';
}

/** @param {number} ms */
function signedMsText(ms) {
  return `${ms > 0 ? '+' : ms < 0 ? '−' : ''}${formatMs(Math.abs(ms))}`;
}
