// Settings, "Other phones": the other paired phones, each with a button that removes the pairing after a second press, and one that makes it
// host.

import { formatList, initials, memberHue } from '../format.js';
import { text } from '../language/texts.js';
import { pairedRows } from '../room/member-rows.js';
import { shownRoom } from '../room/optimistic.js';
import { isHost } from '../room/rules.js';
import { cloneTemplate, elementById, queryElement, setAttribute, setCssVariable, setHidden, setText } from './dom.js';
import { isPermitted, setPermitted } from './rules/reasons.js';
import { createSecondPress } from './second-press.js';

/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').MemberId} MemberId */

/**
 * @param {object} options
 * @param {(memberId: MemberId) => void} options.onRemove called after the second press
 * @param {(memberId: MemberId, isHost: boolean) => void} options.onSetHost
 * @returns {(state: AppState) => void}
 */
export function createPairedDevices({ onRemove, onSetHost }) {
  const pairedGroup = elementById('paired', HTMLDetailsElement);
  const summary = queryElement(pairedGroup, 'summary', HTMLElement);
  const countText = queryElement(summary, '.count', HTMLElement);
  const listElement = elementById('paired-list', HTMLElement);
  const emptyText = elementById('paired-empty', HTMLElement);
  /** @type {Map<MemberId, HTMLElement>} */
  const rowByMemberId = new Map();
  /** @type {AppState | null} */
  let lastState = null;

  /** @type {ReturnType<typeof createSecondPress<MemberId>>} */
  const removal = createSecondPress(() => lastState && render(lastState));

  listElement.addEventListener('click', (event) => {
    const { target, detail } = event;
    const button = target instanceof Element ? target.closest('button') : null;
    const memberId = button?.closest('li')?.dataset['member'];
    if (!memberId || detail > 1) return;
    if (button?.classList.contains('make-host')) return onSetHost(memberId, button.dataset['host'] === 'false');
    if (removal.press(memberId, event)) onRemove(memberId);
  });
  removal.ignoreHeldKeys(listElement);
  pairedGroup.addEventListener('toggle', () => lastState && render(lastState));

  /** @param {ReadonlySet<MemberId>} keptIds */
  function removeRowsExcept(keptIds) {
    const focusedId = document.activeElement?.closest('li')?.dataset['member'];
    for (const [memberId, row] of rowByMemberId) {
      if (keptIds.has(memberId)) continue;
      row.remove();
      rowByMemberId.delete(memberId);
      if (memberId === focusedId) summary.focus({ preventScroll: true });
    }
  }

  /** @param {AppState} state */
  function render(state) {
    lastState = state;
    const room = shownRoom(state);
    const { memberId: ownMemberId } = state;
    const otherMembers = room ? pairedRows(room, ownMemberId) : [];
    setText(countText, String(otherMembers.length));
    setHidden(emptyText, otherMembers.length > 0);
    if (!pairedGroup.open || !room) return;
    const [mayRemove, maySetHost] = [isPermitted(state, 'unpair'), isPermitted(state, 'setHosts')];
    removeRowsExcept(new Set(otherMembers.map(({ memberId }) => memberId)));
    otherMembers.forEach(({ memberId, name, isConnected }, i) => {
      const row = rowByMemberId.get(memberId) ?? cloneTemplate('paired-template');
      rowByMemberId.set(memberId, row);
      row.dataset['member'] = memberId;
      row.dataset['connected'] = String(isConnected);
      setCssVariable(row, '--placeholder-hue', String(memberHue(memberId)));
      setText(queryElement(row, '.avatar', HTMLElement), [...initials(name)][0] ?? '');
      setText(queryElement(row, '.member-name', HTMLElement), name);
      const presence = text(isConnected ? 'paired.here' : 'paired.away');
      setText(queryElement(row, '.activity', HTMLElement), isHost(room, memberId) ? formatList([presence, text('paired.host')]) : presence);
      const removeButton = queryElement(row, '.remove', HTMLButtonElement);
      renderButton(removeButton, name, removal.isAsking(memberId));
      setPermitted(removeButton, 'unpair', mayRemove);
      renderHostButton(queryElement(row, '.make-host', HTMLButtonElement), name, isHost(room, memberId));
      setPermitted(queryElement(row, '.make-host', HTMLButtonElement), 'setHosts', maySetHost);
      if (listElement.children[i] !== row) listElement.insertBefore(row, listElement.children[i] ?? null);
    });
  }

  return render;
}

/** @param {HTMLButtonElement} button @param {string} name @param {boolean} isConfirming */
function renderButton(button, name, isConfirming) {
  setText(button, text(isConfirming ? 'paired.confirm' : 'paired.remove'));
  setAttribute(button, 'aria-label', text(isConfirming ? 'paired.confirmName' : 'paired.removeName', { name }));
  button.classList.toggle('confirming', isConfirming);
}

/** @param {HTMLButtonElement} button @param {string} name @param {boolean} isHost */
function renderHostButton(button, name, isHost) {
  setText(button, text(isHost ? 'paired.endHost' : 'paired.makeHost'));
  setAttribute(button, 'aria-label', text(isHost ? 'paired.endHostName' : 'paired.makeHostName', { name }));
  button.dataset['host'] = String(isHost);
}
