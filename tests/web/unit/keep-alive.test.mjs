// When a silent page must play silence so that the system does not suspend the page.

import assert from 'node:assert/strict';
import test from 'node:test';
import { needsKeepAlive } from '../../../static/js/sound/keep-alive.js';
import { barrier, playing, room } from '../support/rooms.mjs';

const inputs = { room: playing(0), isHidden: true, canPlaySound: true, silentMs: 1_500 };
const cases = [
  ['a hidden silent page needs keep-alive while the room plays', {}, true],
  ['a hidden silent page needs keep-alive during a barrier', { room: room({ barrier: barrier() }) }, true],
  ['no keep-alive during a track change', { silentMs: 400 }, false],
  ['no keep-alive on a visible page', { isHidden: false }, false],
  ['no keep-alive on a remote control or a locked phone', { canPlaySound: false }, false],
  ['no keep-alive in a paused room', { room: room() }, false],
  ['no keep-alive before the phone has joined', { room: null }, false],
];
for (const [name, overrides, expected] of cases) test(name, () => assert.equal(needsKeepAlive({ ...inputs, ...overrides }), expected));
