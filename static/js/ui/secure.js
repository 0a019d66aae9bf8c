// Settings, "Install on this phone": the way to the secure page, step by step for this device. It is there only where such a
// page is on offer and this one is none.

import { deviceOf, downloadFor, secureOrigin, stepsFor, trusts } from '../secure.js';
import { byId, setHidden, setText, stamp } from './dom.js';

const CHECKING = 'Checking…';
const NOT_YET = 'Not yet: this phone does not trust the certificate. Go through the steps once more.';
const NO_WAY = 'Not yet: this phone cannot reach the secure page, or does not trust its certificate.';

/**
 * @param {object} on
 * @param {() => Promise<import('../secure.js').Offer>} on.offer
 * @param {(origin: string) => void} on.move
 */
export function createSecure(on) {
  const group = byId('secure', HTMLDetailsElement);
  const steps = byId('secure-steps', HTMLElement);
  const download = byId('secure-download', HTMLAnchorElement);
  const check = byId('secure-check', HTMLButtonElement);
  const text = byId('secure-text', HTMLElement);
  if (isSecureContext) return;

  /** @type {import('../secure.js').Offer | null} */
  let offer = null;

  /** @param {import('../secure.js').Offer} found */
  function show(found) {
    offer = found;
    setHidden(group, found.port === null);
    setHidden(download, found.authority === null);
    if (found.authority === null) return steps.replaceChildren();
    const here = deviceOf(navigator);
    const { path, saveAs } = downloadFor(here);
    download.href = path;
    if (saveAs !== null) download.download = saveAs;
    steps.replaceChildren(
      ...stepsFor(here, found.authority).map((step) => {
        const item = stamp('secure-step-template');
        setText(item, step);
        return item;
      }),
    );
  }

  // The server may have been started anew with it, or without.
  document.addEventListener('sheet', async (event) => {
    if (!(event instanceof CustomEvent) || event.detail !== 'settings') return;
    await on.offer().then(show, () => {});
  });

  check.addEventListener('click', async () => {
    if (!offer?.port) return;
    check.disabled = true;
    setText(text, CHECKING);
    const origin = secureOrigin(offer, location.hostname);
    const trusted = await trusts(origin);
    check.disabled = false;
    setText(text, trusted ? '' : offer.authority === null ? NO_WAY : NOT_YET);
    if (trusted) on.move(origin);
  });
}
