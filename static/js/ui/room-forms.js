// The forms of the sheet of rooms: making a room, changing the present one, and the password of a locked one. Each is in the page
// only while it is shown, so that there is one field for a password, and one for a name, at a time.

import { text } from '../language/texts.js';
import { HOUSE } from '../net/room-address.js';
import { roomName } from '../room/room-list.js';
import { cloneTemplate, queryElement, setHidden, setText } from './dom.js';

/** @typedef {import('../net/room-address.js').RoomId} RoomId */
/** @typedef {import('../types.js').AppState} AppState */

/** Time after which the button no longer asks for confirmation. */
const CONFIRM_TIMEOUT_MS = 5_000;

/**
 * Sends the form, and no second time before the first has ended.
 * @param {HTMLFormElement} form
 * @param {() => Promise<unknown>} send
 */
export function onSubmit(form, send) {
  let isSending = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (isSending) return;
    isSending = true;
    await send().finally(() => (isSending = false));
  });
}

/**
 * @param {(name: string, password: string | null) => Promise<boolean>} make
 * @param {(name: string) => void} onMade
 */
export function createNewRoomForm(make, onMade) {
  const form = /** @type {HTMLFormElement} */ (cloneTemplate('rooms-new-template'));
  const nameField = queryElement(form, '[type=text]', HTMLInputElement);
  const passwordField = queryElement(form, '[type=password]', HTMLInputElement);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const [name, password] = [nameField.value.trim(), passwordField.value];
    if (name === '') return nameField.focus();
    // At once, so that the fields are free for another room before the server has answered.
    form.reset();
    if (await make(name, password || null)) return onMade(name);
    if (nameField.value === '') {
      nameField.value = name;
      passwordField.value = password;
    }
  });
  return form;
}

/**
 * @param {object} options
 * @param {() => AppState} options.getState
 * @param {(roomId: RoomId, name: string) => Promise<boolean>} options.rename
 * @param {(roomId: RoomId, password: string | null) => Promise<boolean>} options.lock
 * @param {(roomId: RoomId) => Promise<boolean>} options.leave
 * @param {(roomId: RoomId) => Promise<boolean>} options.remove
 * @param {RoomId} roomId the room that the forms change
 * @returns {{roomId: RoomId, element: HTMLElement, render: () => void}}
 */
export function createRoomChanges({ getState, rename, lock, leave, remove }, roomId) {
  const element = cloneTemplate('rooms-change-template');
  const renameForm = queryElement(element, '.rename', HTMLFormElement);
  const nameField = queryElement(renameForm, 'input', HTMLInputElement);
  const lockForm = queryElement(element, '.lock', HTMLFormElement);
  const passwordField = queryElement(lockForm, 'input', HTMLInputElement);
  const unlockButton = queryElement(lockForm, '.unlock', HTMLButtonElement);
  const leaveButton = queryElement(element, '.leave', HTMLButtonElement);
  const removeButton = queryElement(element, '.remove', HTMLButtonElement);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let confirmTimer;
  let isConfirming = false;

  onSubmit(renameForm, () => rename(roomId, nameField.value.trim()));
  onSubmit(lockForm, async () => {
    if (passwordField.value === '') return passwordField.focus();
    if (await lock(roomId, passwordField.value)) passwordField.value = '';
  });
  unlockButton.addEventListener('click', () => void lock(roomId, null));
  leaveButton.addEventListener('click', () => void leave(roomId));
  // The second click of a double click must not confirm.
  removeButton.addEventListener('click', ({ detail }) => {
    if (!isConfirming || detail > 1) return setConfirming(true);
    setConfirming(false);
    void remove(roomId);
  });

  /** @param {boolean} value */
  function setConfirming(value) {
    isConfirming = value;
    clearTimeout(confirmTimer);
    if (value) confirmTimer = setTimeout(setConfirming, CONFIRM_TIMEOUT_MS, false);
    removeButton.classList.toggle('confirming', value);
    setText(removeButton, text(value ? 'paired.confirm' : 'rooms.remove'));
  }

  function render() {
    const { rooms } = getState();
    // The house room is open to all, and stays.
    setHidden(lockForm, roomId === HOUSE);
    setHidden(leaveButton, roomId === HOUSE);
    setHidden(removeButton, roomId === HOUSE);
    setHidden(unlockButton, !rooms.some((row) => row.roomId === roomId && row.locked));
  }

  nameField.value = roomName(getState().rooms, roomId);
  render();
  return { roomId, element, render };
}
