// The messages of the Chat sheet. All texts are set as `textContent`. The list stays at its end when messages arrive; a reader of
// older messages stays where they are.

import { initials, memberHue } from '../../format.js';
import { currentLocale, text } from '../../language/texts.js';
import { createSecondPress } from '../second-press.js';
import { cloneTemplate, elementById, queryElement, setAttribute, setCssVariable, setHidden, setText } from '../dom.js';
import { authorName } from './announcements.js';

/** @typedef {import('../../types.js').ChatMessage} ChatMessage */

/** Distance from the end of the list within which the list counts as at its end, in px. */
const END_TOLERANCE_PX = 32;
/** The length of a message's beginning in the label of its button. */
const LABEL_CHARS = 40;

/**
 * @param {object} options
 * @param {(id: number) => void} options.remove
 * @param {() => void} options.onScroll
 */
export function createChatList({ remove, onScroll }) {
  const scroller = elementById('chat-scroller', HTMLElement);
  const list = elementById('chat-messages', HTMLElement);
  const emptyText = elementById('chat-empty', HTMLElement);
  /** @type {Map<number, HTMLElement>} */
  const rowById = new Map();
  /** The values from which each row was rendered. @type {WeakMap<HTMLElement, unknown[]>} */
  const renderedInputs = new WeakMap();
  /** Rows of messages that are being sent. @type {HTMLElement[]} */
  let sendingRows = [];
  /** @type {ReturnType<typeof createSecondPress<number>>} */
  const removal = createSecondPress(() => lastRendering && render(...lastRendering));
  /** @type {Parameters<typeof render> | null} */
  let lastRendering = null;

  removal.ignoreHeldKeys(list);
  scroller.addEventListener('scroll', onScroll, { passive: true });
  // The keyboard, or a taller error message, leaves less space: the end stays visible.
  let wasAtEnd = true;
  scroller.addEventListener('scroll', () => (wasAtEnd = isAtEnd()), { passive: true });
  new ResizeObserver(() => {
    if (wasAtEnd) scrollToEnd();
  }).observe(scroller);

  const isAtEnd = () => scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop < END_TOLERANCE_PX;

  function scrollToEnd() {
    scroller.scrollTop = scroller.scrollHeight;
    wasAtEnd = true;
  }

  /** @param {ChatMessage} message */
  function createRow(message) {
    const row = cloneTemplate('chat-message-template');
    const avatar = queryElement(row, '.avatar', HTMLElement);
    setCssVariable(avatar, '--placeholder-hue', String(memberHue(message.memberId)));
    setText(avatar, [...initials(authorName(message))][0] ?? '');
    setText(queryElement(row, '.message-text', HTMLElement), message.text);
    queryElement(row, '.message-remove', HTMLButtonElement).addEventListener('click', (event) => {
      if (removal.press(message.id, event)) remove(message.id);
    });
    return row;
  }

  /** @param {HTMLElement} row @param {ChatMessage} message @param {{isOwn: boolean, isRemovable: boolean}} options */
  function renderRow(row, message, { isOwn, isRemovable }) {
    const isAsking = removal.isAsking(message.id);
    const now = new Date();
    const inputs = [message, isOwn, isRemovable, isAsking, currentLocale(), now.toDateString()];
    const rendered = renderedInputs.get(row);
    if (rendered && inputs.every((input, i) => input === rendered[i])) return;
    renderedInputs.set(row, inputs);
    row.classList.toggle('own', isOwn);
    setText(queryElement(row, '.message-name', HTMLElement), authorName(message));
    const time = queryElement(row, '.message-time', HTMLTimeElement);
    time.dateTime = message.at;
    setText(time, timeText(message.at, now));
    const button = queryElement(row, '.message-remove', HTMLButtonElement);
    setHidden(button, !isRemovable);
    setText(queryElement(button, '.text', HTMLElement), isAsking ? text('paired.confirm') : '');
    button.classList.toggle('confirming', isAsking);
    setAttribute(button, 'aria-label', text(isAsking ? 'chat.confirmRemoveMessage' : 'chat.removeMessage', { text: [...message.text].slice(0, LABEL_CHARS).join('') }));
  }

  /** @param {readonly string[]} texts */
  function renderSending(texts) {
    for (const row of sendingRows.splice(texts.length)) row.remove();
    texts.forEach((content, i) => {
      const row = sendingRows[i] ?? cloneTemplate('chat-message-template');
      sendingRows[i] = row;
      row.classList.add('own', 'sending');
      setText(queryElement(row, '.message-name', HTMLElement), text('chat.sending'));
      setText(queryElement(row, '.message-text', HTMLElement), content);
      setHidden(queryElement(row, '.message-remove', HTMLButtonElement), true);
      if (!row.isConnected) list.append(row);
    });
  }

  /** The first row that is visible, and where it is. */
  function visibleRow() {
    const top = scroller.scrollTop;
    const row = [...rowById.values()].find(({ offsetTop, offsetHeight }) => offsetTop + offsetHeight > top);
    return row ? { row, offsetPx: row.offsetTop - top } : null;
  }

  /**
   * @param {readonly ChatMessage[]} messages
   * @param {(message: ChatMessage) => {isOwn: boolean, isRemovable: boolean}} options
   * @param {readonly string[]} sending texts of messages that are being sent
   */
  function render(messages, options, sending) {
    lastRendering = [messages, options, sending];
    const staysAtEnd = isAtEnd();
    const reading = staysAtEnd ? null : visibleRow();
    const ids = new Set(messages.map(({ id }) => id));
    const focused = document.activeElement;
    for (const [id, row] of rowById) {
      if (ids.has(id)) continue;
      // The focus would be lost with its button.
      if (row.contains(focused)) scroller.focus({ preventScroll: true });
      row.remove();
      rowById.delete(id);
    }
    messages.forEach((message, i) => {
      const row = rowById.get(message.id) ?? createRow(message);
      rowById.set(message.id, row);
      renderRow(row, message, options(message));
      if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
    });
    renderSending(sending);
    setHidden(emptyText, messages.length + sending.length > 0);
    if (staysAtEnd) scrollToEnd();
    else if (reading?.row.isConnected) scroller.scrollTop = reading.row.offsetTop - reading.offsetPx;
  }

  return { render, isAtEnd, scrollToEnd };
}

/** The time of a message, with the day unless it is today. @param {string} at RFC 3339 @param {Date} now */
export function timeText(at, now) {
  const date = new Date(at);
  return timeFormat(date.toDateString() === now.toDateString()).format(date);
}

/** Making a format takes much longer than using it. @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/** @param {boolean} isToday */
function timeFormat(isToday) {
  const key = `${currentLocale()} ${isToday}`;
  /** @type {Intl.DateTimeFormatOptions} */
  const day = isToday ? {} : { day: 'numeric', month: 'numeric' };
  const format = formats.get(key) ?? new Intl.DateTimeFormat(currentLocale(), { ...day, hour: 'numeric', minute: '2-digit' });
  formats.set(key, format);
  return format;
}
