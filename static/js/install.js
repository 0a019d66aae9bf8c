// Has the page kept by the browser where it may be, so that it can be installed and starts without
// its server. What is kept, and when it is used, is the worker's business: sw.js.

/**
 * A page that is not secure has no service workers, and lacks nothing but that.
 * @param {() => boolean} untouched whether nobody would lose anything if the page began anew
 */
export function install(untouched) {
  // On iOS and iPadOS an installed page is less reliable than a tab: after a pause by the system's controls
  // it may stay silent. Without a manifest it is put on the home screen as a link to the tab.
  const iOS = 'GestureEvent' in window && navigator.maxTouchPoints > 0;
  if (iOS) document.querySelector('link[rel="manifest"]')?.remove();
  const worker = isSecureContext && navigator.serviceWorker;
  if (!worker) return;
  // The server was so slow to name its version that the page was started in an older one.
  worker.onmessage = () => {
    if (untouched()) location.reload();
  };
  // After a certificate's warning was clicked away a page is secure, but gets no worker.
  worker.register('/sw.js', { updateViaCache: 'none' }).catch(() => {});
}
