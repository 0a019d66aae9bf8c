// Waits for promises in unit tests.

const TURNS = 30;

/** Runs 30 turns of the event loop, enough for every promise in the unit tests that waits for no timer. */
export async function settlePromises() {
  for (let turn = 0; turn < TURNS; turn += 1) await new Promise(setImmediate);
}
