// Files that are dragged onto the page.

import { elementById, setHidden } from './dom.js';

/**
 * @param {object} options
 * @param {() => boolean} options.isAllowed whether files can be added now
 * @param {(files: readonly File[]) => void} options.onDrop
 */
export function listenForFiles({ isAllowed, onDrop }) {
  const target = elementById('drop-target', HTMLElement);
  const hasFiles = (/** @type {DragEvent} */ { dataTransfer }) => dataTransfer?.types.includes('Files') ?? false;

  addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    // Without this, the browser would open a dropped file in place of the page.
    event.preventDefault();
    if (event.dataTransfer) event.dataTransfer.dropEffect = isAllowed() ? 'copy' : 'none';
    setHidden(target, !isAllowed());
  });
  addEventListener('dragleave', (event) => {
    // The pointer has left the window.
    if (event.relatedTarget === null) setHidden(target, true);
  });
  addEventListener('drop', (event) => {
    setHidden(target, true);
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (isAllowed()) onDrop([...(event.dataTransfer?.files ?? [])]);
  });
}
