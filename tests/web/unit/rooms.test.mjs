// The addresses of rooms, and the list of rooms.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { messageText, text } from '../../../static/js/language/texts.js';
import { createRoomActions } from '../../../static/js/app/room-actions.js';
import { ApiError } from '../../../static/js/net/http.js';
import { refreshRooms } from '../../../static/js/net/rooms-api.js';
import { HOUSE, roomIdAt, roomPageUrl, roomPath } from '../../../static/js/net/room-address.js';
import { hasSeveralRooms, playedText, roomName, whyUnavailable } from '../../../static/js/room/room-list.js';
import { createStore } from '../../../static/js/store.js';

test('a room has its requests and its page below the house', () => {
  assert.equal(roomPath('/play', HOUSE), '/play');
  assert.equal(roomPath('/events?role=remote', 'k3'), '/rooms/k3/events?role=remote');
  assert.equal(roomPageUrl(HOUSE, 'http://10.0.0.2:8080/'), 'http://10.0.0.2:8080/');
  assert.equal(roomPageUrl('k3', 'http://10.0.0.2/music/'), 'http://10.0.0.2/music/rooms/k3/');
});

test('the address of a page says which room it is in', () => {
  const cases = [
    ['http://10.0.0.2/', 'http://10.0.0.2/', HOUSE],
    ['http://10.0.0.2/?screen', 'http://10.0.0.2/', HOUSE],
    ['http://10.0.0.2/rooms/k3/?screen', 'http://10.0.0.2/', 'k3'],
    ['http://10.0.0.2/rooms/k3/#queue', 'http://10.0.0.2/', 'k3'],
    ['http://10.0.0.2/music/rooms/k3/', 'http://10.0.0.2/music/', 'k3'],
    // The base path of the server looks like a room.
    ['http://10.0.0.2/rooms/k3/', 'http://10.0.0.2/rooms/k3/', HOUSE],
    ['http://10.0.0.2/rooms/k3/rooms/k4/', 'http://10.0.0.2/rooms/k3/', 'k4'],
  ];
  for (const [url, houseUrl, expected] of cases) assert.equal(roomIdAt(/** @type {string} */ (url), /** @type {string} */ (houseUrl)), expected, url);
});

const row = (/** @type {object} */ change) => /** @type {any} */ ({ roomId: 'k3', name: 'Garden', locked: false, listeners: 0, current: null, mode: 'paused', ...change });

test('rooms are named by the list, and by their id without it', () => {
  assert.equal(roomName([row({})], 'k3'), 'Garden');
  assert.equal(roomName([], 'k3'), 'k3');
  assert.equal(roomName([row({ roomId: HOUSE, name: 'House' })], HOUSE), text('rooms.house'));
  assert.equal(roomName([row({ roomId: HOUSE, name: 'Kitchen' })], HOUSE), 'Kitchen');
  assert.deepEqual([hasSeveralRooms([]), hasSeveralRooms([row({})]), hasSeveralRooms([row({}), row({})])], [false, false, true]);
});

test('what a room plays is named as far as it is known', () => {
  const played = (/** @type {object | null} */ current) => playedText(row({ current }));
  assert.equal(played({ trackId: 'a', title: 'Porch Swing', artist: 'Porch Quartet' }), 'Porch Swing · Porch Quartet');
  assert.equal(played({ trackId: 'a', title: 'Porch Swing', artist: null }), 'Porch Swing');
  assert.equal(played({ trackId: 'a', title: null, artist: null }), '');
  assert.equal(played(null), '');
});

test('a row says why its room cannot be entered', () => {
  const sentence = (/** @type {object} */ change) => {
    const key = whyUnavailable(row(change));
    return key && text(key);
  };
  assert.match(sentence({ damaged: true }) ?? '', /is damaged/);
  assert.equal(sentence({ opening: true }), 'The server cannot read the file of this room yet. The room opens by itself.');
  assert.equal(sentence({}), null);
});

test('a room that cannot be made yet is not said to open', async (t) => {
  const made = async (/** @type {string} */ code) => {
    t.mock.method(globalThis, 'fetch', async () => Response.json({ code, detail: '' }, { status: 503 }));
    /** @type {string[]} */
    const messages = [];
    const actions = createRoomActions(/** @type {any} */ ({ showMessage: (/** @type {string} */ message) => messages.push(message) }));
    return [await actions.make('Garden', null), ...messages];
  };
  assert.deepEqual(await made('room-opening'), [false, text('rooms.notRead')]);
  assert.deepEqual(await made('name-taken'), [false, text('problem.name-taken')]);
});

test('an answer about the password is shown at its field', async () => {
  const enter = async (/** @type {ApiError} */ error, /** @type {string | undefined} */ password) => {
    /** @type {string[]} */
    const bubbles = [];
    const actions = createRoomActions(/** @type {any} */ ({ enterRoom: () => Promise.reject(error), showMessage: (/** @type {string} */ message) => bubbles.push(message) }));
    const { outcome, message } = await actions.enter('k3', password);
    return [outcome, message && messageText(message), bubbles];
  };
  assert.deepEqual(await enter(new ApiError(403, '', 0, 'password-needed'), undefined), ['needs-password', null, []]);
  assert.deepEqual(await enter(new ApiError(403, '', 0, 'wrong-password'), 'tomato'), ['needs-password', 'That is not the password', []]);
  assert.deepEqual(await enter(new ApiError(429, '', 42, 'too-many-passwords'), 'tomato'), ['needs-password', 'Too many attempts with a password. Wait 42 seconds.', []]);
  assert.deepEqual(await enter(new ApiError(404, '', 0, 'no-such-room'), 'tomato'), ['failed', null, ['There is no such room any more']]);
});

test('an older response does not replace a list that the stream has sent', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const store = createStore(/** @type {any} */ ({ rooms: [] }));
  const [garden, terrace] = [{ roomId: 'k3' }, { roomId: 'k4' }];
  const responses = [[garden], [garden, terrace]];
  t.mock.method(globalThis, 'fetch', async () => {
    // The list of the stream arrives during the first request.
    if (responses.length === 2) store.update({ rooms: /** @type {any} */ ([garden, terrace]) });
    return Response.json(responses.shift());
  });
  await refreshRooms(store);
  assert.deepEqual(store.get().rooms, [garden, terrace]);
});
