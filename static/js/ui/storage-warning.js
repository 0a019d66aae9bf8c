// PURE: the sentence that warns the user about a problem with this phone's storage.

import { text } from '../language/texts.js';

/**
 * @param {Pick<import('../types.js').AppState, 'hasStorageFailed' | 'unplayableReasons'>} state
 * @returns {string} empty if there is no problem
 */
export function storageWarningOf({ hasStorageFailed, unplayableReasons }) {
  if (hasStorageFailed) return text('now.storageFailed');
  return [...unplayableReasons.values()].includes('space') ? text('now.storageFull') : '';
}
