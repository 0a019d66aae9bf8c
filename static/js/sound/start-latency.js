// Estimates the time from a load or a call of `play()` of a media element until its track is heard, from earlier starts.
// All times are in milliseconds.

/** The initial estimate: in browsers, sound is heard 55 to 95 ms after `play()`. */
const INITIAL_LATENCY_MS = 75;
/** Longer latencies are outliers, and are counted as this value. */
const MAX_LATENCY_MS = 250;

/** The initial estimate of the time from the load of another track until it is heard. */
const INITIAL_TRACK_CHANGE_LATENCY_MS = 110;

/** The initial and lowest estimate of the duration of a load or seek, and the highest. */
const MIN_SEEK_MS = 60;
const MAX_SEEK_MS = 1_000;

/** Safety margin between the expected end of a load or seek and the planned `play()`. */
const RESERVE_MS = 15;

/** A start this long after its planned time is still acceptable. */
const LATE_TOLERANCE_MS = 15;

/** @typedef {ReturnType<typeof createStartLatency>} StartLatency */

export function createStartLatency() {
  let latencyMs = INITIAL_LATENCY_MS;
  let trackChangeLatencyMs = INITIAL_TRACK_CHANGE_LATENCY_MS;
  let seekMs = MIN_SEEK_MS;

  return {
    /** From `play()` until the track is heard. */
    latencyMs: () => latencyMs,
    /** From the load of another track until it is heard. */
    trackChangeLatencyMs: () => trackChangeLatencyMs,
    /** From the beginning of a load or seek until the track is heard, including the reserve. */
    leadMs: () => latencyMs + seekMs + RESERVE_MS,

    /** Whether a start this long after its planned time is still acceptable. @param {number} lateMs */
    isInTime: (lateMs) => lateMs <= LATE_TOLERANCE_MS,

    /**
     * To be called when a load or seek was in time: the estimate approaches its duration slowly. @param {number} tookMs
     */
    recordSeekInTime: (tookMs) => {
      seekMs = Math.max(MIN_SEEK_MS, seekMs + (tookMs + RESERVE_MS - seekMs) / 4);
    },
    /** To be called when a load or seek was late: the estimate rises at once. @param {number} tookMs */
    recordLateSeek: (tookMs) => {
      seekMs = Math.min(MAX_SEEK_MS, Math.max(seekMs, tookMs) + RESERVE_MS);
    },

    /**
     * To be called when the position has settled after a start.
     * @param {number} measuredMs from `play()`, or from the load if `isTrackChange`, until the track was heard
     * @param {boolean} isTrackChange whether the start included the load of another track
     */
    recordStart: (measuredMs, isTrackChange) => {
      const tookMs = Math.min(MAX_LATENCY_MS, Math.max(0, measuredMs));
      if (isTrackChange) trackChangeLatencyMs += (tookMs - trackChangeLatencyMs) / 2;
      else latencyMs += (tookMs - latencyMs) / 2;
    },
  };
}
