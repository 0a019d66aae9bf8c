// Imitates an output that is heard later than the browser reports.

/** Runs before the page's scripts: makes the page report an output latency that is `byMs` too low. */
export function reduceReportedLatency(/** @type {number} */ byMs) {
  const original = AudioContext.prototype.getOutputTimestamp;
  AudioContext.prototype.getOutputTimestamp = function () {
    const { contextTime, performanceTime } = original.call(this);
    return { contextTime, performanceTime: performanceTime - byMs };
  };
  // The page adds the latency that the timestamps leave out.
  const { get } = Object.getOwnPropertyDescriptor(AudioContext.prototype, 'outputLatency') ?? {};
  Object.defineProperty(AudioContext.prototype, 'outputLatency', {
    get() {
      return Math.max(0, get?.call(this) - byMs / 1e3);
    },
  });
}
