// PURE: the steps by which the user installs the server's certificate authority, by device and browser.

/** @typedef {import('../language/texts.js').Message} Message */

/** `iphone`: any device with iOS or iPadOS. @typedef {'iphone' | 'android' | 'mac' | 'windows' | 'other'} Device */

/**
 * @param {Pick<Navigator, 'userAgent' | 'maxTouchPoints'>} navigator
 * @returns {{device: Device, hasOwnCertificateStore: boolean}} `hasOwnCertificateStore`: whether the browser
 *   has a certificate store of its own, as Firefox has except on iOS
 */
export function browserOf({ userAgent, maxTouchPoints }) {
  const hasOwnCertificateStore = /\bFirefox\//.test(userAgent);
  if (/iPhone|iPad|iPod/.test(userAgent)) return { device: 'iphone', hasOwnCertificateStore: false };
  // Safari on iPadOS sends the user agent of a Mac, but Macs have no touch screen.
  if (/Macintosh/.test(userAgent)) return { device: maxTouchPoints > 1 ? 'iphone' : 'mac', hasOwnCertificateStore };
  if (/Android/.test(userAgent)) return { device: 'android', hasOwnCertificateStore };
  return { device: /Windows/.test(userAgent) ? 'windows' : 'other', hasOwnCertificateStore };
}

/**
 * The file that installs the authority. `saveAs` is `null` where the browser opens the file itself.
 * @param {ReturnType<typeof browserOf>} browser
 * @returns {{path: string, saveAs: string | null}}
 */
export function certificateFileFor({ device, hasOwnCertificateStore }) {
  if (device === 'iphone') return { path: '/ca.mobileconfig', saveAs: null };
  return { path: '/ca.crt', saveAs: hasOwnCertificateStore ? null : 'lockstep.crt' };
}

/**
 * @param {ReturnType<typeof browserOf>} browser
 * @param {string} authorityName name of the certificate authority
 * @returns {Message[]} sentences for the user, in order
 */
export function stepsFor({ device, hasOwnCertificateStore }, authorityName) {
  const named = { authority: authorityName };
  /** @type {Message} */
  const lastStep = { key: 'certificate.comeBack' };
  if (hasOwnCertificateStore && device !== 'android') {
    return [{ key: 'certificate.firefoxDownload' }, { key: 'certificate.firefoxTrust' }, lastStep];
  }
  switch (device) {
    case 'iphone':
      return [
        { key: 'certificate.iphoneDownload' },
        { key: 'certificate.iphoneInstall', values: named },
        { key: 'certificate.iphoneTrust', values: named },
        lastStep,
      ];
    case 'android':
      return [
        { key: 'certificate.androidDownload' },
        { key: 'certificate.androidSearch' },
        { key: 'certificate.androidInstall' },
        ...(hasOwnCertificateStore ? [/** @type {Message} */ ({ key: 'certificate.androidFirefox' })] : []),
        lastStep,
      ];
    case 'mac':
      return [{ key: 'certificate.macDownload' }, { key: 'certificate.macTrust', values: named }, lastStep];
    case 'windows':
      return [{ key: 'certificate.windowsDownload' }, { key: 'certificate.windowsStore' }, lastStep];
    default:
      return [{ key: 'certificate.otherDownload' }, { key: 'certificate.otherImport' }, lastStep];
  }
}
