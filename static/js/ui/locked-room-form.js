// The form for the password of a locked room, in the join view at that room's address. It is for phones that are paired
// with the house, and in the page only while it is shown.

import { cloneTemplate, elementById, queryElement, setMessage } from './dom.js';
import { onSubmit } from './room-forms.js';

/** @typedef {import('../language/texts.js').Message} Message */
/** `name`: if known. @typedef {{name: string | null, houseName: string}} LockedRoom */

/**
 * @param {object} options
 * @param {() => void} options.unlockSound called synchronously in the gesture, as browsers require
 * @param {(password: string) => Promise<Message | null>} options.enter resolves to an error message, or to `null` on success
 * @param {() => Promise<Message | null>} options.goToHouse
 */
export function createLockedRoomForm(options) {
  /** @type {ReturnType<typeof createForm> | null} */
  let shown = null;
  return {
    /** The field for the password, while the form is shown. */
    field: () => shown?.field ?? null,
    /** @param {LockedRoom | null} room */
    show: (room) => {
      shown?.form.remove();
      shown = room && createForm(options, room);
      if (shown) elementById('join-form', HTMLFormElement).before(shown.form);
    },
  };
}

/** @param {Parameters<typeof createLockedRoomForm>[0]} options @param {LockedRoom} room */
function createForm({ unlockSound, enter, goToHouse }, { name, houseName }) {
  const form = /** @type {HTMLFormElement} */ (cloneTemplate('locked-template'));
  const field = queryElement(form, 'input', HTMLInputElement);
  const errorText = queryElement(form, '.error', HTMLElement);
  const houseButton = queryElement(form, '[type=button]', HTMLButtonElement);

  /** @param {Message | null} message @param {boolean} isAboutPassword */
  function showError(message, isAboutPassword) {
    setMessage(errorText, message);
    field.setAttribute('aria-invalid', String(message !== null && isAboutPassword));
  }

  field.addEventListener('input', () => showError(null, true));
  onSubmit(form, async () => {
    if (field.value === '') return field.focus();
    unlockSound();
    const message = await enter(field.value);
    showError(message, true);
    if (message !== null) field.select();
  });
  houseButton.addEventListener('click', async () => {
    unlockSound();
    showError(await goToHouse(), false);
  });
  setMessage(queryElement(form, 'p', HTMLElement), name === null ? { key: 'rooms.needsCode' } : { key: 'rooms.isLocked', values: { name } });
  setMessage(houseButton, { key: 'rooms.goTo', values: { name: houseName } });
  return { form, field };
}
