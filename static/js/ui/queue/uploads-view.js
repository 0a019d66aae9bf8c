// The uploads in the Queue tab: the buttons that choose files, this phone's uploads, and those of others.

import { formatBytes, formatPercent } from '../../format.js';
import { messageText, text } from '../../language/texts.js';
import { memberName, percent } from '../../room/selectors.js';
import { titleOfFile } from '../../app/upload-rules.js';
import { cloneTemplate, elementById, queryElement, setAttribute, setCssVariable, setHidden, setText } from '../dom.js';
import { isPermitted, setPermitted } from '../rules/reasons.js';

/** @typedef {import('../../types.js').AppState} AppState */
/** @typedef {import('../../types.js').Upload} Upload */

/**
 * @param {object} options
 * @param {(files: readonly File[]) => void} options.add
 * @param {(key: string) => void} options.cancel also removes an upload that has failed or has no title
 * @param {(key: string, title: string) => void} options.setTitle
 * @param {(key: string, isTyping: boolean) => void} options.setTyping
 */
export function createUploadsView({ add, cancel, setTitle, setTyping }) {
  const fileInput = elementById('upload-files', HTMLInputElement);
  const addButtons = ['upload-add', 'upload-add-low', 'upload-missing'].map((id) => elementById(id, HTMLButtonElement));
  const ownList = elementById('upload-list', HTMLElement);
  const othersList = elementById('room-uploads', HTMLElement);
  /** @type {Map<string, HTMLElement>} */
  const rows = new Map();
  /** @type {unknown[]} */
  let renderedInputs = [];

  for (const button of addButtons) button.addEventListener('click', () => fileInput.click());
  fileInput.addEventListener('change', () => {
    add([...(fileInput.files ?? [])]);
    // The same file can be chosen again.
    fileInput.value = '';
  });

  /** @param {string} key */
  function createRow(key) {
    const row = cloneTemplate('upload-template');
    queryElement(row, '.upload-cancel', HTMLButtonElement).addEventListener('click', () => cancel(key));
    queryElement(row, '.upload-choose', HTMLButtonElement).addEventListener('click', () => fileInput.click());
    const title = queryElement(row, '.upload-title', HTMLInputElement);
    title.addEventListener('change', () => setTitle(key, title.value));
    title.addEventListener('focus', () => setTyping(key, true));
    title.addEventListener('blur', () => setTyping(key, false));
    title.addEventListener('keydown', (event) => {
      // Not while an input method composes the title.
      if (event.key === 'Enter' && !event.isComposing) title.blur();
    });
    rows.set(key, row);
    return row;
  }

  /** @param {HTMLElement} row @param {Upload} upload @param {boolean} isOffline */
  function renderRow(row, upload, isOffline) {
    const { name, status, sentBytes, size } = upload;
    const hasFailed = status === 'failed' || upload.error !== null && status === 'untitled';
    const isOver = status === 'failed' || status === 'untitled';
    row.classList.toggle('failed', hasFailed);
    row.classList.toggle('untitled', status === 'untitled');
    setText(queryElement(row, '.upload-name', HTMLElement), name);
    const statusLine = queryElement(row, '.upload-text', HTMLElement);
    setAttribute(statusLine, 'role', hasFailed ? 'alert' : null);
    setText(statusLine, statusText(upload, isOffline));
    setHidden(statusLine, status === 'needs-file');
    const title = queryElement(row, '.upload-title', HTMLInputElement);
    setHidden(title, !upload.canName || status === 'failed' || status === 'needs-file');
    setAttribute(title, 'aria-label', text('upload.titleOf', { name }));
    if (document.activeElement !== title && title.value !== upload.title) title.value = upload.title;
    const bar = queryElement(row, '.upload-bar', HTMLElement);
    setHidden(bar, status !== 'sending' && status !== 'finishing');
    setCssVariable(bar, '--sent-percent', `${percent(sentBytes, size)}%`);
    const choose = queryElement(row, '.upload-choose', HTMLButtonElement);
    setHidden(choose, status !== 'needs-file');
    setText(choose, text('upload.chooseAgain', { name }));
    const cancelButton = queryElement(row, '.upload-cancel', HTMLButtonElement);
    setHidden(cancelButton, status === 'finishing');
    setAttribute(cancelButton, 'aria-label', text(isOver ? 'upload.dismissName' : 'upload.cancelName', { name }));
    setAttribute(cancelButton, 'title', text(isOver ? 'upload.dismiss' : 'upload.cancel'));
  }

  return {
    /** @param {AppState} state */
    render: (state) => {
      const { uploads, roomUploads, areUploadsOff, room, memberId, connection, locale } = state;
      for (const button of addButtons) setPermitted(button, 'upload', isPermitted(state, 'upload'));
      const inputs = [uploads, roomUploads, areUploadsOff, room?.clients, connection, locale];
      if (inputs.every((value, i) => value === renderedInputs[i])) return;
      renderedInputs = inputs;
      for (const button of addButtons) setHidden(button, areUploadsOff);

      const keys = new Set(uploads.map(({ key }) => key));
      for (const [key, row] of rows) {
        if (keys.has(key)) continue;
        row.remove();
        rows.delete(key);
      }
      uploads.forEach((upload, i) => {
        const row = rows.get(upload.key) ?? createRow(upload.key);
        renderRow(row, upload, connection !== 'open');
        if (ownList.children[i] !== row) ownList.insertBefore(row, ownList.children[i] ?? null);
      });
      setHidden(ownList, uploads.length === 0);

      const others = room ? roomUploads.filter((upload) => upload.memberId !== memberId && upload.memberId in room.clients) : [];
      others.forEach((upload, i) => {
        const line = othersList.children[i] ?? othersList.appendChild(document.createElement('li'));
        setAttribute(line, 'dir', 'auto');
        const values = { name: room ? memberName(room, upload.memberId) : '', title: titleOfFile(upload.name), percent: formatPercent(percent(upload.receivedBytes, upload.size)) };
        setText(line, text('upload.bringing', values));
      });
      while (othersList.children.length > others.length) othersList.lastElementChild?.remove();
      setHidden(othersList, others.length === 0);
    },
  };
}

/** @param {Upload} upload @param {boolean} isOffline */
function statusText({ status, error, sentBytes, size }, isOffline) {
  if (error !== null) return messageText(error);
  switch (status) {
    case 'waiting':
      return text('upload.waiting');
    case 'sending':
      return isOffline ? text('upload.offline') : text('upload.progress', { percent: formatPercent(percent(sentBytes, size)), size: formatBytes(size) });
    case 'finishing':
      return text('upload.finishing');
    case 'untitled':
      return text('upload.untitled');
    default:
      return '';
  }
}
