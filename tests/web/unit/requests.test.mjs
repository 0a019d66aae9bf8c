// Messages for failed requests.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createAttempt } from '../../../static/js/app/requests.js';
import { en } from '../../../static/js/language/en.js';
import { setTexts } from '../../../static/js/language/texts.js';
import { ApiError, describeError, request } from '../../../static/js/net/http.js';

const SERVER_SENTENCE = 'the server’s own words';

const errors = [
  ['a wrong code', new ApiError(403, SERVER_SENTENCE, 0, 'wrong-pairing-code'), 'Wrong code. The code is on the server’s screen.'],
  ['a rate limit with a time', new ApiError(429, SERVER_SENTENCE, 7, 'too-many-attempts'), 'Too many attempts. Wait 7 seconds.'],
  ['a rate limit without a time', new ApiError(429, SERVER_SENTENCE, 0, 'too-many-attempts'), 'Too many attempts. Wait 10 seconds.'],
  ['a sentence with details', new ApiError(500, SERVER_SENTENCE, 0, 'state-damaged'), SERVER_SENTENCE],
  ['a code that the page does not know', new ApiError(503, SERVER_SENTENCE, 0, 'from-a-newer-server'), SERVER_SENTENCE],
  ['a refusal without a code', new ApiError(403, SERVER_SENTENCE, 0), SERVER_SENTENCE],
  ['a refusal without a problem document', new ApiError(502, '', 0), 'The server answered 502'],
  ['a network failure', new TypeError('failed to fetch'), 'The server cannot be reached. Try again in a moment.'],
];
for (const [name, error, sentence] of errors) {
  test(`the message for ${name}`, () => assert.equal(describeError(error), sentence));
}

test('a refusal is described in the language of the page', (t) => {
  t.after(() => setTexts('en', en));
  setTexts('de', { 'problem.no-barrier': 'Es wird auf niemanden gewartet' });
  assert.equal(describeError(new ApiError(422, SERVER_SENTENCE, 0, 'no-barrier')), 'Es wird auf niemanden gewartet');
  assert.equal(describeError(new ApiError(422, SERVER_SENTENCE, 0, 'from-a-newer-server')), SERVER_SENTENCE);
});

test('requests go to paths relative to the page, and errors carry the code', async (t) => {
  const fetched = t.mock.method(globalThis, 'fetch', async () => Response.json({ code: 'some-code', detail: 'No' }, { status: 403 }));
  await assert.rejects(request('/code', {}), { status: 403, code: 'some-code', message: 'No' });
  assert.equal(fetched.mock.calls[0].arguments[0], './code');
});

test('an attempt shows a message only if its request fails', async () => {
  const messages = [];
  const attempt = createAttempt((text) => messages.push(text));
  assert.equal(await attempt(Promise.resolve()), true);
  assert.deepEqual(messages, []);
  assert.equal(await attempt(Promise.reject(new ApiError(503, SERVER_SENTENCE, 0))), false);
  assert.deepEqual(messages, [SERVER_SENTENCE]);
});

for (const status of [403, 429]) {
  test(`an attempt other than pairing shows the server’s sentence for status ${status}`, async () => {
    const messages = [];
    await createAttempt((text) => messages.push(text))(Promise.reject(new ApiError(status, SERVER_SENTENCE, 5)));
    assert.deepEqual(messages, [SERVER_SENTENCE]);
  });
}
