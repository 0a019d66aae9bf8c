// Reactions: sends those of this phone, which are shown at once, and shows those of others as the server counts them.

import { ApiError, describeError } from '../net/http.js';
import { text } from '../language/texts.js';
import { after } from '../timer.js';
import { addCounts, readCounts, withoutOwn } from '../room/reactions.js';

/** @typedef {import('../room/reactions.js').ReactionCounts} ReactionCounts */

/**
 * @param {object} options
 * @param {(emoji: string) => Promise<void>} options.postReaction
 * @param {(counts: ReactionCounts) => void} options.show
 * @param {(counts: ReactionCounts) => void} options.announce called with the reactions of other phones
 * @param {(text: string) => void} options.showMessage
 * @param {() => boolean} options.isOnline
 * @param {(isHeld: boolean) => void} options.hold called when the server takes no reactions for some seconds, and when it does again
 */
export function createReactions({ postReaction, show, announce, showMessage, isOnline, hold }) {
  let isHeld = false;

  /** Reactions of this phone that the server has not counted in an event yet. @type {ReactionCounts} */
  let own = {};

  return {
    /** @param {string} emoji */
    react: async (emoji) => {
      if (isHeld) return;
      // The reaction would look sent although no other phone receives it.
      if (!isOnline()) return showMessage(text('message.serverAway'));
      own = addCounts(own, { [emoji]: 1 });
      show({ [emoji]: 1 });
      try {
        await postReaction(emoji);
      } catch (error) {
        own = withoutOwn({ [emoji]: 1 }, own).own;
        // Of several that are refused together, the first one is explained.
        if (isHeld) return;
        showMessage(describeError(error));
        if (!(error instanceof ApiError) || error.status !== 429) return;
        isHeld = true;
        hold(true);
        after(error.retryAfterSec * 1_000, () => {
          isHeld = false;
          hold(false);
        });
      }
    },

    /** To be called with each message of the event stream. @param {import('../types.js').EventMessage} message */
    handle: ({ event, payload }) => {
      // The counts that came while the stream was away are lost.
      if (event === 'snapshot') own = {};
      if (event !== 'reactions') return;
      const { others, own: uncounted } = withoutOwn(readCounts(payload), own);
      own = uncounted;
      if (Object.keys(others).length === 0) return;
      show(others);
      announce(others);
    },
  };
}
