// Registers the service worker (sw.js), so that the page can be installed and can start without the server.

/** Keeps the table of a language beside the page's files, so that the page can start offline in it. @param {string} language */
export function keepLanguageOffline(language) {
  if (!isSecureContext) return;
  navigator.serviceWorker?.ready.then(({ active }) => active?.postMessage({ language }));
}

/**
 * Registers nothing on insecure pages, where browsers provide no service workers. On iOS, also removes the manifest.
 * @param {() => boolean} mayReload whether a reload loses nothing that the user has done
 */
export function registerServiceWorker(mayReload) {
  // On iOS and iPadOS an installed page may stay silent after a pause from Control Center, and a tab does not. Without
  // a manifest, “Add to Home Screen” makes a link that opens a tab. Only WebKit has GestureEvent.
  const isIos = 'GestureEvent' in window && navigator.maxTouchPoints > 0;
  if (isIos) document.querySelector('link[rel="manifest"]')?.remove();
  const serviceWorkers = isSecureContext && navigator.serviceWorker;
  if (!serviceWorkers) return;
  // The worker posts a message to a page that was started from an older version because the server responded too
  // slowly.
  serviceWorkers.onmessage = () => {
    if (mayReload()) location.reload();
  };
  // Registration fails if the user has dismissed a certificate warning, although the page counts as secure.
  serviceWorkers.register('./sw.js', { updateViaCache: 'none' }).catch(() => {});
}
