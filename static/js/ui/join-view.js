// The Join view: a form for the pairing code and a name. A press of the button is also the user gesture that unlocks
// sound.

import { elementById, setMessage } from './dom.js';

/** @typedef {import('../language/texts.js').Message} Message */

const CODE_DIGITS = 6;

/**
 * @param {object} options
 * @param {() => void} options.unlockSound called synchronously in the gesture, as browsers require
 * @param {(code: string, name: string) => Promise<Message | null>} options.join resolves to an error message, or to
 *   `null` on success
 */
export function createJoinView({ unlockSound, join }) {
  const form = elementById('join-form', HTMLFormElement);
  const codeField = elementById('join-code', HTMLInputElement);
  const nameField = elementById('join-name', HTMLInputElement);
  const joinButton = elementById('join-button', HTMLButtonElement);
  const hintText = elementById('join-hint', HTMLElement);
  const errorText = elementById('join-error', HTMLElement);

  /** Whether this is the page of the house room, whose code is on the server's screen. */
  let isHouse = true;

  codeField.addEventListener('input', () => {
    const digits = codeField.value.replace(/\D/g, '').slice(0, CODE_DIGITS);
    if (digits !== codeField.value) codeField.value = digits;
    showError(null);
  });

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (codeField.value.length < CODE_DIGITS) {
      showError({ key: isHouse ? 'join.codeTooShort' : 'rooms.codeTooShort' });
      codeField.focus();
      return;
    }
    unlockSound();
    joinButton.disabled = true;
    const message = await join(codeField.value, nameField.value.trim());
    joinButton.disabled = false;
    showError(message);
    if (message !== null) codeField.select();
  });

  /** @param {Message | null} message */
  function showError(message) {
    setMessage(errorText, message);
    codeField.setAttribute('aria-invalid', String(message !== null));
  }

  return {
    /**
     * Empties the code and fills in the name.
     * @param {string} savedName the name from this phone's settings
     * @param {Message | null} reason why this phone has to join again, if there is one
     * @param {boolean} isHouseRoom
     */
    reset: (savedName, reason, isHouseRoom) => {
      isHouse = isHouseRoom;
      // The reason is no error of the code field, so the field is not marked as invalid.
      showError(null);
      setMessage(errorText, reason);
      codeField.value = '';
      nameField.value = savedName;
      setMessage(hintText, { key: isHouse ? 'join.codeHint' : 'rooms.codeHint' });
    },
    /** Fills in the code, unless the user has begun to type a code. @param {string} knownCode */
    prefillCode: (knownCode) => {
      if (codeField.value !== '') return;
      codeField.setAttribute('aria-invalid', 'false');
      codeField.value = knownCode;
      setMessage(hintText, { key: 'join.codeFilledIn' });
      if (document.activeElement === codeField) codeField.select();
    },
    firstField: codeField,
  };
}
