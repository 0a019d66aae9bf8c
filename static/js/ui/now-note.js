// The line below the titles: who picked the current track, and for some seconds what somebody else has just done.

import { initials, memberHue } from '../format.js';
import { text } from '../language/texts.js';
import { memberName } from '../room/selectors.js';
import { elementById, queryElement, setCssVariable, setHidden, setText } from './dom.js';

/** @typedef {import('../language/texts.js').Message} Message */
/** @typedef {import('../types.js').Room} Room */

const HAPPENING_MS = 7_000;

/** Stands for the title in a sentence, so that the title can be set in italics. */
const TITLE_MARK = '\u0001';

export function createNowNote() {
  const pickedBy = elementById('now-picked-by', HTMLElement);
  const happeningLine = elementById('now-happening', HTMLElement);
  const line = /** @type {HTMLElement} */ (happeningLine.parentElement);
  /** @type {import('../types.js').AppState['happening']} */
  let shown = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {Message} message */
  function show(message) {
    happeningLine.replaceChildren(...sentence(message));
    line.classList.add('has-happening');
    clearTimeout(timer);
    timer = setTimeout(() => line.classList.remove('has-happening'), HAPPENING_MS);
  }

  /** @param {Pick<import('../types.js').AppState, 'happening' | 'memberId'>} state @param {Room | null} room */
  return ({ happening, memberId }, room) => {
    const by = room?.pickedBy ?? null;
    setHidden(pickedBy, room === null || by === null || !(by in room.clients));
    if (room && by !== null && by in room.clients) {
      const name = memberName(room, by);
      const avatar = queryElement(pickedBy, '.avatar', HTMLElement);
      setCssVariable(avatar, '--placeholder-hue', String(memberHue(by)));
      setText(avatar, [...initials(name)][0] ?? '');
      setText(queryElement(pickedBy, '.text', HTMLElement), by === memberId ? text('now.addedByYou') : text('now.addedBy', { name }));
    }
    if (happening === shown) return;
    shown = happening;
    if (happening && performance.now() - happening.atMs < HAPPENING_MS) show(happening.message);
  };
}

/** The parts of a sentence, the title in italics. @param {Message} message @returns {(Node | string)[]} */
function sentence(message) {
  if (typeof message === 'string') return [message];
  const { title } = message.values ?? {};
  if (title === undefined) return [text(message.key, message.values)];
  const [before = '', after = ''] = text(message.key, { ...message.values, title: TITLE_MARK }).split(TITLE_MARK);
  return [before, Object.assign(document.createElement('em'), { textContent: String(title) }), after];
}
