// The trim of a listener: a slider below the list of listeners, which the buttons of the list open. It makes another phone
// quieter while it moves.

import { coalesce } from '../coalesce.js';
import { trimText } from '../format.js';
import { text } from '../language/texts.js';
import { memberName } from '../room/selectors.js';
import { elementById, setAttribute, setCssVariable, setText } from './dom.js';

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Room} Room */

/** @param {(memberId: MemberId, trimDb: number) => Promise<unknown>} setTrim */
export function createTrimControl(setTrim) {
  const line = elementById('trim-line', HTMLElement);
  const label = elementById('trim-label', HTMLElement);
  const slider = elementById('trim', HTMLInputElement);
  const trimOutput = elementById('trim-text', HTMLElement);
  /** @type {MemberId | null} */
  let memberId = null;
  /** The trim that is being sent or still to be sent; `null` while the room's trim is shown. */
  /** @type {{memberId: MemberId, trimDb: number} | null} */
  let request = null;

  // While the slider moves, only the last value is sent after the response to an earlier one.
  const sendRequest = coalesce(async () => {
    const sent = request;
    if (!sent) return;
    await setTrim(sent.memberId, sent.trimDb);
    if (request === sent) request = null;
  });

  /** @param {number} trimDb */
  function show(trimDb) {
    slider.valueAsNumber = trimDb;
    setCssVariable(slider, '--progress', String(1 - trimDb / Number(slider.min)));
    setText(trimOutput, trimText(trimDb));
    setAttribute(slider, 'aria-valuetext', trimText(trimDb));
  }

  slider.addEventListener('input', () => {
    if (memberId === null) return;
    request = { memberId, trimDb: slider.valueAsNumber };
    show(request.trimDb);
    sendRequest();
  });

  return {
    /** The member whose trim is shown; `null` if none is. */
    memberId: () => memberId,
    /** Shows the trim of a member, or hides it if it is shown. @param {MemberId} newMemberId */
    toggle: (newMemberId) => {
      memberId = memberId === newMemberId ? null : newMemberId;
    },
    /** @param {Room | null} room */
    render: (room) => {
      if (memberId !== null && room?.live.listeners[memberId]?.role !== 'listener') memberId = null;
      line.hidden = memberId === null;
      if (memberId === null || !room) return;
      setText(label, text('listeners.volumeOf', { name: memberName(room, memberId) }));
      const isPending = request?.memberId === memberId;
      if (!isPending) show(room.clients[memberId]?.trimDb ?? 0);
    },
  };
}
