// HTTP requests to the server, with timeouts. Paths are relative to the page's address, because the server may have a
// base path (`--base-path`). Error responses (`application/problem+json`, RFC 9457) are thrown as ApiError; a request
// without a response rejects with the error of `fetch`.

import { isTextKey, messageText } from '../language/texts.js';
import { abortAfter, after } from '../timer.js';

/** @typedef {import('../language/texts.js').Message} Message */

/**
 * Timeout of a request, and of each chunk of a body that is read in chunks. Browsers take minutes to notice a connection
 * that broke without a reset, for instance when the phone leaves the Wi-Fi.
 */
const TIMEOUT_MS = 8_000;

/** Waiting time to show for a rate limit without `Retry-After`. */
const DEFAULT_RETRY_SEC = 10;

/** A response with an error status. The message is the server's sentence, in English. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} detail
   * @param {number} retryAfterSec from `Retry-After`, 0 if absent
   * @param {string} [code] the kind of error
   */
  constructor(status, detail, retryAfterSec, code = '') {
    super(detail);
    this.status = status;
    this.retryAfterSec = retryAfterSec;
    this.code = code;
  }
}

/** A sentence for the user about a failed request: the page's own for the kind of error, or else the server's. @param {unknown} error @returns {Message} */
export function problemMessage(error) {
  if (!(error instanceof ApiError)) return { key: 'message.requestUnanswered' };
  const key = `problem.${error.code}`;
  if (isTextKey(key)) return { key, values: { count: error.retryAfterSec || DEFAULT_RETRY_SEC, detail: error.message } };
  return error.message || { key: 'message.errorStatus', values: { status: String(error.status) } };
}

/** The sentence of `problemMessage` in the current language. @param {unknown} error */
export function describeError(error) {
  return messageText(problemMessage(error));
}

/**
 * Sends a request, and aborts the request after a timeout unless `init.signal` is given.
 * @param {string} path
 * @param {RequestInit} init
 * @param {number[]} [expectedStatuses] error statuses that are returned, not thrown
 * @returns {Promise<Response>}
 * @throws {ApiError} if the server responds with an error status that is not expected
 */
export async function request(path, init, expectedStatuses = []) {
  const signal = init.signal ?? abortAfter(TIMEOUT_MS);
  const response = await fetch(`.${path}`, { credentials: 'same-origin', ...init, signal });
  if (response.ok || expectedStatuses.includes(response.status)) return response;
  const problem = await response.json().catch(() => ({}));
  const detail = problem.detail || problem.title || '';
  throw new ApiError(response.status, detail, Number(response.headers.get('Retry-After')) || 0, problem.code);
}

/**
 * @param {string} path
 * @param {object} body sent as JSON
 * @param {Record<string, string>} [headers]
 * @param {number[]} [expectedStatuses] as for `request`
 * @param {AbortSignal} [signal] as for `request`
 */
export function post(path, body, headers = {}, expectedStatuses, signal) {
  const init = {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  };
  return request(path, init, expectedStatuses);
}

/**
 * Requests a large JSON document. The timeout applies to each chunk, not to the whole body.
 * @param {string} path
 * @param {RequestInit} init
 * @returns {Promise<{headers: Headers, read: () => Promise<any>, abort: () => void}>}
 */
export async function requestLargeJson(path, init) {
  const controller = new AbortController();
  const { headers, body } = await withIdleTimeout(request(path, { ...init, signal: controller.signal }), controller);
  const read = async () => {
    /** @type {BlobPart[]} */
    const chunks = [];
    const reader = body?.getReader();
    for (;;) {
      const chunk = reader && (await withIdleTimeout(reader.read(), controller));
      if (!chunk || chunk.done) return JSON.parse(await new Blob(chunks).text());
      chunks.push(chunk.value);
    }
  };
  return { headers, read, abort: () => controller.abort() };
}

/**
 * Awaits one step of a request, and aborts the request if the step takes longer than `TIMEOUT_MS`.
 * @template T
 * @param {Promise<T>} step
 * @param {AbortController} controller
 * @returns {Promise<T>}
 */
export async function withIdleTimeout(step, controller) {
  const cancel = after(TIMEOUT_MS, () => controller.abort());
  try {
    return await step;
  } finally {
    cancel();
  }
}
