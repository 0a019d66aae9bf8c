// Short messages that are announced and go away by themselves.

import { byId, part, setText, stamp } from './dom.js';

const STAY_MS = 6_000;
const MOST = 3;

/** @returns {(text: string) => void} */
export function createBubbles() {
  const area = byId('bubbles', HTMLElement);
  return (text) => {
    const same = [...area.children].find((bubble) => bubble.textContent?.trim() === text);
    same?.remove();
    while (area.childElementCount >= MOST) area.firstElementChild?.remove();
    const bubble = stamp('bubble-template');
    setText(part(bubble, '.text', HTMLElement), text);
    bubble.addEventListener('click', () => bubble.remove());
    area.append(bubble);
    setTimeout(() => bubble.remove(), STAY_MS);
  };
}
