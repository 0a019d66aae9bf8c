// The buttons of one listener: to vote for it as DJ, and to make it DJ. On the DJ's own entry they vote the DJ out and remove it.

import { text } from '../../language/texts.js';
import { objection } from '../../room/permissions.js';
import { djOf, hasDjRole, isHost } from '../../room/rules.js';
import { djTally, djVoteAfterPress } from '../../room/votes.js';
import { elementById, hideKeepingFocus, queryElement, setAttribute, setHidden, setText } from '../dom.js';
import { createSecondPress } from '../second-press.js';
import { setDisabledBecause, setPermitted } from './reasons.js';
import { createVoteBox } from './vote-box.js';

/** @typedef {import('../../net/commands.js').MakeCommand} MakeCommand */
/** @typedef {import('../../types.js').MemberId} MemberId */
/** @typedef {import('../../types.js').Room} Room */

/**
 * @param {HTMLElement} row of the list of listeners
 * @param {MemberId} memberId
 * @param {object} options
 * @param {(makeCommand: MakeCommand) => unknown} options.sendCommand
 * @param {(memberId: MemberId) => number} options.cooldownMs how long the member cannot be DJ yet
 * @param {() => void} options.onChange called when the row has to be rendered again
 */
export function createDjButtons(row, memberId, { sendCommand, cooldownMs, onChange }) {
  const panel = elementById('panel-now', HTMLElement);
  const crown = queryElement(row, '.crown', HTMLElement);
  const buttons = queryElement(row, '.dj-buttons', HTMLElement);
  const voteElement = queryElement(row, '.vote-box', HTMLElement);
  const voteBox = createVoteBox(voteElement);
  const makeButton = queryElement(row, '.dj-make', HTMLButtonElement);
  const makeText = queryElement(makeButton, '.text', HTMLElement);
  const note = queryElement(row, '.dj-note', HTMLElement);
  const reason = queryElement(row, '.dj-reason', HTMLElement);
  const removal = createSecondPress(onChange);
  let isDj = false;
  /** @type {MemberId | null} */
  let ownMemberId = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  reason.id = `dj-reason-${memberId}`;

  voteBox.button.addEventListener('click', () => {
    const candidateId = isDj ? null : memberId;
    sendCommand((room) => ({ name: 'vote-dj', memberId: djVoteAfterPress(room, ownMemberId, candidateId) }));
  });
  makeButton.addEventListener('click', (event) => {
    if (!isDj) sendCommand(() => ({ name: 'dj', memberId }));
    else if (removal.press(memberId, event)) sendCommand(() => ({ name: 'dj', memberId: null }));
  });
  removal.ignoreHeldKeys(makeButton);

  /** Shows for how many minutes the member cannot be DJ. @param {string} name @returns {boolean} whether it cannot */
  function renderCooldown(name) {
    const remainingMs = isDj ? 0 : cooldownMs(memberId);
    setText(note, remainingMs > 0 ? text('dj.coolingDown') : '');
    setText(reason, remainingMs > 0 ? text('dj.removedUntil', { name, count: Math.ceil(remainingMs / 60_000) }) : '');
    clearTimeout(timer);
    // Until the number of minutes changes.
    if (remainingMs > 0) timer = setTimeout(onChange, (remainingMs % 60_000) + 50);
    return remainingMs > 0;
  }

  return {
    /** @param {Room} room @param {MemberId | null} own @param {string} name @param {boolean} isConnected */
    render: (room, own, name, isConnected) => {
      ownMemberId = own;
      const hasRole = hasDjRole(room);
      isDj = hasRole && djOf(room) === memberId;
      setHidden(crown, !isDj);
      setAttribute(crown, 'aria-label', text('dj.mark'));
      const isCooling = renderCooldown(name);
      // A DJ that is away can be voted out and removed.
      hideKeepingFocus(buttons, !hasRole || (!isConnected && !isDj), panel);
      voteBox.setHidden(buttons.hidden);
      if (buttons.hidden) return;
      setAttribute(voteBox.button, 'aria-label', text(isDj ? 'dj.voteOutName' : 'dj.voteName', { name }));
      voteElement.classList.toggle('out', isDj);
      voteBox.renderTally(djTally(room, own, isDj ? null : memberId));
      if (isCooling) setDisabledBecause(voteBox.button, reason.id);
      else setPermitted(voteBox.button, 'vote', objection(room, own, 'vote') === null);
      const asksForRemoval = isDj && removal.isAsking(memberId);
      setAttribute(makeButton, 'aria-label', asksForRemoval ? null : text(isDj ? 'dj.removeName' : 'dj.makeName', { name }));
      setText(makeText, asksForRemoval ? text('dj.confirmRemoveName', { name }) : '');
      makeButton.classList.toggle('removes', isDj);
      makeButton.classList.toggle('confirming', asksForRemoval);
      hideKeepingFocus(makeButton, isDj && memberId === own, voteBox.button);
      const mayMake = objection(room, own, 'setDj') === null;
      // A host can end the cooling down.
      if (mayMake && isCooling && !isHost(room, own)) setDisabledBecause(makeButton, reason.id);
      else setPermitted(makeButton, 'setDj', mayMake);
    },
    /** To be called when the row is removed. */
    stop: () => clearTimeout(timer),
  };
}
