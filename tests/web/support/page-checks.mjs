// Functions that run in the page, and the timeouts of waits, for tests in any browser. Each function is sent to the page as source
// text, so it must not refer to others.

import { fileURLToPath } from 'node:url';

export const SCREENSHOTS_DIR = fileURLToPath(new URL('../screenshots/', import.meta.url));

/** Timeout of a wait: long, so that only a failing test reaches it, also on an overloaded machine. */
export const WAIT_TIMEOUT_MS = 60_000;
export const POLL_INTERVAL_MS = 40;

/** Runs in the page: whether the position advances by 0.3 s at the clock's rate, without seek, pause or mute. */
export async function isPlaying() {
  const audio = document.querySelector('audio');
  const isSilent = () => audio.paused || audio.muted || audio.volume === 0 || !(audio.duration > 1);
  /** The time of the page's clock at which the track was at position 0. */
  const trackStartSec = () => performance.now() / 1_000 - audio.currentTime;
  if (isSilent()) return false;
  const [src, fromSec, startSec, deadline] = [audio.currentSrc, audio.currentTime, trackStartSec(), performance.now() + 1_500];
  while (audio.currentTime < fromSec + 0.3 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  return !isSilent() && audio.currentSrc === src && audio.currentTime >= fromSec + 0.3 && Math.abs(trackStartSec() - startSec) < 0.1;
}

/** Runs in the page: whether the audio element stays paused at one position for 0.4 s. */
export async function isPausedSteadily() {
  const audio = document.querySelector('audio');
  if (!audio.paused) return false;
  const [src, position] = [audio.currentSrc, audio.currentTime];
  const hasMoved = await new Promise((resolve) => {
    for (const event of ['play', 'seeking']) audio.addEventListener(event, () => resolve(true), { once: true });
    setTimeout(() => resolve(false), 400);
  });
  return !hasMoved && audio.paused && audio.currentSrc === src && audio.currentTime === position;
}

/** Runs in the page: the visible and enabled control with this accessible name. */
export function findControl(/** @type {string} */ name) {
  const labels = (/** @type {any} */ control) => [control.getAttribute('aria-label'), ...[...(control.labels ?? [])].map((label) => label.textContent), control.textContent];
  return [...document.querySelectorAll('button, input, [role=tab]')].find(
    (control) => control.getClientRects().length > 0 && !control.disabled && labels(control).some((label) => label?.trim() === name),
  );
}

/**
 * Runs in the page: hides it, limits its timers to one a minute and stops its animation frames. (Playwright keeps each page in the
 * foreground, and Chromium does not throttle an audible page, so the throttling is simulated.)
 */
export function hidePage() {
  const throttled = (/** @type {any} */ setTimer) => (/** @type {any} */ callback, ms = 0) => setTimer(callback, Math.max(ms, 60_000));
  Object.assign(globalThis, { setTimeout: throttled(setTimeout), setInterval: throttled(setInterval), requestAnimationFrame: () => 0 });
  Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}

/** Runs in the page: whether the service worker is active, which implies that every file of the page is cached. */
export async function isPageCached() {
  const { active } = await navigator.serviceWorker.ready;
  return active?.state === 'activated';
}
