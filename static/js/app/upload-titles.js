// The titles of uploads: whether a file has one in its tags, and how a typed one reaches the server.

import { ApiError } from '../net/http.js';
import { sleep } from '../timer.js';

/** @typedef {import('../types.js').Track} Track */

/** How many bytes at the beginning and at the end of a file are searched for tags. */
const SEARCHED_BYTES = 128 * 1024;

/** The names of titles in ID3v2, MP4, RIFF, Vorbis comments and APE tags; a title in ID3v1. */
const TITLE_MARKS = /TIT2|TT2\0|\xa9nam|INAM|title=|Title\0|TAG(?! {30}|\0{30})[\s\S]{125}$/i;

/** Delay before the second, third, … attempt. */
const BACKOFF_MS = [1_000, 2_000, 5_000, 10_000];

/**
 * Whether the file seems to have a title in its tags. Only the server, which reads the tags, knows; until then the page asks for a title
 * if this is false.
 * @param {File} file
 */
export async function seemsTitled(file) {
  try {
    const parts = [file.slice(0, SEARCHED_BYTES), file.slice(Math.max(0, file.size - SEARCHED_BYTES))];
    const texts = await Promise.all(parts.map(async (part) => latin1(new Uint8Array(await part.arrayBuffer()))));
    return texts.some((text) => TITLE_MARKS.test(text));
  } catch {
    // The file cannot be read, which the upload notices.
    return true;
  }
}

/** @param {Uint8Array} bytes */
function latin1(bytes) {
  // In pieces, because the number of arguments is limited.
  let text = '';
  for (let at = 0; at < bytes.length; at += 8_192) text += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  return text;
}

/** The title as the server cleans it, apart from rare characters. @param {string} title */
export function cleanTitle(title) {
  return title.trim().replace(/\s+/g, ' ');
}

/**
 * Whether this phone may give the track a title.
 * @param {Track | undefined} track
 * @param {import('../types.js').MemberId | null} memberId
 */
export function mayName(track, memberId) {
  return track !== undefined && track.uploadedBy === memberId && track.hasTitleTag === false;
}

/**
 * Sends a title until the server answers.
 * @param {() => Promise<void>} send
 * @throws the server's error, or that of the last attempt
 */
export async function sendTitle(send) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await send();
    } catch (error) {
      const delayMs = BACKOFF_MS[attempt];
      if (delayMs === undefined || (error instanceof ApiError && error.status < 500)) throw error;
      await sleep(delayMs);
    }
  }
}
