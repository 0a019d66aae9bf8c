// Who is here, and what each is doing.

import { hueOf } from '../format.js';
import { listenerRows } from '../state.js';
import { doingText } from '../status.js';
import { byId, part, setText, setVariable, stamp } from './dom.js';

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Room} Room */

export function createListeners() {
  const list = byId('listeners', HTMLElement);
  /** @type {Map<MemberId, HTMLElement>} */
  const rows = new Map();

  /**
   * @param {Room | null} room
   * @param {MemberId | null} you
   * @param {boolean} locked Whether your phone is silent until you tap.
   */
  return (room, you, locked) => {
    const wanted = room ? listenerRows(room, you, locked) : [];
    const members = new Set(wanted.map(({ member }) => member));
    for (const [member, row] of rows) {
      if (members.has(member)) continue;
      row.remove();
      rows.delete(member);
    }
    wanted.forEach((listener, i) => {
      const row = rows.get(listener.member) ?? stamp('listener-template');
      rows.set(listener.member, row);
      row.dataset['doing'] = listener.doing;
      setVariable(row, '--art', String(hueOf(listener.member.repeat(7))));
      setVariable(row, '--done', `${listener.percent / 100}`);
      setText(part(row, '.who', HTMLElement), listener.name);
      setText(part(row, '.you', HTMLElement), listener.you ? '(you)' : '');
      setText(part(row, '.doing', HTMLElement), doingText(listener));
      if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
    });
  };
}
