// The people on the big screen: who is DJ, and the last lines of the chat.

import { text } from '../../language/texts.js';
import { isChatOn } from '../../room/chat.js';
import { djOf, hasDjRole } from '../../room/rules.js';
import { memberName } from '../../room/selectors.js';
import { cloneTemplate, elementById, queryElement, setHidden, setText } from '../dom.js';

/** Each has up to two lines. */
const MESSAGE_COUNT = 3;

/** @returns {(state: import('../../types.js').AppState) => void} */
export function createScreenTalk() {
  const djText = elementById('screen-dj', HTMLElement);
  const section = elementById('screen-chat', HTMLElement);
  const list = elementById('screen-messages', HTMLElement);

  return ({ room, chat }) => {
    const dj = room && hasDjRole(room) ? djOf(room) : null;
    setHidden(djText, dj === null);
    setText(djText, room && dj !== null ? text('dj.is', { name: memberName(room, dj) }) : '');
    const lines = isChatOn(room) ? chat.slice(-MESSAGE_COUNT) : [];
    setHidden(section, lines.length === 0);
    section.parentElement?.classList.toggle('with-chat', lines.length > 0);
    while (list.childElementCount > lines.length) list.firstElementChild?.remove();
    while (list.childElementCount < lines.length) list.append(cloneTemplate('screen-message-template'));
    lines.forEach(({ memberId, name, text: message }, i) => {
      const line = /** @type {HTMLElement} */ (list.children[i]);
      setText(queryElement(line, '.by-name', HTMLElement), name || (room ? memberName(room, memberId) : ''));
      setText(queryElement(line, '.said', HTMLElement), message);
    });
  };
}
