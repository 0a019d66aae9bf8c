// The codes of the server's problems: docs/api.md lists all, and the page's texts are for existing ones.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { en } from '../../../static/js/language/en.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** The codes in the source code of the server. */
async function serverCodes() {
  const files = (await readdir(`${ROOT}src/http`, { recursive: true })).filter((name) => name.endsWith('.rs'));
  const sources = await Promise.all(files.map((name) => readFile(`${ROOT}src/http/${name}`, 'utf8')));
  const inVariants = sources.flatMap((source) => [...source.matchAll(/ApiError::(?:Forbidden|NotFound|Unprocessable|Unavailable)\(\s*"([^"]*)"/g)]);
  const [, codeFunction] = /fn code\(&self\)(.*?)\n    }/s.exec(await readFile(`${ROOT}src/http/error.rs`, 'utf8'));
  const codes = [...inVariants, ...codeFunction.matchAll(/=> (?:\{\s*)?"([^"]*)"/g)].map(([, code]) => code);
  return [...new Set(codes)].sort();
}

/** Codes without a sentence of the page, because the page never shows them. */
const NOT_SHOWN = new Set([
  // Caused by other clients only: the local socket, scripts, and uploads with other headers than the page sends.
  ...['local-only', 'ambiguous-name', 'no-such-path', 'method-not-allowed', 'precondition-failed', 'body-too-large', 'range-not-satisfiable', 'event-count-missing'],
  ...['length-required', 'tus-version', 'upload-too-long', 'unsupported-media-type', 'wrong-checksum', 'music-plays', 'too-few-phones', 'scanner-restarting'],
  // The page goes on by itself: it tries again, begins anew, or refreshes its state.
  ...['out-of-date', 'wrong-offset', 'upload-locked', 'upload-ended', 'upload-failed', 'too-many-downloads', 'other-version', 'file-gone', 'file-unreadable'],
  // The view says it in its own words: no code, QR code, cover or certificate to show.
  ...['pairing-code-hidden', 'address-too-long', 'no-cover', 'no-authority'],
]);

/** The codes in the table of docs/api.md. */
async function documentedCodes() {
  const table = (await readFile(`${ROOT}docs/api.md`, 'utf8')).split('| status | codes |')[1].split('\n\n')[0];
  return [...new Set([...table.matchAll(/`([a-z-]+)`/g)].map(([, code]) => code))].sort();
}

test('docs/api.md lists every code of the server', async () => {
  const codes = await serverCodes();
  assert.ok(codes.length > 30, `${codes.length} codes`);
  assert.deepEqual(await documentedCodes(), codes);
});

test('every code that the page may show has a sentence', async () => {
  const codes = await documentedCodes();
  assert.deepEqual(codes.filter((code) => !NOT_SHOWN.has(code) && !(`problem.${code}` in en)), []);
  assert.deepEqual([...NOT_SHOWN].filter((code) => `problem.${code}` in en || !codes.includes(code)), [], 'not shown, and yet a sentence or no code');
});

test('every code with a sentence of the page exists', async () => {
  const codes = await serverCodes();
  const translated = Object.keys(en).filter((key) => key.startsWith('problem.')).map((key) => key.slice('problem.'.length));
  assert.ok(translated.length > 10);
  assert.deepEqual(translated.filter((code) => !codes.includes(code)), []);
});
