// PURE: counts of reactions.

/** The reactions that the server knows. */
export const EMOJI = ['👍', '❤️', '🔥', '😂', '🎉', '👏', '🙌', '💃', '🕺', '😍', '🤘', '👎'];

/** How often each reaction was sent. @typedef {Readonly<Record<string, number>>} ReactionCounts */

/**
 * Reads the payload of the server's event `reactions`. Ignores what is no known reaction.
 * @param {Record<string, unknown>} payload
 * @returns {ReactionCounts}
 */
export function readCounts(payload) {
  const counts = EMOJI.map((emoji) => /** @type {const} */ ([emoji, Number(payload[emoji]) || 0]));
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

/** @param {ReactionCounts} a @param {ReactionCounts} b @returns {ReactionCounts} */
export function addCounts(a, b) {
  const sum = { ...a };
  for (const [emoji, count] of Object.entries(b)) sum[emoji] = (sum[emoji] ?? 0) + count;
  return sum;
}

/**
 * Counts without this phone's reactions, which the page shows before the server counts them.
 * @param {ReactionCounts} counts
 * @param {ReactionCounts} own those that the server has not counted yet
 * @returns {{others: ReactionCounts, own: ReactionCounts}} `own`: those that it still has not counted
 */
export function withoutOwn(counts, own) {
  /** @type {Record<string, number>} */
  const others = {};
  /** @type {Record<string, number>} */
  const remaining = { ...own };
  for (const [emoji, count] of Object.entries(counts)) {
    const ownCount = Math.min(count, own[emoji] ?? 0);
    if (count > ownCount) others[emoji] = count - ownCount;
    if (ownCount > 0) remaining[emoji] = (own[emoji] ?? 0) - ownCount;
  }
  return { others, own: Object.fromEntries(Object.entries(remaining).filter(([, count]) => count > 0)) };
}

/**
 * At most `limit` reactions to show for the counts: each kind in turn, the most frequent first.
 * @param {ReactionCounts} counts
 * @param {number} limit
 * @returns {string[]}
 */
export function sampleReactions(counts, limit) {
  const sorted = Object.entries(counts).sort(([, a], [, b]) => b - a);
  /** @type {string[]} */
  const sample = [];
  for (let round = 1; sample.length < limit; round += 1) {
    const present = sorted.filter(([, count]) => count >= round);
    if (present.length === 0) break;
    sample.push(...present.map(([emoji]) => emoji));
  }
  return sample.slice(0, limit);
}

/** The most frequent first: `🔥 12`, `👍 3`. @param {ReactionCounts} counts @param {(count: number) => string} format */
export function countTexts(counts, format) {
  const sorted = Object.entries(counts).sort(([, a], [, b]) => b - a);
  return sorted.map(([emoji, count]) => `${emoji} ${format(count)}`);
}
