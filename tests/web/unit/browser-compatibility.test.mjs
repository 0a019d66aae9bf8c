// The check for old browsers (compat/) finds what they lack, and accepts what has a fallback.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { OLDEST_BROWSERS_TEXT } from '../compat/oldest-browsers.mjs';
import { findInScripts } from '../compat/scripts.mjs';
import { findInStyles } from '../compat/styles.mjs';

/** The features that the check finds in a script. */
async function missingFeatures(/** @type {import('node:test').TestContext} */ t, /** @type {string} */ script) {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-compat-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'script.js'), script);
  const compilerOptions = { allowJs: true, checkJs: true, noEmit: true, target: 'ES2023', lib: ['ES2023', 'DOM', 'DOM.Iterable'], module: 'ES2022', types: [] };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['script.js'] }));
  return findInScripts(join(folder, 'tsconfig.json')).map(({ feature }) => feature);
}

test('methods, static methods and globals that old browsers lack are found', async (t) => {
  const script = `
    export const isVisible = document.body.checkVisibility();
    export const answer = Response.json({});
    export const last = [1, 2].findLast((n) => n > 1);
    export const { promise } = Promise.withResolvers();
    export const signal = AbortSignal.timeout(1);
    export const stream = new TextDecoderStream();
    document.addEventListener('scrollend', () => {});`;
  assert.deepEqual((await missingFeatures(t, script)).sort(), [
    'api.AbortSignal.timeout_static',
    'api.Document.scrollend_event',
    'api.Element.checkVisibility',
    'api.Response.json_static',
    'api.TextDecoderStream',
    'javascript.builtins.Array.findLast',
    'javascript.builtins.Promise.withResolvers',
  ]);
});

test('methods of read-only arrays, typed arrays and iterators are found', async (t) => {
  const script = `
    /** @param {readonly number[]} values */
    export const sorted = (values) => values.toSorted();
    export const samples = new Float32Array(1).toReversed();
    export const keys = new Map().keys().map(String);`;
  assert.deepEqual((await missingFeatures(t, script)).sort(), [
    'javascript.builtins.Array.toSorted',
    'javascript.builtins.Iterator.map',
    'javascript.builtins.TypedArray.toReversed',
  ]);
});

test('syntax that old browsers lack is found', async (t) => {
  const script = 'export class Cover { static { Cover.size = 1; } }\nexport const price = /(?<=€)\\d+/;';
  assert.deepEqual((await missingFeatures(t, script)).sort(), [
    'javascript.classes.static.initialization_blocks',
    'javascript.regular_expressions.lookbehind_assertion',
  ]);
});

test('what is supported or asked for first is not found', async (t) => {
  const script = `
    export const last = [1].at(-1);
    export const copy = structuredClone({});
    document.body.checkVisibility?.();
    export const has = typeof TextDecoderStream;`;
  assert.deepEqual(await missingFeatures(t, script), []);
});

test('styles that old browsers lack are found', () => {
  const css = `
    .a:has(b) { color: red; }
    .b { & .c { color: red; } }
    .d { height: 100dvh; }
    .e { color: color-mix(in oklch, red, blue); }
    .f { --tone: oklch(0.5 0 0); }
    .g { color: red; color: oklch(0.5 0 var(--hue)); }
    @container (min-width: 1px) { .h { color: red; } }`;
  const features = findInStyles(css, 'a.css').map(({ feature, line }) => `${line} ${feature}`);
  for (const expected of ['2 css.selectors.has', '3 css.selectors.nesting', '4 css.types.length.viewport_percentage_units_dynamic', '5 css.types.color.color-mix', '6 css.types.color.oklch', '7 css.types.color.oklch', '8 css.at-rules.container']) {
    assert.ok(features.includes(expected), `${expected} is not among ${features}`);
  }
});

test('styles with a fallback are accepted', () => {
  const css = `
    .a { height: 100%; height: 100dvh; }
    @supports (color: oklch(0 0 0)) { .b { --tone: oklch(0.5 0 0); } }
    @supports selector(:has(a)) { .c:has(b) { color: red; } }`;
  assert.deepEqual(findInStyles(css, 'a.css'), []);
});

test('the sentence for older browsers names the oldest supported ones', async () => {
  const html = await readFile(fileURLToPath(new URL('../../../static/index.html', import.meta.url)), 'utf8');
  assert.ok(html.includes(OLDEST_BROWSERS_TEXT), OLDEST_BROWSERS_TEXT);
});
