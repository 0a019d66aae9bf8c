// Toasts: short messages (role `alert`) that disappear after a few seconds or a tap.

import { cloneTemplate, elementById, queryElement, setText } from './dom.js';

const TOAST_TIMEOUT_MS = 6_000;
const MAX_TOASTS = 3;

/** @returns {(text: string) => void} shows a message, and removes the toast of an equal earlier message */
export function createToasts() {
  const toastArea = elementById('toasts', HTMLElement);
  return (text) => {
    const duplicateToast = [...toastArea.children].find((toast) => toast.textContent?.trim() === text);
    duplicateToast?.remove();
    while (toastArea.childElementCount >= MAX_TOASTS) toastArea.firstElementChild?.remove();
    const toast = cloneTemplate('toast-template');
    setText(queryElement(toast, '.text', HTMLElement), text);
    toast.addEventListener('click', () => toast.remove());
    toastArea.append(toast);
    setTimeout(() => toast.remove(), TOAST_TIMEOUT_MS);
  };
}
