// Keeps the display on while the big screen is open. Browsers have wake locks on secure pages only, and end one when the page is
// hidden.

export function createWakeLock() {
  let isWanted = false;
  /** @type {Promise<WakeLockSentinel | null> | null} */
  let lock = null;

  function request() {
    if (!isWanted || document.visibilityState !== 'visible') return;
    // Refused while the battery is low.
    lock = navigator.wakeLock?.request('screen').catch(() => null) ?? null;
  }

  document.addEventListener('visibilitychange', request);

  return {
    hold: () => {
      isWanted = true;
      request();
    },
    release: () => {
      isWanted = false;
      lock?.then((sentinel) => sentinel?.release());
      lock = null;
    },
  };
}
