// The tables of texts: each language has the same keys, placeholders and the plural forms that it needs, and the English texts of
// index.html are those of the English table.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { en } from '../../../static/js/language/en.js';
import { LANGUAGES } from '../../../static/js/language/languages.js';

const STATIC = fileURLToPath(new URL('../../../static/', import.meta.url));

/** @typedef {import('../../../static/js/language/texts.js').TextEntry} TextEntry */

/** @param {string} language @returns {Promise<Record<string, TextEntry>>} */
const loadTable = async (language) => (language === 'en' ? en : (await import(`../../../static/js/language/tables/${language}.js`))[language]);

/** @param {TextEntry} entry */
const formsOf = (entry) => (typeof entry === 'string' ? [entry] : Object.values(entry));
/** @param {string} text */
const placeholdersIn = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

test('there is a table for each language, and for no other', async () => {
  const files = await readdir(`${STATIC}js/language/tables`);
  assert.deepEqual(files.map((name) => name.replace('.js', '')).sort(), Object.keys(LANGUAGES).filter((language) => language !== 'en').sort());
});

for (const language of Object.keys(LANGUAGES)) {
  test(`${language}: the list of what is next is not called as its button`, async () => {
    const table = await loadTable(language);
    for (const key of ['queue.playNext', 'menu.playNext', 'album.playNext']) assert.notEqual(table[key], table['queue.upNext'], key);
  });

  test(`${language}: the keys and their order are those of English`, async () => {
    assert.deepEqual(Object.keys(await loadTable(language)), Object.keys(en));
  });

  test(`${language}: every text has the placeholders of English`, async () => {
    for (const [key, entry] of Object.entries(await loadTable(language))) {
      const [englishForm = ''] = formsOf(en[key]);
      for (const form of formsOf(entry)) assert.deepEqual(placeholdersIn(form), placeholdersIn(englishForm), key);
    }
  });

  test(`${language}: every count has exactly the plural forms of the language`, async () => {
    const { pluralCategories } = new Intl.PluralRules(language).resolvedOptions();
    for (const [key, entry] of Object.entries(await loadTable(language))) {
      if (typeof en[key] === 'string') assert.equal(typeof entry, 'string', key);
      else assert.deepEqual(Object.keys(entry).sort(), [...pluralCategories].sort(), key);
    }
  });

  test(`${language}: no text is empty, and none begins or ends with a space by mistake`, async () => {
    for (const [key, entry] of Object.entries(await loadTable(language))) {
      if (key === 'list.separator') continue;
      for (const form of formsOf(entry)) assert.ok(form.trim() === form && form !== '', key);
    }
  });
}

test('few texts of a language are the same as in English', async () => {
  for (const language of Object.keys(LANGUAGES).filter((name) => name !== 'en')) {
    const table = await loadTable(language);
    // A text of placeholders alone has no words.
    const hasWords = (/** @type {string} */ key) => /\p{L}/u.test(JSON.stringify(en[key]).replace(/\{\w+\}/g, ''));
    const same = Object.keys(en).filter((key) => hasWords(key) && JSON.stringify(table[key]) === JSON.stringify(en[key]));
    assert.ok(same.length < 14, `${language}: ${same}`);
  }
});

/** The marks of index.html: key, the English text of the page, and what the mark translates. */
async function marksOfPage() {
  const html = await readFile(`${STATIC}index.html`, 'utf8');
  const unescape = (/** @type {string} */ value) => value.replace(/&amp;/g, '&').replace(/&quot;/g, '"').replace(/&lt;/g, '<');
  const tags = [...html.matchAll(/<(\w+)((?:\s+[\w-]+(?:="[^"]*")?)*)\s*\/?>([^<]*)/g)];
  return tags.flatMap(([, tag, attributeText = '', content = '']) => {
    const attributes = new Map([...attributeText.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, unescape(value)]));
    const translated = { 'data-text': unescape(content), 'data-label': attributes.get('aria-label'), 'data-placeholder': attributes.get('placeholder') };
    return Object.entries(translated).flatMap(([mark, english]) => (attributes.has(mark) ? [{ tag, mark, key: attributes.get(mark), english }] : []));
  });
}

test('the English texts of index.html are those of the table', async () => {
  const marks = await marksOfPage();
  assert.ok(marks.length > 70, `${marks.length} marks`);
  for (const { key, english, mark } of marks) assert.equal(english, en[key], `${mark}="${key}"`);
});

test('every text, label and placeholder of index.html has a mark', async () => {
  const html = (await readFile(`${STATIC}index.html`, 'utf8')).replace(/^.*?<body/s, '<body').replace(/<noscript>.*?<\/noscript>/s, '');
  const faults = [...html.matchAll(/<(\w+)([^>]*)>([^<]*)/g)].flatMap(([whole, tag, attributes = '', content = '']) => {
    const hasWords = (/** @type {string} */ value) => /\p{L}{2}/u.test(value) && value.trim() !== 'Lockstep';
    const isUnmarked = (/** @type {string} */ name, /** @type {string} */ mark) => new RegExp(`\\s${name}="`).test(attributes) && !attributes.includes(mark);
    const isMs = /^\d+ ms$/.test(content);
    const isFault = (hasWords(content) && !isMs && !attributes.includes('data-text=')) || isUnmarked('aria-label', 'data-label=') || isUnmarked('title', 'data-title=') || (isUnmarked('placeholder', 'data-placeholder=') && !attributes.includes('placeholder="······"'));
    return isFault ? [`<${tag}: ${whole}`] : [];
  });
  assert.deepEqual(faults, []);
});

test('no style depends on a text', async () => {
  const sheets = ['app.css', ...(await readdir(`${STATIC}css`)).map((name) => `css/${name}`)];
  for (const sheet of sheets) {
    const css = await readFile(`${STATIC}${sheet}`, 'utf8');
    assert.doesNotMatch(css, /\[(aria-label|aria-valuetext|placeholder|title|alt)\b/, sheet);
    assert.doesNotMatch(css, /content:\s*["'][^"']*\p{L}{2}/u, sheet);
  }
});

test('every key of the table is used by the page', async () => {
  const scripts = (await readdir(`${STATIC}js`, { recursive: true })).filter((name) => name.endsWith('.js') && !name.startsWith('language/'));
  const sources = await Promise.all([...scripts.map((name) => `js/${name}`), 'index.html'].map((name) => readFile(STATIC + name, 'utf8')));
  const source = sources.join('\n');
  // These keys are composed: `problem.` and the code of a problem, `ordinal.` and a category of numbers, `comparison.` and the method of a comparison.
  const isComposed = (/** @type {string} */ key) => /^(problem\.|ordinal\.|comparison\.(ear|microphone|server)$)/.test(key);
  assert.deepEqual(Object.keys(en).filter((key) => !isComposed(key) && !source.includes(`'${key}'`) && !source.includes(`"${key}"`)), []);
});
