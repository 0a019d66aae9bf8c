// Work that is done again and again, once at a time.

/**
 * Lets `work` run once at a time. What is asked for while it runs, by itself or by others, is done after that, once:
 * the work under way may have begun too early to see what the asking is about. Work that awaits nothing is done by
 * the time the call returns.
 * @param {() => void | Promise<void>} work
 * @returns {() => Promise<void>}
 */
export function inTurn(work) {
  let running = false;
  let due = false;
  return async () => {
    due = true;
    if (running) return;
    running = true;
    try {
      while (due) {
        due = false;
        const done = work();
        if (done) await done;
      }
    } finally {
      running = false;
    }
  };
}
