// Shows an error message for each failed request that an action of the user has caused.

import { describeError } from '../net/http.js';

/**
 * @param {(text: string) => void} showMessage
 * @returns {(request: Promise<void>) => Promise<boolean>} awaits a request, shows a message if the request fails, and
 *   resolves to whether the request succeeded
 */
export function createAttempt(showMessage) {
  return async (request) => {
    try {
      await request;
      return true;
    } catch (error) {
      showMessage(describeError(error));
      return false;
    }
  };
}
