// PURE: where picks are in line under the rules `turns` and `votes`. Pinned picks come first, whatever the order is. The server knows
// when each pick came, which the page does not: the page's order is the likely one, until the server's event arrives.

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').QueuePick} QueuePick */
/** @typedef {import('../types.js').Rules} Rules */

/**
 * The turns of picks that are in the order of their turns: each person's next pick has a later turn than the one before.
 * @param {readonly QueuePick[]} picks without pinned ones
 */
function turnsOf(picks) {
  /** @type {Map<MemberId | null, number>} */
  const lastTurns = new Map();
  let turn = 1;
  return picks.map(({ by }) => {
    turn = Math.max(turn, (lastTurns.get(by) ?? 0) + 1);
    lastTurns.set(by, turn);
    return turn;
  });
}

/** @param {readonly QueuePick[]} picks @param {QueuePick} added @returns {QueuePick[]} */
function withTurn(picks, added) {
  const pinned = picks.filter((pick) => pick.pinned);
  const line = picks.filter((pick) => !pick.pinned);
  const turns = turnsOf(line);
  const ownTurns = turns.filter((_, i) => line[i]?.by === added.by);
  const turn = (ownTurns.at(-1) ?? 0) + 1;
  const index = turns.filter((other) => other <= turn).length;
  return [...pinned, ...line.slice(0, index), added, ...line.slice(index)];
}

/** @param {readonly QueuePick[]} picks @param {readonly QueuePick[]} added @param {Rules['order']} order @returns {QueuePick[]} */
export function withAdded(picks, added, order) {
  if (order !== 'turns') return [...picks, ...added];
  return added.reduce(withTurn, [...picks]);
}

/**
 * The most votes first; picks with the same number of votes keep their order.
 * @param {readonly QueuePick[]} picks
 * @param {import('../types.js').TrackId | undefined} promisedId the track whose start the server has announced, which no other overtakes
 * @returns {QueuePick[]}
 */
export function byVotes(picks, promisedId) {
  const [first, ...others] = picks;
  if (first && first.trackId === promisedId) return [first, ...byVotes(others, undefined)];
  const pinned = picks.filter((pick) => pick.pinned);
  const line = picks.filter((pick) => !pick.pinned);
  return [...pinned, ...line.sort((a, b) => b.votes.length - a.votes.length)];
}
