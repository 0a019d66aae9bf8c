/**
 * Numbers from -1 to 1 that are the same at every run.
 * @param {number} seed
 */
export function dice(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}
