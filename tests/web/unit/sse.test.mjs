import assert from 'node:assert/strict';
import test from 'node:test';
import { createEventParser } from '../../../static/js/sse.js';

const cases = [
  ['a message', 'data: {"a":1}\n\n', ['{"a":1}']],
  ['what the server sends first', 'retry: 1000\n\nid: 7\ndata: x\n\n', ['x']],
  ['a heartbeat is no message', ':\n\n:\n\n', []],
  ['fields without a message', 'id: 7\nretry: 10\n\n', []],
  ['several messages', 'data: x\n\ndata: y\n\n', ['x', 'y']],
  ['data of several lines', 'data: x\ndata:y\n\n', ['x\ny']],
  ['lines ended as Windows does', 'data: x\r\n\r\ndata: y\r\n\r\n', ['x', 'y']],
  ['one that is not over yet', 'data: x\n\ndata: y\n', ['x']],
];
for (const [name, text, messages] of cases) {
  test(`the event stream, whole and by the character: ${name}`, () => {
    assert.deepEqual(createEventParser()(text), messages);
    assert.deepEqual([...text].flatMap(byCharacter()), messages);
  });
}

function byCharacter() {
  const parse = createEventParser();
  return (/** @type {string} */ character) => parse(character);
}
