// PURE: the kind of this phone, as the server learns speaker delays for it: browser engine, system, and whether its output is
// late. Coarse, so that it says nothing about the person.

/** Loudspeakers and wired headphones are heard sooner than this after rendering, Bluetooth later. */
const LATE_OUTPUT_MS = 150;

/** @typedef {'near' | 'late'} OutputKind */

/** @param {number} latencyMs from rendering to hearing @returns {OutputKind} */
export function outputKind(latencyMs) {
  return latencyMs < LATE_OUTPUT_MS ? 'near' : 'late';
}

/**
 * @param {Pick<Navigator, 'userAgent' | 'maxTouchPoints'>} navigator
 * @param {OutputKind} output
 */
export function deviceKind(navigator, output) {
  const system = systemOf(navigator);
  return `${engineOf(navigator.userAgent, system)}-${system}-${output}`;
}

/** @param {Pick<Navigator, 'userAgent' | 'maxTouchPoints'>} navigator */
function systemOf({ userAgent, maxTouchPoints }) {
  if (/iPhone|iPod/.test(userAgent)) return 'iphone';
  // Safari on an iPad says that it is a Mac.
  if (/iPad/.test(userAgent) || (/Macintosh/.test(userAgent) && maxTouchPoints > 1)) return 'ipad';
  if (/Android/.test(userAgent)) return 'android';
  if (/Macintosh/.test(userAgent)) return 'mac';
  return /Windows/.test(userAgent) ? 'windows' : 'linux';
}

/** @param {string} userAgent @param {string} system */
function engineOf(userAgent, system) {
  // All browsers of iOS use WebKit.
  if (system === 'iphone' || system === 'ipad') return 'webkit';
  if (/\bFirefox\//.test(userAgent)) return 'firefox';
  return /Chrom(e|ium)\//.test(userAgent) ? 'chromium' : 'webkit';
}
