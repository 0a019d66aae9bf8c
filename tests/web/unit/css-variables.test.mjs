// The variables of the stylesheets that apply to the whole page.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';

const STATIC = new URL('../../../static/', import.meta.url);

test('two stylesheets never set the same variable of the whole page', async () => {
  const html = await readFile(new URL('index.html', STATIC), 'utf8');
  /** @type {Map<string, string[]>} */
  const filesByVariable = new Map();
  for (const [, file = ''] of html.matchAll(/rel="stylesheet" href="([^"]+)"/g)) {
    const css = await readFile(new URL(file, STATIC), 'utf8');
    const rules = [...css.matchAll(/^:root \{([^}]*)\}/gm)].map(([, rule]) => rule).join('');
    const variables = new Set([...rules.matchAll(/^\s*(--[\w-]+):/gm)].map(([, variable = '']) => variable));
    for (const variable of variables) filesByVariable.set(variable, [...(filesByVariable.get(variable) ?? []), file]);
  }
  assert.ok(filesByVariable.has('--hue'));
  assert.deepEqual([...filesByVariable].filter(([, files]) => files.length > 1), []);
});
