import assert from 'node:assert/strict';
import test from 'node:test';
import { PatchError, applyPatch } from '../../../static/js/jsonpatch.js';

const fits = [
  ['adds to an object', { a: 1 }, [{ op: 'add', path: '/b', value: 2 }], { a: 1, b: 2 }],
  ['adds over what is there', { a: 1 }, [{ op: 'add', path: '/a', value: 2 }], { a: 2 }],
  ['adds into a list', [1, 3], [{ op: 'add', path: '/1', value: 2 }], [1, 2, 3]],
  ['adds at a list’s end', [1], [{ op: 'add', path: '/-', value: 2 }], [1, 2]],
  ['adds null', {}, [{ op: 'add', path: '/a', value: null }], { a: null }],
  ['removes from an object', { a: 1, b: 2 }, [{ op: 'remove', path: '/a' }], { b: 2 }],
  ['removes from a list', [1, 2, 3], [{ op: 'remove', path: '/1' }], [1, 3]],
  ['replaces deep inside', { a: [{ b: 1 }] }, [{ op: 'replace', path: '/a/0/b', value: 2 }], { a: [{ b: 2 }] }],
  ['replaces the whole', { a: 1 }, [{ op: 'replace', path: '', value: [1] }], [1]],
  ['moves forward in a list', [1, 2, 3, 4], [{ op: 'move', from: '/0', path: '/2' }], [2, 3, 1, 4]],
  ['moves backward in a list', [1, 2, 3, 4], [{ op: 'move', from: '/3', path: '/1' }], [1, 4, 2, 3]],
  ['copies', { a: [1] }, [{ op: 'copy', from: '/a', path: '/b' }], { a: [1], b: [1] }],
  ['tests what is equal', { a: { x: 1, y: [2] } }, [{ op: 'test', path: '/a', value: { y: [2], x: 1 } }], { a: { x: 1, y: [2] } }],
  ['reads escaped keys', { 'a/b': 1, 'm~n': 2 }, [{ op: 'replace', path: '/a~1b', value: 3 }, { op: 'remove', path: '/m~0n' }], { 'a/b': 3 }],
  ['takes a key that objects have by nature', {}, [{ op: 'add', path: '/__proto__', value: 1 }], JSON.parse('{"__proto__":1}')],
];

for (const [name, before, patch, after] of fits) {
  test(`a patch ${name}`, () => {
    const original = structuredClone(before);
    assert.deepEqual(applyPatch(before, patch), after);
    assert.deepEqual(before, original, 'what went in is as it was');
  });
}

const misfits = [
  ['replaces what is not there', { a: 1 }, { op: 'replace', path: '/b', value: 2 }],
  ['removes what is not there', { a: 1 }, { op: 'remove', path: '/toString' }],
  ['adds past a list’s end', [1], { op: 'add', path: '/3', value: 2 }],
  ['has an index with a leading zero', [1, 2], { op: 'remove', path: '/01' }],
  ['removes at “-”', [1], { op: 'remove', path: '/-' }],
  ['adds below a number', { a: 1 }, { op: 'add', path: '/a/b', value: 2 }],
  ['adds without a value', {}, { op: 'add', path: '/a' }],
  ['moves without a from', {}, { op: 'move', path: '/a' }],
  ['moves a thing into itself', { a: { b: 1 } }, { op: 'move', from: '/a', path: '/a/b' }],
  ['tests what differs', { a: 1 }, { op: 'test', path: '/a', value: '1' }],
  ['has a pointer without a slash', { a: 1 }, { op: 'remove', path: 'a' }],
  ['has an operation nobody knows', {}, { op: 'merge', path: '/a', value: 1 }],
];

for (const [name, before, operation] of misfits) {
  test(`a patch does not fit when it ${name}`, () => {
    assert.throws(() => applyPatch(before, [operation]), PatchError);
  });
}
