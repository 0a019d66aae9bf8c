// Who is here, and what each is doing; and who was here a while ago, which only this page remembers.

import { initials, memberHue } from '../format.js';
import { listenerRows } from '../state.js';
import { doingText, toneOf } from '../status.js';
import { byId, part, setText, setVariable, stamp } from './dom.js';

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Room} Room */

export function createListeners() {
  const list = byId('listeners', HTMLElement);
  /** @type {Map<MemberId, HTMLElement>} */
  const rows = new Map();
  /** @type {Set<MemberId>} */
  const met = new Set();

  /**
   * @param {Room | null} room
   * @param {MemberId | null} you
   * @param {boolean} locked Whether your phone is silent until you tap.
   */
  return (room, you, locked) => {
    for (const member of Object.keys(room?.live.listeners ?? {})) met.add(member);
    const wanted = room ? listenerRows(room, you, locked, met) : [];
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
      row.dataset['tone'] = listener.offMs === null ? '' : toneOf(listener.offMs);
      setVariable(row, '--art', String(memberHue(listener.member)));
      setVariable(row, '--done', `${listener.percent / 100}`);
      setText(part(row, '.face', HTMLElement), [...initials(listener.name)][0] ?? '');
      setText(part(row, '.who', HTMLElement), listener.name);
      setText(part(row, '.you', HTMLElement), listener.you ? '(you)' : '');
      setText(part(row, '.doing', HTMLElement), doingText(listener));
      if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
    });
  };
}
