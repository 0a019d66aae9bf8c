// Words that the page's scripts show are from the table of texts: no string with several words is left in the scripts, and no string
// with letters is given to what shows text.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const SCRIPTS = fileURLToPath(new URL('../../../static/js/', import.meta.url));

/** Functions that show an argument, and the index of that argument. */
const SHOWING_FUNCTIONS = new Map(Object.entries({ setText: 1, setMessage: 1, showMessage: 0, show: 0, status: 0 }));
const SHOWING_PROPERTIES = ['textContent', 'innerText', 'placeholder', 'title', 'alt', 'ariaLabel'];
/** Of `setAttribute(element, name, value)`. */
const SHOWING_ATTRIBUTES = ['aria-label', 'aria-valuetext', 'title', 'placeholder', 'alt'];

/** Strings with several words which the page does not show. */
const OTHER_STRINGS = /^(lockstep\b|Cache Storage$|\(|[.#[a-z-]+ [.#[:a-z-]+(\.|$|\[))/;

/** @param {string} text */
const hasSeveralWords = (text) => /\p{L}{2,}[,;:]? \p{L}{2,}/u.test(text) && !OTHER_STRINGS.test(text);

/** Whether a string is the message of an error, which only the console shows. @param {ts.Node} node @returns {boolean} */
const isErrorMessage = (node) => {
  for (let parent = node.parent; parent; parent = parent.parent) if (ts.isNewExpression(parent) && /Error$/.test(parent.expression.getText())) return true;
  return false;
};

/** @param {ts.Node} node @returns {string | null} the text of a string or of the fixed parts of a template */
function stringOf(node) {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isTemplateExpression(node)) return [node.head, ...node.templateSpans.map(({ literal }) => literal)].map(({ text }) => text).join('…');
  return null;
}

/** Strings directly in an expression, also in its branches. @param {ts.Node} node @returns {string[]} */
function shownStrings(node) {
  const own = stringOf(node);
  if (own !== null) return [own];
  if (ts.isConditionalExpression(node)) return [...shownStrings(node.whenTrue), ...shownStrings(node.whenFalse)];
  if (ts.isBinaryExpression(node)) return [...shownStrings(node.left), ...shownStrings(node.right)];
  return [];
}

/** @param {ts.Node} node @returns {string[]} strings that the node shows */
function stringsShownBy(node) {
  if (ts.isCallExpression(node)) {
    const name = ts.isPropertyAccessExpression(node.expression) ? node.expression.name.text : node.expression.getText();
    const shown = node.arguments[SHOWING_FUNCTIONS.get(name) ?? Infinity];
    // In sync-figures.js, the first argument of `show` is an id.
    if (shown) return shownStrings(shown).filter((text) => !/^[a-z]+(-[a-z]+)+$/.test(text));
    const [, attribute, value] = node.arguments;
    if (name === 'setAttribute' && attribute && value && SHOWING_ATTRIBUTES.includes(stringOf(attribute) ?? '')) return shownStrings(value);
  }
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.EqualsToken && ts.isPropertyAccessExpression(node.left) && SHOWING_PROPERTIES.includes(node.left.name.text)) {
    return shownStrings(node.right);
  }
  return [];
}

/** @param {string} source @returns {string[]} */
function wordsIn(source) {
  const file = ts.createSourceFile('script.js', source, ts.ScriptTarget.Latest, true, ts.ScriptKind.JS);
  /** @type {string[]} */
  const found = [];
  const visit = (/** @type {ts.Node} */ node) => {
    found.push(...stringsShownBy(node).filter((text) => /\p{L}{2}/u.test(text.replace(/\u00a0?ms\b/, '')) && text !== 'Lockstep'));
    const text = stringOf(node);
    if (text !== null && hasSeveralWords(text) && !isErrorMessage(node)) found.push(text);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

test('no script contains words to show', async () => {
  const names = (await readdir(SCRIPTS, { recursive: true })).filter((name) => name.endsWith('.js') && !/^language\/(en\.js|tables)/.test(name));
  assert.ok(names.length > 100);
  for (const name of names) assert.deepEqual(wordsIn(await readFile(SCRIPTS + name, 'utf8')), [], name);
});

test('words to show are found', () => {
  assert.deepEqual(wordsIn("setText(label, isOn ? 'On' : text('dock.play')); button.title = `Volume of ${name}`;"), ['On', 'Volume of …', 'Volume of …']);
  assert.deepEqual(wordsIn("setAttribute(button, 'aria-label', 'Mute'); setAttribute(button, 'aria-pressed', 'true'); throw new Error('not this one');"), ['Mute']);
});
