// The Chat sheet, and its button with the number of unread messages.

import { createOutgoingMessages } from '../../app/outgoing-messages.js';
import { describeError } from '../../net/http.js';
import { text } from '../../language/texts.js';
import { isChatOn, isRemovable, unreadCount } from '../../room/chat.js';
import { hostsOf } from '../../room/rules.js';
import { elementById, setHidden, setText } from '../dom.js';
import { createSheet } from '../sheets.js';
import { createChatList } from './chat-list.js';
import { keepAboveKeyboard } from './keyboard-inset.js';

/** @typedef {import('../../types.js').AppState} AppState */

/** The largest number on the button. */
const MAX_SHOWN_COUNT = 99;

/**
 * @param {object} options
 * @param {() => AppState} options.getState
 * @param {(text: string) => Promise<number>} options.postMessage
 * @param {(id: number) => void} options.removeMessage
 * @param {() => void} options.markAllRead
 * @param {(text: string) => void} options.showMessage
 */
export function createChatSheet({ getState, postMessage, removeMessage, markAllRead, showMessage }) {
  const button = elementById('chat-button', HTMLButtonElement);
  const panel = elementById('panel-now', HTMLElement);
  const badge = elementById('chat-badge', HTMLElement);
  const badgeText = elementById('chat-unread', HTMLElement);
  const form = elementById('chat-form', HTMLFormElement);
  const field = elementById('chat-text', HTMLInputElement);
  const errorText = elementById('chat-error', HTMLElement);
  const latestButton = elementById('chat-latest', HTMLButtonElement);
  const list = createChatList({ remove: removeMessage, onScroll: readIfVisible });
  const sheet = createSheet('chat', () => {
    renderList(getState());
    list.scrollToEnd();
    readIfVisible();
  });
  keepAboveKeyboard(elementById('chat-sheet', HTMLElement));
  /** The inputs of the last rendering of the list. @type {unknown[]} */
  let lastInputs = [];
  const outgoing = createOutgoingMessages({
    postMessage,
    lastId: () => getState().chat.at(-1)?.id ?? 0,
    onChange: () => sheet.isOpen() && renderList(getState()),
    onFailed: (text, error) => {
      // The user may have gone on writing.
      field.value = [text, field.value].filter((part) => part !== '').join(' ');
      setText(errorText, describeError(error));
    },
    onArrivedLate: (text) => {
      if (field.value.startsWith(text)) field.value = field.value.slice(text.length).trimStart();
      setText(errorText, '');
    },
  });

  /** Messages at the end of an open sheet count as read. */
  function readIfVisible() {
    if (sheet.isOpen() && document.visibilityState === 'visible' && list.isAtEnd()) markAllRead();
  }

  /** @param {AppState} state */
  function renderList({ chat, room, memberId, locale }) {
    const sending = outgoing.texts();
    const inputs = [chat, memberId, locale, room && hostsOf(room).join(), sending.join('\n')];
    if (inputs.every((input, i) => input === lastInputs[i])) return;
    lastInputs = inputs;
    list.render(chat, (message) => ({ isOwn: message.memberId === memberId, isRemovable: isRemovable(message, room, memberId) }), sending);
  }

  let draftRoomId = getState().roomId;

  /** @param {AppState['roomId']} roomId */
  function clearDraftOfOtherRoom(roomId) {
    if (roomId === draftRoomId) return;
    draftRoomId = roomId;
    field.value = '';
    setText(errorText, '');
  }

  function send() {
    const text = field.value;
    if (text.trim() === '') return field.focus();
    setText(errorText, '');
    field.value = '';
    outgoing.send(text);
    list.scrollToEnd();
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    send();
  });
  field.addEventListener('input', () => setText(errorText, ''));
  latestButton.addEventListener('click', () => {
    list.scrollToEnd();
    field.focus({ preventScroll: true });
  });
  document.addEventListener('visibilitychange', readIfVisible);

  return {
    close: sheet.close,
    /** @param {AppState} state */
    render: (state) => {
      clearDraftOfOtherRoom(state.roomId);
      const isOn = isChatOn(state.room);
      if (!isOn && sheet.isOpen()) {
        sheet.close();
        showMessage(text('chat.isOff'));
        // The button that has got the focus disappears.
        panel.focus({ preventScroll: true });
      }
      setHidden(button, !isOn);
      outgoing.settle(state.chat, state.memberId);
      if (sheet.isOpen()) {
        renderList(state);
        readIfVisible();
      }
      const { chat, chatReadId, memberId } = getState();
      const count = unreadCount(chat, chatReadId, memberId);
      setHidden(badge, count === 0);
      setText(badge, count > MAX_SHOWN_COUNT ? `${MAX_SHOWN_COUNT}+` : String(count));
      setText(badgeText, count > 0 ? text('chat.newMessages', { count }) : '');
      button.classList.toggle('has-news', count > 0);
      setHidden(latestButton, count === 0);
      setText(latestButton, text('chat.newMessages', { count }));
    },
  };
}
