// JSON Patch (RFC 6902): each operation, and malformed patches.

import assert from 'node:assert/strict';
import test from 'node:test';
import { PatchError, applyPatch } from '../../../static/js/room/json-patch.js';

const applicable = [
  ['adds to an object', { a: 1 }, [{ op: 'add', path: '/b', value: 2 }], { a: 1, b: 2 }],
  ['replaces a member by adding it again', { a: 1 }, [{ op: 'add', path: '/a', value: 2 }], { a: 2 }],
  ['inserts into an array', [1, 3], [{ op: 'add', path: '/1', value: 2 }], [1, 2, 3]],
  ['appends to an array', [1], [{ op: 'add', path: '/-', value: 2 }], [1, 2]],
  ['adds null', {}, [{ op: 'add', path: '/a', value: null }], { a: null }],
  ['removes from an object', { a: 1, b: 2 }, [{ op: 'remove', path: '/a' }], { b: 2 }],
  ['removes from an array', [1, 2, 3], [{ op: 'remove', path: '/1' }], [1, 3]],
  ['replaces a nested value', { a: [{ b: 1 }] }, [{ op: 'replace', path: '/a/0/b', value: 2 }], { a: [{ b: 2 }] }],
  ['replaces the whole document', { a: 1 }, [{ op: 'replace', path: '', value: [1] }], [1]],
  ['moves forward in an array', [1, 2, 3, 4], [{ op: 'move', from: '/0', path: '/2' }], [2, 3, 1, 4]],
  ['moves backward in an array', [1, 2, 3, 4], [{ op: 'move', from: '/3', path: '/1' }], [1, 4, 2, 3]],
  ['copies a value', { a: [1] }, [{ op: 'copy', from: '/a', path: '/b' }], { a: [1], b: [1] }],
  ['passes a test of an equal value', { a: { x: 1, y: [2] } }, [{ op: 'test', path: '/a', value: { y: [2], x: 1 } }], { a: { x: 1, y: [2] } }],
  ['unescapes keys', { 'a/b': 1, 'm~n': 2 }, [{ op: 'replace', path: '/a~1b', value: 3 }, { op: 'remove', path: '/m~0n' }], { 'a/b': 3 }],
  ['adds the key __proto__ as an ordinary member', {}, [{ op: 'add', path: '/__proto__', value: 1 }], JSON.parse('{"__proto__":1}')],
];

for (const [name, before, patch, after] of applicable) {
  test(`a patch ${name}`, () => {
    const original = structuredClone(before);
    assert.deepEqual(applyPatch(before, patch), after);
    assert.deepEqual(before, original, 'the input document must not change');
  });
}

const inapplicable = [
  ['replaces a missing member', { a: 1 }, { op: 'replace', path: '/b', value: 2 }],
  ['removes an inherited member', { a: 1 }, { op: 'remove', path: '/toString' }],
  ['adds beyond the end of an array', [1], { op: 'add', path: '/3', value: 2 }],
  ['has an index with a leading zero', [1, 2], { op: 'remove', path: '/01' }],
  ['removes at “-”', [1], { op: 'remove', path: '/-' }],
  ['adds to a number', { a: 1 }, { op: 'add', path: '/a/b', value: 2 }],
  ['adds without a value', {}, { op: 'add', path: '/a' }],
  ['moves without a from', {}, { op: 'move', path: '/a' }],
  ['moves a value into its own child', { a: { b: 1 } }, { op: 'move', from: '/a', path: '/a/b' }],
  ['tests a different value', { a: 1 }, { op: 'test', path: '/a', value: '1' }],
  ['has a pointer without a slash', { a: 1 }, { op: 'remove', path: 'a' }],
  ['has an unknown operation', {}, { op: 'merge', path: '/a', value: 1 }],
];

for (const [name, before, operation] of inapplicable) {
  test(`a patch fails if it ${name}`, () => {
    assert.throws(() => applyPatch(before, [operation]), PatchError);
  });
}
