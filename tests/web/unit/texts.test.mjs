import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { en } from '../../../static/js/language/en.js';
import { setTexts, text } from '../../../static/js/language/texts.js';

afterEach(() => setTexts('en', en));

test('a count selects the plural form and is written as the language writes it', () => {
  assert.equal(text('queue.trackCount', { count: 1 }), '1 track');
  assert.equal(text('queue.trackCount', { count: 12_000 }), '12,000 tracks');
  setTexts('pl', { 'queue.trackCount': { one: '{count} utwór', few: '{count} utwory', many: '{count} utworów', other: '{count} utworu' } });
  assert.equal(text('queue.trackCount', { count: 3 }), '3 utwory');
  assert.equal(text('queue.trackCount', { count: 5 }), '5 utworów');
});

test('a text that the language lacks is shown in English', () => {
  setTexts('pl', {});
  assert.equal(text('queue.trackCount', { count: 5 }), '5 tracks');
});
