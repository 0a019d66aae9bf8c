// PURE: whether a browser's output timestamps contain the output latency that it reports.
//
// - Chromium 156: they do, and its `outputLatency` alone is rounded and lacks the browser's own buffers.
// - Firefox 153: `getOutputTimestamp()` subtracts `outputLatency` from both of its times (WebAudio/web-audio-api#2461), so they
//   cancel out. Without the reported latency, Firefox was heard 30 ms late.
// - Safari (WebKit's `RemoteAudioDestinationProxy`): the timestamps say when the page's sound was rendered. `outputLatency`, from
//   18.4 on, says the rest.
//
// A timestamp that contains a latency cannot be less late than this latency, so the two are compared, whatever the browser's name.

/**
 * The number of recent measurements in which the timestamps contain the reported latency, and in which they do not.
 * @typedef {{contained: number, leftOut: number}} LatencyVotes
 */

/** @type {LatencyVotes} */
export const NO_VOTES = { contained: 0, leftOut: 0 };

/** Smaller latencies say nothing: browsers round them. */
const MIN_REPORTED_MS = 4;

/** Timestamps with less than this share of the reported latency do not contain it. Those of a stalled machine have less, too. */
const MIN_SHARE = 0.5;

/** Earlier measurements count as at most this many, so that the votes can change after a change of the output. */
const MAX_EARLIER_VOTES = 16;

/**
 * Adds a measurement.
 * @param {LatencyVotes} votes
 * @param {number} timestampLatencyMs from rendering to hearing, by the browser's timestamps
 * @param {number} reportedLatencyMs `outputLatency`; 0 if unknown
 * @returns {LatencyVotes}
 */
export function addVote(votes, timestampLatencyMs, reportedLatencyMs) {
  if (reportedLatencyMs < MIN_REPORTED_MS) return votes;
  const isContained = timestampLatencyMs >= MIN_SHARE * reportedLatencyMs;
  return isContained ? { ...votes, contained: votes.contained + 1 } : { ...votes, leftOut: votes.leftOut + 1 };
}

/** The votes after the output may have changed. @param {LatencyVotes} votes @returns {LatencyVotes} */
export function earlierVotes({ contained, leftOut }) {
  const scale = Math.min(1, MAX_EARLIER_VOTES / Math.max(1, contained + leftOut));
  return { contained: contained * scale, leftOut: leftOut * scale };
}

/** Whether the reported latency must be added to what the timestamps say. @param {LatencyVotes} votes */
export function isLatencyLeftOut({ contained, leftOut }) {
  return leftOut > contained;
}
