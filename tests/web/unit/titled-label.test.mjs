// The label with a title, on a button whose text the page also translates.

import assert from 'node:assert/strict';
import test from 'node:test';
import { setTitledLabel } from '../../../static/js/ui/queue/titled-label.js';
import { replaceGlobals } from '../support/globals.mjs';

test('the title returns after the page has translated the label', (t) => {
  replaceGlobals(t, { document: { createElement: () => ({ setAttribute: () => {} }) } });
  const label = {
    dataset: {},
    childElementCount: 0,
    replaceCount: 0,
    replaceChildren: (/** @type {unknown[]} */ ...parts) => {
      label.childElementCount = parts.filter((part) => typeof part !== 'string').length;
      label.replaceCount += 1;
    },
  };
  const render = () => setTitledLabel(/** @type {any} */ (label), 'queue.playTitleNow', 'menu.playNow', 'Fireflies');
  render();
  render();
  assert.equal(label.replaceCount, 1);
  // As after `textContent = 'Play now'`.
  label.childElementCount = 0;
  render();
  assert.equal(label.replaceCount, 2);
});
