// The parser of event streams.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createEventParser } from '../../../static/js/net/sse.js';

const cases = [
  ['one message', 'data: {"a":1}\n\n', ['{"a":1}']],
  ['fields other than data', 'retry: 1000\n\nid: 7\ndata: x\n\n', ['x']],
  ['heartbeat comments', ':\n\n:\n\n', []],
  ['an event without data', 'id: 7\nretry: 10\n\n', []],
  ['several messages', 'data: x\n\ndata: y\n\n', ['x', 'y']],
  ['data of several lines', 'data: x\ndata:y\n\n', ['x\ny']],
  ['CR LF line ends', 'data: x\r\n\r\ndata: y\r\n\r\n', ['x', 'y']],
  ['an incomplete message', 'data: x\n\ndata: y\n', ['x']],
];
for (const [name, text, messages] of cases) {
  test(`the parser handles ${name}, whole or by character`, () => {
    assert.deepEqual(createEventParser()(text), messages);
    const parse = createEventParser();
    assert.deepEqual([...text].flatMap((character) => parse(character)), messages);
  });
}
