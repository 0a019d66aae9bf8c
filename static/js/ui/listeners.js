// The list of members, whose label on the page is “Listeners”: the connected members, remote controls included, with
// their activities, and members that were connected earlier while this page was open.

import { initials, memberHue, trimText } from '../format.js';
import { text } from '../language/texts.js';
import { memberRows } from '../room/member-rows.js';
import { activityText, syncTone } from './status-line.js';
import { djOf, hasDjRole } from '../room/rules.js';
import { cloneTemplate, elementById, queryElement, setAttribute, setCssVariable, setText } from './dom.js';
import { createCooldowns } from './rules/cooldowns.js';
import { createDjButtons } from './rules/dj-buttons.js';
import { createHostButton } from './rules/host-button.js';
import { createTrimControl } from './trim-control.js';

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Room} Room */

/**
 * @param {(memberId: MemberId, trimDb: number) => Promise<unknown>} setTrim
 * @param {(makeCommand: import('../net/commands.js').MakeCommand) => unknown} sendCommand
 */
export function createMemberList(setTrim, sendCommand) {
  const trimControl = createTrimControl(setTrim);
  const listElement = elementById('listeners', HTMLElement);
  const panel = elementById('panel-now', HTMLElement);
  const cooldowns = createCooldowns(() => performance.now());
  /** @type {Map<MemberId, HTMLElement>} */
  const rowByMemberId = new Map();
  /** @type {Map<MemberId, ReturnType<typeof createDjButtons>>} */
  const djButtons = new Map();
  /** @type {Map<MemberId, ReturnType<typeof createHostButton>>} */
  const hostButtons = new Map();
  /** @type {Set<MemberId>} */
  const seenMemberIds = new Set();

  /** @typedef {{sync: {waitsForTap: boolean, pausedAlone: boolean}, hasOtherOutput: boolean}} OwnState why this phone is silent, and whether it has another output than when it was compared */

  /** @type {[Room | null, MemberId | null, OwnState]} */
  let lastInputs = [null, null, { sync: { waitsForTap: false, pausedAlone: false }, hasOtherOutput: false }];

  const render = (/** @type {Room | null} */ room, /** @type {MemberId | null} */ ownMemberId, /** @type {OwnState} */ ownState) => {
    lastInputs = [room, ownMemberId, ownState];
    const { sync, hasOtherOutput } = ownState;
    trimControl.render(room);
    for (const memberId of Object.keys(room?.live.listeners ?? {})) seenMemberIds.add(memberId);
    cooldowns.update(room);
    // The DJ is listed even if this page has never seen it connected, so that it can be voted out.
    const dj = room && hasDjRole(room) ? djOf(room) : null;
    const shownIds = dj === null ? seenMemberIds : new Set([...seenMemberIds, dj]);
    const rowContents = room ? memberRows(room, ownMemberId, sync, shownIds, hasOtherOutput) : [];
    const listedIds = new Set(rowContents.map(({ memberId }) => memberId));
    for (const [memberId, row] of rowByMemberId) {
      if (listedIds.has(memberId)) continue;
      if (row.contains(document.activeElement)) panel.focus({ preventScroll: true });
      row.remove();
      rowByMemberId.delete(memberId);
      djButtons.get(memberId)?.stop();
      djButtons.delete(memberId);
      hostButtons.delete(memberId);
    }
    rowContents.forEach((content, i) => {
      const row = rowByMemberId.get(content.memberId) ?? createRow(content.memberId);
      renderMemberRow(row, content);
      renderTrim(row, content, room?.clients[content.memberId]?.trimDb ?? 0);
      if (room) djButtons.get(content.memberId)?.render(room, ownMemberId, content.name, content.activity !== 'disconnected');
      if (room) hostButtons.get(content.memberId)?.(room, ownMemberId, content.name);
      if (listElement.children[i] !== row) listElement.insertBefore(row, listElement.children[i] ?? null);
    });
  };

  /** @param {MemberId} memberId */
  function createRow(memberId) {
    const row = cloneTemplate('listener-template');
    rowByMemberId.set(memberId, row);
    djButtons.set(memberId, createDjButtons(row, memberId, { sendCommand, cooldownMs: cooldowns.remainingMs, onChange: () => render(...lastInputs) }));
    hostButtons.set(memberId, createHostButton(row, memberId, sendCommand));
    queryElement(row, '.trim-button', HTMLButtonElement).addEventListener('click', () => {
      trimControl.toggle(memberId);
      render(...lastInputs);
    });
    return row;
  }

  /** @param {HTMLElement} row @param {import('../room/member-rows.js').MemberRow} content @param {number} trimDb */
  function renderTrim(row, { memberId, name, activity }, trimDb) {
    const button = queryElement(row, '.trim-button', HTMLButtonElement);
    button.hidden = activity === 'remote' || activity === 'disconnected';
    setAttribute(button, 'aria-label', text('listeners.volumeOf', { name }));
    setAttribute(button, 'aria-expanded', String(trimControl.memberId() === memberId));
    setText(queryElement(row, '.trim', HTMLElement), trimDb < 0 ? trimText(trimDb) : '');
  }

  return render;
}

/** @param {HTMLElement} row @param {import('../room/member-rows.js').MemberRow} content */
function renderMemberRow(row, content) {
  row.dataset['activity'] = content.activity;
  row.dataset['tone'] = content.syncErrorMs === null ? '' : syncTone(content.syncErrorMs, content.isCompared);
  setCssVariable(row, '--placeholder-hue', String(memberHue(content.memberId)));
  setCssVariable(row, '--download-progress', `${content.downloadPercent / 100}`);
  setText(queryElement(row, '.avatar', HTMLElement), [...initials(content.name)][0] ?? '');
  setText(queryElement(row, '.member-name', HTMLElement), content.name);
  setText(queryElement(row, '.you', HTMLElement), content.isThisPhone ? text('listeners.you') : '');
  setText(queryElement(row, '.activity', HTMLElement), activityText(content));
}
