// The secure page beside this one: where it is, whether this phone trusts it, and what has to be tapped until it does.
// Moving over to it is the business of moving.js.

/**
 * What `GET /secure` says.
 * @typedef {object} Offer
 * @property {number | null} port `null` where there is no secure page.
 * @property {number | null} httpPort
 * @property {string | null} authority Whom a phone has to trust; `null` where browsers trust the certificate by themselves.
 */

/** @typedef {'iphone' | 'android' | 'mac' | 'windows' | 'other'} Device */

/** A certificate that is not trusted is refused at once; only a server that is away takes longer. */
const CHECK_MS = 3_000;

/**
 * What this is, as far as it says so itself.
 * @param {Pick<Navigator, 'userAgent' | 'maxTouchPoints'>} navigator
 * @returns {{device: Device, firefox: boolean}} `firefox`: it goes by a list of its own, wherever it runs (but on iPhones)
 */
export function deviceOf({ userAgent, maxTouchPoints }) {
  const firefox = /\bFirefox\//.test(userAgent);
  // An iPad says that it is a Mac, but no Mac is touched.
  if (/iPhone|iPad|iPod/.test(userAgent)) return { device: 'iphone', firefox: false };
  if (/Macintosh/.test(userAgent)) return { device: maxTouchPoints > 1 ? 'iphone' : 'mac', firefox };
  if (/Android/.test(userAgent)) return { device: 'android', firefox };
  return { device: /Windows/.test(userAgent) ? 'windows' : 'other', firefox };
}

/** Where what a device has to trust is fetched, and under which name it is saved; without one the browser opens it itself. */
export function downloadFor(/** @type {ReturnType<typeof deviceOf>} */ { device, firefox }) {
  if (device === 'iphone') return { path: '/ca.mobileconfig', saveAs: null };
  return { path: '/ca.crt', saveAs: firefox ? null : 'lockstep.crt' };
}

/**
 * What has to be done, in order.
 * @param {ReturnType<typeof deviceOf>} here
 * @param {string} authority
 * @returns {string[]}
 */
export function stepsFor({ device, firefox }, authority) {
  const last = 'Come back to this page and tap Check.';
  if (firefox && device !== 'android') {
    return ['Tap Download.', 'Tick “Trust this CA to identify websites” and choose OK.', last];
  }
  switch (device) {
    case 'iphone':
      return [
        'In Safari, tap Download and then Allow.',
        `Open the Settings app, tap “Profile Downloaded”, and install “${authority}”.`,
        `In the Settings app, open General, About, Certificate Trust Settings, and switch “${authority}” on.`,
        last,
      ];
    case 'android':
      return [
        'Tap Download. If the browser warns, keep the file.',
        'Open the Settings app and search for “CA certificate” (it is under Security, Encryption & credentials, Install a certificate).',
        'Choose “Install anyway” and then the file “lockstep.crt”.',
        ...(firefox ? ['In Firefox: Settings, About Firefox, tap the logo until a secret menu opens; there, “Use third party CA certificates”.'] : []),
        last,
      ];
    case 'mac':
      return [
        'Download, and open the file: it is added to Keychain Access.',
        `In Keychain Access, open “${authority}”, and under Trust choose “Always Trust”.`,
        last,
      ];
    case 'windows':
      return [
        'Download, open the file, and choose “Install Certificate…”.',
        'Choose “Current User”, “Place all certificates in the following store”, and “Trusted Root Certification Authorities”.',
        last,
      ];
    default:
      return [
        'Download.',
        'In the browser’s settings, search for “certificates”, and import the file “lockstep.crt” as an authority that may identify websites.',
        last,
      ];
  }
}

/**
 * The origin of the secure page of the same host.
 * @param {Offer} offer
 * @param {string} hostname
 */
export function secureOrigin({ port }, hostname) {
  return originOf('https', hostname, port ?? 443);
}

/**
 * The origin of the page over http of the same host.
 * @param {Offer} offer
 * @param {string} hostname
 */
export function plainOrigin({ httpPort }, hostname) {
  return originOf('http', hostname, httpPort ?? 80);
}

/**
 * @param {string} scheme
 * @param {string} hostname
 * @param {number} port
 */
function originOf(scheme, hostname, port) {
  return new URL(`${scheme}://${hostname}:${port}`).origin;
}

/**
 * Whether this phone trusts the page at `origin`. No more than that can be learnt of another origin.
 * @param {string} origin
 */
export async function trusts(origin) {
  const signal = AbortSignal.timeout(CHECK_MS);
  try {
    await fetch(`${origin}/secure`, { mode: 'no-cors', cache: 'no-store', credentials: 'omit', signal });
    return true;
  } catch {
    return false;
  }
}
