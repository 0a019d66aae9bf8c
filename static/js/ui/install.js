// Settings, "Install on this phone": the steps that make this device trust the secure page, and a button that checks
// the trust and migrates this phone to the secure page. Shown only on an insecure page whose server also has a secure
// page.

import { secureOrigin, isTrusted } from '../net/secure-page.js';
import { browserOf, certificateFileFor, stepsFor } from './certificate-steps.js';
import { cloneTemplate, elementById, setHidden, setMessage } from './dom.js';
import { SHEET_OPEN_EVENT } from './sheets.js';

/** @typedef {import('../net/secure-page.js').SecurePageInfo} SecurePageInfo */

/**
 * @param {object} options
 * @param {() => Promise<SecurePageInfo>} options.getSecurePageInfo
 * @param {(origin: string) => void} options.migrateTo
 */
export function startInstallGuide({ getSecurePageInfo, migrateTo }) {
  if (isSecureContext) return;
  const installGroup = elementById('install-guide', HTMLDetailsElement);
  const stepList = elementById('install-steps', HTMLElement);
  const downloadLink = elementById('install-download', HTMLAnchorElement);
  const checkButton = elementById('install-check', HTMLButtonElement);
  const resultText = elementById('install-result', HTMLElement);
  /** @type {SecurePageInfo | null} */
  let securePageInfo = null;

  /** @param {SecurePageInfo} newInfo */
  function render(newInfo) {
    securePageInfo = newInfo;
    const { port, authority } = newInfo;
    setHidden(installGroup, port === null);
    setHidden(downloadLink, authority === null);
    if (authority === null) return stepList.replaceChildren();
    const browser = browserOf(navigator);
    const { path, saveAs } = certificateFileFor(browser);
    downloadLink.href = `.${path}`;
    if (saveAs !== null) downloadLink.download = saveAs;
    stepList.replaceChildren(...stepsFor(browser, authority).map(stepItem));
  }

  // Requested each time the sheet opens, because the server may have been restarted with or without a secure page.
  document.addEventListener(SHEET_OPEN_EVENT, (event) => {
    if (event instanceof CustomEvent && event.detail === 'settings') getSecurePageInfo().then(render, () => {});
  });

  checkButton.addEventListener('click', async () => {
    if (!securePageInfo?.port) return;
    checkButton.disabled = true;
    setMessage(resultText, { key: 'install.checking' });
    const origin = secureOrigin(securePageInfo, location.hostname);
    const isOriginTrusted = await isTrusted(origin);
    checkButton.disabled = false;
    setMessage(resultText, isOriginTrusted ? null : { key: securePageInfo.authority === null ? 'install.notReachable' : 'install.notTrusted' });
    if (isOriginTrusted) migrateTo(origin);
  });
}

/** @param {import('../language/texts.js').Message} step */
function stepItem(step) {
  const item = cloneTemplate('install-step-template');
  setMessage(item, step);
  return item;
}
