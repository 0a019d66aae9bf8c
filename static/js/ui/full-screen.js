// Full screen of the whole page. iPhones have it for videos only.

const root = document.documentElement;

export const hasFullScreen = 'requestFullscreen' in root && document.fullscreenEnabled;

export const isFullScreen = () => hasFullScreen && document.fullscreenElement !== null;

/** Must be called within a gesture. */
export function enterFullScreen() {
  // Refused without a gesture, as after a reload.
  if (hasFullScreen && !isFullScreen()) root.requestFullscreen({ navigationUI: 'hide' }).catch(() => {});
}

export function exitFullScreen() {
  if (isFullScreen()) document.exitFullscreen().catch(() => {});
}

/** @param {() => void} onChange called when full screen began or ended, also by Escape or the system */
export function watchFullScreen(onChange) {
  document.addEventListener('fullscreenchange', onChange);
}
