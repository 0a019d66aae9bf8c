// The sheet of rooms: what plays where, entering, making a room, and changing the room that this phone is in.

import { formatList } from '../format.js';
import { text } from '../language/texts.js';
import { playedText, roomName, shownName, whyUnavailable } from '../room/room-list.js';
import { memberName } from '../room/selectors.js';
import { cloneTemplate, elementById, queryElement, setAttribute, setHidden, setMessage, setText } from './dom.js';
import { createNewRoomForm, createRoomChanges, onSubmit } from './room-forms.js';
import { isPermitted, setDisabledBecause, setPermitted } from './rules/reasons.js';
import { createSecondPress } from './second-press.js';
import { createSheet } from './sheets.js';

/** @typedef {import('../net/room-address.js').RoomId} RoomId */
/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').RoomRow} RoomRow */

/**
 * @param {object} options
 * @param {() => AppState} options.getState
 * @param {(roomId: RoomId, password?: string) => Promise<import('../app/room-actions.js').EntryResult>} options.enter
 * @param {(name: string, password: string | null) => Promise<boolean>} options.make
 * @param {(roomId: RoomId, name: string) => Promise<boolean>} options.rename
 * @param {(roomId: RoomId, password: string | null) => Promise<boolean>} options.lock
 * @param {(roomId: RoomId) => Promise<boolean>} options.leave
 * @param {(roomId: RoomId) => Promise<boolean>} options.remove
 * @param {() => void} options.refresh
 */
export function createRoomsSheet(options) {
  const { getState } = options;
  const title = elementById('rooms-title', HTMLElement);
  const list = elementById('rooms-list', HTMLElement);
  const details = elementById('rooms-change', HTMLDetailsElement);
  const summary = queryElement(details, 'summary', HTMLElement);
  const detailsBody = elementById('rooms-change-body', HTMLElement);
  const newRoom = elementById('rooms-new', HTMLElement);
  /** The field for the password of the locked room that somebody wants to enter. */
  const passwordPart = cloneTemplate('room-password-template');
  const passwordField = queryElement(passwordPart, 'input', HTMLInputElement);
  const passwordError = queryElement(passwordPart, '.error', HTMLElement);
  /** @type {ReturnType<typeof createRoomChanges> | null} */
  let changes = null;
  /** @type {ReturnType<typeof createSecondPress<RoomId>>} */
  const removal = createSecondPress(() => render(getState()));
  removal.ignoreHeldKeys(list);

  const sheet = createSheet('rooms', () => {
    details.open = false;
    showNewRoomForm();
    options.refresh();
    render(getState());
  }, [elementById('room-name', HTMLButtonElement)]);

  function showNewRoomForm() {
    removePassword();
    changes = null;
    detailsBody.replaceChildren();
    newRoom.replaceChildren(createNewRoomForm(options.make, focusRoom));
  }

  function removePassword() {
    passwordPart.remove();
    passwordField.value = '';
    showPasswordError(null);
  }

  /** @param {import('../language/texts.js').Message | null} message */
  function showPasswordError(message) {
    setMessage(passwordError, message);
    passwordField.setAttribute('aria-invalid', String(message !== null));
  }

  passwordField.addEventListener('input', () => showPasswordError(null));
  queryElement(passwordPart, '.cancel', HTMLButtonElement).addEventListener('click', () => {
    const button = passwordPart.closest('form')?.querySelector('[type=submit]');
    removePassword();
    if (button instanceof HTMLElement) button.focus();
  });

  /** After a room was made, the next step is to enter it. @param {string} name */
  function focusRoom(name) {
    render(getState());
    const made = getState().rooms.find((row) => row.name === name);
    list.querySelector(`[data-room="${made?.roomId}"] button`)?.scrollIntoView({ block: 'nearest' });
  }

  details.addEventListener('toggle', () => {
    if (!details.open) return changes === null ? undefined : showNewRoomForm();
    removePassword();
    newRoom.replaceChildren();
    changes = createRoomChanges(options, getState().roomId);
    detailsBody.replaceChildren(changes.element);
  });

  /** @param {RoomId} roomId @param {HTMLFormElement} form */
  async function enter(roomId, form) {
    const isAsked = form.contains(passwordPart);
    const { outcome, message } = await options.enter(roomId, isAsked ? passwordField.value : undefined);
    if (outcome === 'entered') return sheet.close();
    if (outcome === 'failed') return;
    if (!isAsked) {
      removePassword();
      form.insertBefore(passwordPart, queryElement(form, '[type=submit]', HTMLButtonElement));
    }
    showPasswordError(message);
    passwordField.focus();
    passwordField.select();
  }

  /** @param {RoomId} roomId */
  function createRow(roomId) {
    const item = cloneTemplate('room-template');
    const form = queryElement(item, 'form', HTMLFormElement);
    onSubmit(form, () => enter(roomId, form));
    item.dataset['room'] = roomId;
    return item;
  }

  /** Why a room cannot be entered, and the button that removes a damaged room. @param {HTMLElement} item @param {RoomRow} row @param {AppState} state */
  function renderUnavailability(item, row, state) {
    let part = item.querySelector('.room-unavailable');
    const reason = whyUnavailable(row);
    if (reason === null) {
      part?.remove();
      return setDisabledBecause(queryElement(item, '[type=submit]', HTMLButtonElement), null);
    }
    if (!part) {
      part = cloneTemplate('room-unavailable-template');
      queryElement(part, 'p', HTMLElement).id = `room-unavailable-${row.roomId}`;
      queryElement(part, 'button', HTMLButtonElement).addEventListener('click', (event) => {
        if (removal.press(row.roomId, event)) void options.remove(row.roomId);
      });
      queryElement(item, 'form', HTMLFormElement).append(part);
    }
    const sentence = queryElement(part, 'p', HTMLElement);
    setText(sentence, text(reason));
    setDisabledBecause(queryElement(item, '[type=submit]', HTMLButtonElement), sentence.id);
    const isAsking = removal.isAsking(row.roomId);
    const button = queryElement(part, 'button', HTMLButtonElement);
    setHidden(button, !row.damaged);
    setText(button, text(isAsking ? 'paired.confirm' : 'paired.remove'));
    setAttribute(button, 'aria-label', text(isAsking ? 'paired.confirmName' : 'paired.removeName', { name: shownName(row) }));
    button.classList.toggle('confirming', isAsking);
    setPermitted(button, 'removeRoom', isPermitted(state, 'removeRoom'));
  }

  /** @param {AppState} state */
  function render(state) {
    const { rooms, roomId } = state;
    const items = new Map([...list.querySelectorAll('li')].map((item) => [item.dataset['room'], item]));
    for (const [id, item] of items) {
      if (rooms.some((row) => row.roomId === id)) continue;
      // The focus would be lost with the row.
      if (item.contains(document.activeElement)) title.focus({ preventScroll: true });
      item.remove();
    }
    rooms.forEach((row, i) => {
      const item = items.get(row.roomId) ?? createRow(row.roomId);
      renderRow(item, row, state);
      renderUnavailability(item, row, state);
      if (list.children[i] !== item) list.insertBefore(item, list.children[i] ?? null);
    });
    if (changes && changes.roomId !== roomId) {
      details.open = false;
      showNewRoomForm();
    }
    setText(summary, text('rooms.change', { name: roomName(rooms, roomId) }));
    setHidden(details, rooms.length === 0);
    changes?.render();
  }

  return {
    close: sheet.close,
    /** @param {AppState} state */
    render: (state) => {
      if (sheet.isOpen()) render(state);
    },
  };
}

/** @param {HTMLElement} item @param {RoomRow} row @param {AppState} state */
function renderRow(item, row, state) {
  const isHere = row.roomId === state.roomId;
  const isUnavailable = whyUnavailable(row) !== null;
  const form = queryElement(item, 'form', HTMLFormElement);
  form.classList.toggle('here', isHere);
  form.classList.toggle('playing', row.mode === 'playing' && row.current !== null);
  setText(queryElement(item, '.room-title', HTMLElement), shownName(row));
  setHidden(queryElement(item, '.room-lock', HTMLElement), !row.locked);
  const [track, people] = [queryElement(item, '.room-track', HTMLElement), queryElement(item, '.room-people', HTMLElement)];
  setHidden(track, isUnavailable);
  setHidden(people, isUnavailable);
  setText(track, playedText(row) || text('rooms.nothing'));
  setText(people, peopleText(row, isHere ? state : null));
  setHidden(queryElement(item, '.room-here', HTMLElement), !isHere);
  const button = queryElement(item, '[type=submit]', HTMLButtonElement);
  setHidden(button, isHere);
  setAttribute(button, 'aria-label', text('rooms.enterName', { name: shownName(row) }));
}

/** Who listens in a room: by name in the present one. @param {RoomRow} row @param {AppState | null} state of the present room */
function peopleText({ listeners }, state) {
  const room = state?.room;
  const here = Object.entries(room?.live.listeners ?? {}).filter(([, { role }]) => role === 'listener');
  if (room && here.length > 0) return formatList(here.map(([memberId]) => memberName(room, memberId)));
  return listeners === 0 ? text('rooms.nobody') : text('rooms.listeners', { count: listeners });
}
