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

test('docs/api.md lists every code of the server', async () => {
  const codes = await serverCodes();
  assert.ok(codes.length > 30, `${codes.length} codes`);
  const table = (await readFile(`${ROOT}docs/api.md`, 'utf8')).split('| status | codes |')[1].split('\n\n')[0];
  assert.deepEqual([...new Set([...table.matchAll(/`([a-z-]+)`/g)].map(([, code]) => code))].sort(), codes);
});

test('every code with a sentence of the page exists', async () => {
  const codes = await serverCodes();
  const translated = Object.keys(en).filter((key) => key.startsWith('problem.')).map((key) => key.slice('problem.'.length));
  assert.ok(translated.length > 10);
  assert.deepEqual(translated.filter((code) => !codes.includes(code)), []);
});
