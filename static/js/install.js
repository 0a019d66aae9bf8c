// Has the page kept by the browser where it may be, so that it can be installed and starts without
// its server. What is kept, and when it is used, is the worker's business: sw.js.

/** A page that is not secure has no service workers, and lacks nothing but that. */
export function install() {
  if (!isSecureContext || !('serviceWorker' in navigator)) return;
  // After a certificate's warning was clicked away a page is secure, but gets no worker.
  navigator.serviceWorker.register('/sw.js', { updateViaCache: 'none' }).catch(() => {});
}
