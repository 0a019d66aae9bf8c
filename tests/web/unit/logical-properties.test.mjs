// Style sheets name no left and right, so that pages in right-to-left languages are mirrored.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as csstree from 'css-tree';

const STATIC = fileURLToPath(new URL('../../../static/', import.meta.url));
const PHYSICAL_PROPERTY = /^(left|right|(margin|padding|border|inset)-(left|right)(-.*)?|border-(top|bottom)-(left|right)-radius)$/;

/** @param {csstree.Declaration} declaration */
function isPhysical({ property, value }) {
  const text = csstree.generate(value);
  // A display notch is on one side in all languages.
  if (text.includes('safe-area-inset')) return false;
  const names = /^(text-align|float|clear|transform-origin)$/.test(property) || text.includes('gradient(to');
  return PHYSICAL_PROPERTY.test(property) || (names && /\b(left|right)\b/.test(text));
}

test('no style sheet has a left or right of its own', async () => {
  const files = (await readdir(STATIC, { recursive: true })).filter((name) => name.endsWith('.css'));
  assert.ok(files.length > 5);
  for (const file of files) {
    csstree.walk(csstree.parse(await readFile(STATIC + file, 'utf8'), { positions: true }), (node) => {
      if (node.type === 'Declaration') assert.ok(!isPhysical(node), `${file}:${node.loc?.start.line}: ${csstree.generate(node)}`);
    });
  }
});
