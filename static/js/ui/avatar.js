// The circle with a member's initial.

import { initials, memberHue } from '../format.js';
import { setCssVariable, setText } from './dom.js';

/** @param {HTMLElement} avatar @param {import('../types.js').MemberId} memberId @param {string} name */
export function renderAvatar(avatar, memberId, name) {
  setCssVariable(avatar, '--placeholder-hue', String(memberHue(memberId)));
  setText(avatar, [...initials(name)][0] ?? '');
}
