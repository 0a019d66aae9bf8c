// Settings, "Rules": who decides in this room. Hosts change the rules; others see them, and who may change them.

import { formatNames } from '../../format.js';
import { text } from '../../language/texts.js';
import { shownRoom } from '../../room/optimistic.js';
import { objection } from '../../room/permissions.js';
import { PRESETS, hasHostRights, hostsOf, isHost, presetOf, rulesOf } from '../../room/rules.js';
import { memberName } from '../../room/selectors.js';
import { elementById, hideKeepingFocus, setAttribute, setMessage, setText } from '../dom.js';
import { setPermitted } from './reasons.js';
import { createRuleControls } from './rule-controls.js';

/** @typedef {import('../../net/commands.js').MakeCommand} MakeCommand */
/** @typedef {import('../../room/rules.js').Preset} Preset */
/** @typedef {import('../../types.js').AppState} AppState */
/** @typedef {import('../../types.js').Room} Room */
/** @typedef {import('../../types.js').Rules} Rules */

/** @type {Record<Preset, import('../../language/texts.js').TextKey>} */
const PRESET_KEYS = { friends: 'preset.friends', party: 'preset.party', dj: 'dj.mark', jukebox: 'preset.jukebox' };

/**
 * @param {object} options
 * @param {(makeCommand: MakeCommand) => unknown} options.sendCommand
 * @param {() => Promise<string | null>} options.renewCode resolves to the new pairing code; `null` if the server has refused
 * @returns {(state: AppState) => void}
 */
export function createRulesView({ sendCommand, renewCode }) {
  const toggle = elementById('rules-button', HTMLButtonElement);
  const presetText = elementById('rules-preset', HTMLElement);
  const group = elementById('rules-group', HTMLElement);
  const note = elementById('rules-note', HTMLElement);
  const stepDownButton = elementById('rules-step-down', HTMLButtonElement);
  const newCodeButton = elementById('rules-new-code', HTMLButtonElement);
  const codeText = elementById('rules-code', HTMLElement);
  const drawButton = elementById('rules-draw-dj', HTMLButtonElement);
  const presetButtons = /** @type {Preset[]} */ (Object.keys(PRESETS)).map((preset) => ({ preset, button: elementById(`preset-${preset}`, HTMLButtonElement) }));
  const renderControls = createRuleControls(elementById('rules-list', HTMLElement), setRules);
  /** @type {AppState | null} */
  let lastState = null;

  /** @param {Partial<Rules>} rules */
  function setRules(rules) {
    sendCommand(() => ({ name: 'rules', rules }));
    // The server may refuse, and the control has to show the rule then.
    if (lastState) render(lastState);
  }

  toggle.addEventListener('click', () => {
    group.hidden = !group.hidden;
    toggle.setAttribute('aria-expanded', String(!group.hidden));
    if (lastState) render(lastState);
    if (!group.hidden) toggle.scrollIntoView({ block: 'start', behavior: 'auto' });
  });
  for (const { preset, button } of presetButtons) button.addEventListener('click', () => setRules(PRESETS[preset]));
  stepDownButton.addEventListener('click', () => {
    const memberId = lastState?.memberId ?? null;
    if (memberId !== null) sendCommand(() => ({ name: 'hosts', memberId, host: false }));
  });
  drawButton.addEventListener('click', () => sendCommand(() => ({ name: 'dj/random' })));
  newCodeButton.addEventListener('click', async () => {
    const code = await renewCode();
    setMessage(codeText, code === null ? null : { key: 'rules.newCodeIs', values: { code } });
  });

  /** @param {Room} room @param {AppState['memberId']} memberId */
  function noteText(room, memberId) {
    const hosts = hostsOf(room);
    if (hosts.length === 0) return text('rules.noHost');
    const names = formatNames(hosts.map((host) => memberName(room, host)));
    return isHost(room, memberId) ? text('rules.youAreHost', { names }) : text('rules.onlyHosts', { names });
  }

  /** @param {AppState} state */
  function render(state) {
    lastState = state;
    const room = shownRoom(state);
    if (!room) return;
    const { memberId } = state;
    const preset = presetOf(rulesOf(room));
    const mayChange = hasHostRights(room, memberId);
    setText(presetText, text(preset === null ? 'preset.own' : PRESET_KEYS[preset]));
    if (group.hidden) return;
    setText(note, noteText(room, memberId));
    hideKeepingFocus(stepDownButton, !isHost(room, memberId), toggle);
    setPermitted(stepDownButton, 'stopHosting', objection(room, memberId, 'stopHosting') === null);
    for (const { preset: name, button } of presetButtons) {
      setAttribute(button, 'aria-pressed', String(name === preset));
      setPermitted(button, 'setRules', mayChange);
    }
    setPermitted(newCodeButton, 'setRules', mayChange);
    setPermitted(drawButton, 'drawDj', objection(room, memberId, 'drawDj') === null);
    renderControls(rulesOf(room), !mayChange);
  }

  return render;
}
