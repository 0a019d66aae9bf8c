// Reproducible random numbers.

/**
 * A generator of reproducible random numbers from -1 to 1 (linear congruential).
 * @param {number} seed
 */
export function seededRandom(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}
