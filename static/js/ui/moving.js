// While this phone moves to its secure page: how far its music is, in the tab that it moves into, and whether that is still
// needed, in the tab that it leaves.

import { byId, setHidden, setText } from './dom.js';

const NEEDED = 'This one has to stay open until the music is there.';
const DONE = 'This one can be closed.';

/** What is said is to be read, and to be read out: it changes so often at most. */
const READ_MS = 2_000;

export function createMoving() {
  const progress = byId('moving-text', HTMLElement);
  /** @type {string | null} what is to be said when what stands there has been read */
  let next = null;
  let isRead = true;

  /** @param {string} text */
  function say(text) {
    if (!isRead) {
      next = text;
      return;
    }
    setText(progress, text);
    isRead = false;
    setTimeout(() => {
      isRead = true;
      const waiting = next;
      next = null;
      if (waiting !== null) say(waiting);
    }, READ_MS);
  }

  return {
    /**
     * Draws both views, and says where the focus belongs in the one that is shown.
     * @param {import('../types.js').AppState} state
     * @returns {HTMLElement | null}
     */
    render: ({ view, moving }) => {
      setHidden(byId('moving-view', HTMLElement), view !== 'moving');
      setHidden(byId('moved-view', HTMLElement), view !== 'moved');
      if (view === 'moving' && moving) say(`Bringing track ${moving.brought + 1} of ${moving.total} over`);
      if (view === 'moved') setText(byId('moved-text', HTMLElement), moving ? NEEDED : DONE);
      if (view === 'moving') return byId('moving-title', HTMLElement);
      return view === 'moved' ? byId('moved-title', HTMLElement) : null;
    },
  };
}
