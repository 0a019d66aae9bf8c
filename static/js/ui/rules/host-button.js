// The button of one listener that makes it host, or host no more. It is for hosts: what others may not do is said in Settings.

import { text } from '../../language/texts.js';
import { isHost } from '../../room/rules.js';
import { hideKeepingFocus, queryElement, elementById, setAttribute } from '../dom.js';

/** @typedef {import('../../types.js').MemberId} MemberId */

/**
 * @param {HTMLElement} row of the list of listeners
 * @param {MemberId} memberId
 * @param {(makeCommand: import('../../net/commands.js').MakeCommand) => unknown} sendCommand
 */
export function createHostButton(row, memberId, sendCommand) {
  const panel = elementById('panel-now', HTMLElement);
  const button = queryElement(row, '.host-make', HTMLButtonElement);
  let isMemberHost = false;
  button.addEventListener('click', () => {
    const host = !isMemberHost;
    sendCommand(() => ({ name: 'hosts', memberId, host }));
  });

  /** @param {import('../../types.js').Room} room @param {MemberId | null} own @param {string} name */
  return (room, own, name) => {
    isMemberHost = isHost(room, memberId);
    hideKeepingFocus(button, !isHost(room, own) || memberId === own, panel);
    setAttribute(button, 'aria-label', text(isMemberHost ? 'paired.endHostName' : 'host.makeName', { name }));
    button.classList.toggle('is-host', isMemberHost);
  };
}
