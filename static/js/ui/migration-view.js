// The two views of a migration to the secure page: the secure page shows the progress of copying the tracks, and the
// insecure page whether its tab must stay open.

import { text } from '../language/texts.js';
import { elementById, setHidden, setText } from './dom.js';

/** Minimum time between two progress texts, so that they can be read and read aloud. */
const PROGRESS_INTERVAL_MS = 2_000;

export function createMigrationView() {
  const migratingView = elementById('migrating-view', HTMLElement);
  const migratingTitle = elementById('migrating-title', HTMLElement);
  const showProgress = createThrottledText(elementById('migrating-text', HTMLElement));
  const migratedView = elementById('migrated-view', HTMLElement);
  const migratedTitle = elementById('migrated-title', HTMLElement);
  const migratedText = elementById('migrated-text', HTMLElement);

  return {
    /**
     * @param {import('../types.js').AppState} state
     * @returns {HTMLElement | null} the heading of the visible view; `null` if neither is visible
     */
    render: ({ view, migration }) => {
      setHidden(migratingView, view !== 'migrating');
      setHidden(migratedView, view !== 'migrated');
      if (view === 'migrating' && migration) showProgress(text('migrating.progress', { number: migration.copied + 1, total: migration.total }));
      if (view === 'migrated') setText(migratedText, text(migration ? 'migrated.keepOpen' : 'migrated.mayClose'));
      if (view === 'migrating') return migratingTitle;
      return view === 'migrated' ? migratedTitle : null;
    },
  };
}

/**
 * Throttles changes of an element's text; the latest text is shown when the interval is over.
 * @param {HTMLElement} element
 * @returns {(text: string) => void} sets the text
 */
function createThrottledText(element) {
  /** @type {string | null} */
  let pendingText = null;
  let isThrottled = false;

  /** @param {string} newText */
  function show(newText) {
    if (isThrottled) {
      pendingText = newText;
      return;
    }
    setText(element, newText);
    isThrottled = true;
    setTimeout(() => {
      isThrottled = false;
      const latestText = pendingText;
      pendingText = null;
      if (latestText !== null) show(latestText);
    }, PROGRESS_INTERVAL_MS);
  }

  return show;
}
