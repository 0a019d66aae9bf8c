// PURE: decides how large the next slice of an upload is, and how an upload continues after a failed request.

import { ApiError, problemMessage } from '../net/http.js';

/** @typedef {import('../language/texts.js').Message} Message */

export const MIN_SLICE_BYTES = 256 * 1024;
export const MAX_SLICE_BYTES = 2 * 1024 * 1024;

/** How long one slice should take: what a lost connection costs at most, and how often the progress is shown. */
const SLICE_MS = 1_000;

/** Delay before the first, second, … retry. */
const BACKOFF_MS = [500, 1_000, 2_000, 5_000];

/** Waiting time of a rate limit without `Retry-After`. */
const DEFAULT_WAIT_MS = 10_000;

/**
 * @param {number} sliceBytes of the slice that was sent
 * @param {number} elapsedMs the time that the slice took
 */
export function nextSliceBytes(sliceBytes, elapsedMs) {
  const fitting = (sliceBytes * SLICE_MS) / Math.max(1, elapsedMs);
  // One fast slice may have gone into the buffers of the connection only, so the size grows stepwise.
  return Math.round(Math.min(MAX_SLICE_BYTES, Math.max(MIN_SLICE_BYTES, Math.min(fitting, 2 * sliceBytes))));
}

/**
 * What follows a failed request: `retry` continues at the offset that the server states; `restart` begins a new upload; `end` shows
 * the sentence. A `retry` with a sentence waits for a limit.
 * @typedef {{kind: 'retry', delayMs: number, message?: Message} | {kind: 'restart', delayMs: number} | {kind: 'end', message: Message, isOff: boolean}} NextStep
 */

/**
 * @param {unknown} error
 * @param {object} upload
 * @param {string} upload.name
 * @param {boolean} upload.isBegun whether the server has given the upload an id
 * @param {number} upload.failureCount failures in a row before this one
 * @returns {NextStep}
 */
export function nextStep(error, { name, isBegun, failureCount }) {
  const delayMs = BACKOFF_MS[Math.min(failureCount, BACKOFF_MS.length - 1)] ?? 0;
  if (!(error instanceof ApiError)) return { kind: 'retry', delayMs };
  const { status, code, retryAfterSec } = error;
  if (status === 429) return { kind: 'retry', delayMs: retryAfterSec * 1_000 || DEFAULT_WAIT_MS, message: withName(problemMessage(error), name) };
  // The server has another number of bytes, or still reads an earlier request of this upload.
  if (status === 409 || status === 423) return { kind: 'retry', delayMs: failureCount === 0 ? 0 : delayMs };
  if (isBegun && (status === 404 || status === 410)) return { kind: 'restart', delayMs: failureCount === 0 ? 0 : delayMs };
  if (status === 408 || (status >= 500 && status !== 507)) return { kind: 'retry', delayMs: Math.max(delayMs, retryAfterSec * 1_000) };
  return { kind: 'end', message: withName(problemMessage(error), name), isOff: code === 'uploads-off' };
}

/** The message with the name of the file. @param {Message} message @param {string} name @returns {Message} */
function withName(message, name) {
  return typeof message === 'string' ? message : { key: message.key, values: { ...message.values, name } };
}

/** The name of a file without its extension, as the title of its track is likely to be. @param {string} name */
export function titleOfFile(name) {
  return name.replace(/(?!^)\.\w{1,5}$/, '');
}
