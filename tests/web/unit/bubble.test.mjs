// How long a bubble stays, with elements that have only what the bubble uses.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createBubble } from '../../../static/js/ui/bubble.js';
import { replaceGlobals } from '../support/globals.mjs';

class FakeElement extends EventTarget {
  textContent = '';
  hidden = false;
  isHovered = false;
  /** @type {FakeElement[]} */
  children = [];
  /** @type {Record<string, FakeElement>} */
  parts = {};
  remove = () => {};
  focus = () => {};
  contains = () => false;
  append = (/** @type {FakeElement} */ child) => {
    this.children.push(child);
    child.remove = () => this.children.splice(this.children.indexOf(child), 1);
  };
  matches = () => this.isHovered;
  querySelector = (/** @type {string} */ selector) => this.parts[selector] ?? null;
}
class FakeTemplate extends FakeElement {
  content = {
    cloneNode: () => {
      const bubble = new FakeElement();
      bubble.parts = { '.text': new FakeElement(), button: new FakeElement() };
      return { firstElementChild: bubble };
    },
  };
}

/** @param {import('node:test').TestContext} t */
function setUp(t) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const area = new FakeElement();
  const document = Object.assign(new EventTarget(), {
    activeElement: null,
    getElementById: (/** @type {string} */ id) => (id === 'bubble-area' ? area : id === 'bubble-template' ? new FakeTemplate() : new FakeElement()),
  });
  replaceGlobals(t, { document, HTMLElement: FakeElement, HTMLTemplateElement: FakeTemplate, HTMLButtonElement: FakeElement });
  return { area, showBubble: createBubble() };
}

test('a bubble with an action disappears after 8 s', (t) => {
  const { area, showBubble } = setUp(t);
  showBubble('Removed.', { label: 'Undo', run: () => {} });
  t.mock.timers.tick(7_900);
  assert.equal(area.children.length, 1);
  t.mock.timers.tick(100);
  assert.equal(area.children.length, 0);
});

test('a bubble under the pointer stays while the server can undo', (t) => {
  const { area, showBubble } = setUp(t);
  showBubble('Removed.', { label: 'Undo', run: () => {} });
  for (const bubble of area.children) bubble.isHovered = true;
  t.mock.timers.tick(8_000);
  assert.equal(area.children.length, 1);
  t.mock.timers.tick(1_500);
  assert.equal(area.children.length, 0);
});

test('a new bubble replaces the shown one', (t) => {
  const { area, showBubble } = setUp(t);
  showBubble('Removed.', { label: 'Undo', run: () => {} });
  t.mock.timers.tick(7_000);
  showBubble('Moved.', { label: 'Undo', run: () => {} });
  t.mock.timers.tick(7_000);
  assert.equal(area.children.length, 1);
});
