// Which other phones are paired, and the button that removes one: it asks once more, by itself, before it does.

import { initials, memberHue } from '../format.js';
import { pairedRows } from '../state.js';
import { byId, part, setAttribute, setHidden, setText, setVariable, stamp } from './dom.js';

/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').MemberId} MemberId */

/** So long may somebody think about it, in milliseconds. */
const THINK_MS = 5_000;

/**
 * @param {(member: MemberId) => Promise<void>} remove
 * @returns {(state: AppState) => void} draws them
 */
export function createPaired(remove) {
  const group = byId('paired', HTMLDetailsElement);
  const summary = part(group, 'summary', HTMLElement);
  const list = byId('paired-list', HTMLElement);
  const nobody = byId('paired-nobody', HTMLElement);
  /** @type {Map<MemberId, HTMLElement>} */
  const rows = new Map();
  /** @type {MemberId | null} whose button has been pressed once */
  let doubted = null;
  let thinking = 0;
  /** @type {AppState | null} */
  let last = null;

  /** @param {MemberId | null} member */
  function doubt(member) {
    clearTimeout(thinking);
    doubted = member;
    if (member !== null) thinking = setTimeout(doubt, THINK_MS, null);
    if (last) draw(last);
  }

  list.addEventListener('click', ({ target, detail }) => {
    const button = target instanceof Element ? target.closest('button') : null;
    const member = button?.closest('li')?.dataset['member'];
    // The second half of a double click is no second thought.
    if (!member || detail > 1) return;
    if (member !== doubted) return doubt(member);
    doubt(null);
    remove(member);
  });
  // Nor is a key that is held down.
  list.addEventListener('keydown', (event) => {
    if (event.repeat && event.key === 'Enter') event.preventDefault();
  });
  group.addEventListener('toggle', () => last && draw(last));

  /** @param {AppState} state */
  function draw(state) {
    last = state;
    const { room, memberId } = state;
    const others = room ? pairedRows(room, memberId) : [];
    setText(part(summary, '.count', HTMLElement), String(others.length));
    setHidden(nobody, others.length > 0);
    if (!group.open) return;
    const members = new Set(others.map(({ member }) => member));
    const lost = document.activeElement?.closest('li')?.dataset['member'];
    for (const [member, row] of rows) {
      if (members.has(member)) continue;
      row.remove();
      rows.delete(member);
      if (member === lost) summary.focus({ preventScroll: true });
    }
    others.forEach(({ member, name, here }, i) => {
      const row = rows.get(member) ?? stamp('paired-template');
      rows.set(member, row);
      row.dataset['member'] = member;
      row.dataset['here'] = String(here);
      setVariable(row, '--art', String(memberHue(member)));
      setText(part(row, '.face', HTMLElement), [...initials(name)][0] ?? '');
      setText(part(row, '.who', HTMLElement), name);
      setText(part(row, '.doing', HTMLElement), here ? 'here' : 'away');
      const button = part(row, 'button', HTMLButtonElement);
      const really = member === doubted;
      setText(button, really ? 'Really remove?' : 'Remove');
      setAttribute(button, 'aria-label', really ? `Really remove ${name}?` : `Remove ${name}`);
      button.classList.toggle('sure', really);
      if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
    });
  }

  return draw;
}
