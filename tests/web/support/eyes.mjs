// What is looked at in a page, by tests in any browser. Each function here is sent into the page as
// text, so it stands alone.

import { fileURLToPath } from 'node:url';

export const SHOTS = fileURLToPath(new URL('../screenshots/', import.meta.url));

/** Nothing depends on how fast the machine is; this only ends a test that will never pass. */
export const LIMIT_MS = 30_000;
export const LOOK_EVERY_MS = 40;

/** In the page: whether the sound runs on with the clock for a while, neither sought, paused nor muted. */
export async function runs() {
  const audio = document.querySelector('audio');
  const silent = () => audio.paused || audio.muted || audio.volume === 0 || !(audio.duration > 1);
  const line = () => performance.now() / 1_000 - audio.currentTime;
  if (silent()) return false;
  const [src, from, began, limit] = [audio.currentSrc, audio.currentTime, line(), performance.now() + 1_500];
  while (audio.currentTime < from + 0.3 && performance.now() < limit) await new Promise((go) => setTimeout(go, 20));
  return !silent() && audio.currentSrc === src && audio.currentTime >= from + 0.3 && Math.abs(line() - began) < 0.1;
}

/** In the page: whether nothing is to be heard for a while, and the position stays. */
export async function rests() {
  const audio = document.querySelector('audio');
  if (!audio.paused) return false;
  const [src, from] = [audio.currentSrc, audio.currentTime];
  const stirs = new Promise((stir) => {
    for (const name of ['play', 'seeking']) audio.addEventListener(name, () => stir(true), { once: true });
    setTimeout(() => stir(false), 400);
  });
  return !(await stirs) && audio.paused && audio.currentSrc === src && audio.currentTime === from;
}

/** In the page: the control of that name that can be seen and used. */
export function named(/** @type {string} */ name) {
  const labels = (/** @type {any} */ control) => [control.getAttribute('aria-label'), ...[...(control.labels ?? [])].map((label) => label.textContent), control.textContent];
  return [...document.querySelectorAll('button, input, [role=tab]')].find(
    (control) => control.getClientRects().length > 0 && !control.disabled && labels(control).some((label) => label?.trim() === name),
  );
}
