// The line on Now that says who is DJ, or that hosts control the room, with the vote to skip.

import { messageText, text } from '../../language/texts.js';
import { controllingHosts, objection } from '../../room/permissions.js';
import { canSkipTogether, djOf, hasDjRole, rulesOf } from '../../room/rules.js';
import { currentTrackId, memberName } from '../../room/selectors.js';
import { skipTally } from '../../room/votes.js';
import { elementById, hideKeepingFocus, queryElement, setHidden, setText } from '../dom.js';
import { setPermitted } from './reasons.js';
import { createVoteBox } from './vote-box.js';

/** @typedef {import('../../net/commands.js').MakeCommand} MakeCommand */
/** @typedef {import('../../types.js').MemberId} MemberId */
/** @typedef {import('../../types.js').Room} Room */

/** @param {(makeCommand: MakeCommand) => unknown} sendCommand */
export function createDjLine(sendCommand) {
  const line = elementById('dj-line', HTMLElement);
  const panel = elementById('panel-now', HTMLElement);
  const controlText = elementById('control-text', HTMLElement);
  const djText = elementById('dj-text', HTMLElement);
  const djTextElement = queryElement(djText, '.text', HTMLElement);
  const stepDownButton = elementById('dj-step-down', HTMLButtonElement);
  const skipBox = createVoteBox(elementById('skip-box', HTMLElement));
  let isOwnVote = false;

  skipBox.button.addEventListener('click', () => {
    const up = !isOwnVote;
    sendCommand((room) => {
      const trackId = currentTrackId(room);
      return trackId === null ? null : { name: 'vote-skip', trackId, up };
    });
  });
  stepDownButton.addEventListener('click', () => sendCommand(() => ({ name: 'dj', memberId: null })));

  /** @param {Room | null} room @param {MemberId | null} memberId */
  return (room, memberId) => {
    const isReserved = room !== null && rulesOf(room).control === 'hosts' && objection(room, memberId, 'control') !== null;
    const showsDj = room !== null && hasDjRole(room);
    const showsSkip = room !== null && canSkipTogether(room) && currentTrackId(room) !== null;
    hideKeepingFocus(line, !showsDj && !isReserved && !showsSkip, panel);
    if (!room) return;
    const dj = djOf(room);
    const isOwn = dj !== null && dj === memberId;
    setHidden(djText, !showsDj);
    hideKeepingFocus(stepDownButton, !isOwn || !showsDj, panel);
    setHidden(controlText, !isReserved);
    setText(controlText, isReserved ? messageText(controllingHosts(room)) : '');
    line.dataset['dj'] = dj === null ? 'none' : 'some';
    setText(djTextElement, dj === null ? text('dj.nobody') : isOwn ? text('dj.isYou') : text('dj.is', { name: memberName(room, dj) }));
    skipBox.setHidden(!showsSkip);
    if (!showsSkip) return;
    const tally = skipTally(room, memberId);
    isOwnVote = tally.isOwn;
    skipBox.renderTally(tally);
    setPermitted(skipBox.button, 'vote', objection(room, memberId, 'vote') === null);
  };
}
