// A button of a vote, with the number of votes beside it. The number is not part of the button's name.

import { formatNumber } from '../../format.js';
import { text } from '../../language/texts.js';
import { queryElement, setAttribute, setHidden, setText } from '../dom.js';

/** @param {HTMLElement} box */
export function createVoteBox(box) {
  const button = queryElement(box, 'button', HTMLButtonElement);
  const countText = queryElement(box, '.tally', HTMLElement);
  /** Boxes of picks have none: their votes have no goal. */
  const neededText = box.querySelector('.needed');

  /** @param {string} count @param {boolean} isOwn whether this phone votes so */
  function show(count, isOwn) {
    setText(countText, count);
    setAttribute(button, 'aria-pressed', String(isOwn));
    box.dataset['own'] = String(isOwn);
  }

  return {
    button,
    /** @param {boolean} isHidden */
    setHidden: (isHidden) => {
      setHidden(box, isHidden);
      if (!isHidden) return;
      setText(countText, '');
      if (neededText) setText(neededText, '');
    },
    /** @param {number} count @param {boolean} isOwn */
    renderCount: (count, isOwn) => show(formatNumber(count), isOwn),
    /** Shows the votes of all listeners. @param {import('../../room/votes.js').Tally} tally */
    renderTally: ({ count, listenerCount, neededCount, isOwn }) => {
      show(`${formatNumber(count)}/${formatNumber(listenerCount)}`, isOwn);
      // Beside many listeners, the number needed would take too much space while nobody votes so.
      const showsNeeded = count > 0 || box.dataset['goal'] === 'always';
      if (neededText) setText(neededText, showsNeeded ? text('votes.needed', { count: neededCount }) : '');
      setAttribute(button, 'title', text('votes.tallyTitle', { votes: count, total: listenerCount, count: neededCount }));
    },
  };
}
