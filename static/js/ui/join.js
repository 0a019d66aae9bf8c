// The first view: the code, a name, and the tap that lets this page make sound.

import { byId, setText } from './dom.js';

/**
 * @param {object} on
 * @param {() => void} on.gesture Called within the tap.
 * @param {(code: string, name: string) => Promise<string | null>} on.join The sentence to show when
 *   it did not work.
 */
export function createJoin(on) {
  const form = byId('join-form', HTMLFormElement);
  const code = byId('join-code', HTMLInputElement);
  const name = byId('join-name', HTMLInputElement);
  const button = byId('join-button', HTMLButtonElement);
  const hint = byId('join-hint', HTMLElement);
  const error = byId('join-error', HTMLElement);

  code.addEventListener('input', () => {
    const digits = code.value.replace(/\D/g, '').slice(0, 6);
    if (digits !== code.value) code.value = digits;
    complain(null);
  });

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (code.value.length < 6) {
      complain('The code has six digits. It is on the server’s screen.');
      code.focus();
      return;
    }
    on.gesture();
    button.disabled = true;
    const refused = await on.join(code.value, name.value.trim());
    button.disabled = false;
    complain(refused);
    if (refused !== null) code.select();
  });

  /** @param {string | null} text */
  function complain(text) {
    setText(error, text ?? '');
    code.setAttribute('aria-invalid', String(text !== null));
  }

  return {
    /**
     * @param {string | null} knownCode `null` opens the door anew
     * @param {string} lastName
     * @param {string | null} why this phone is at the door again, if there is more to say than that
     */
    open: (knownCode, lastName, why) => {
      // The code comes late: by then somebody may be typing.
      if (knownCode !== null) {
        if (code.value !== '') return;
        code.setAttribute('aria-invalid', 'false');
        code.value = knownCode;
        setText(hint, 'Filled in for you: this page may know it.');
        if (document.activeElement === code) code.select();
        return;
      }
      complain(null);
      setText(error, why ?? '');
      code.value = '';
      name.value = lastName;
      setText(hint, 'Six digits, on the server’s screen or any phone that has joined.');
    },
    first: code,
  };
}
