// Runs a job one call at a time, and merges the calls made during a run into one further run. The further run is needed
// because the run in progress may have read its inputs before the call was made.

/**
 * A job that returns no promise counts as finished when it returns. A run that fails does not cancel the requested
 * further run.
 * @param {() => void | Promise<void>} job
 * @returns {() => Promise<void>} requests a run. A call during a run resolves at once. Any other call settles after the
 *   last of the runs that follow each other without a pause, and rejects with the first error of these runs.
 */
export function coalesce(job) {
  let isRunning = false;
  let isRequested = false;
  return async () => {
    isRequested = true;
    if (isRunning) return;
    isRunning = true;
    /** @type {unknown[]} */
    const errors = [];
    while (isRequested) {
      isRequested = false;
      try {
        const result = job();
        // Without a promise the loop continues synchronously: callers rely on the job having run when the call returns.
        if (result) await result;
      } catch (error) {
        errors.push(error);
      }
    }
    isRunning = false;
    if (errors.length > 0) throw errors[0];
  };
}
