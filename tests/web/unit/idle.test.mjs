import assert from 'node:assert/strict';
import test from 'node:test';
import { idles } from '../../../static/js/idle.js';
import { barrier, playing, room } from '../support/rooms.mjs';

const sound = { room: playing(0), hidden: true, able: true, quietMs: 1_500 };
const cases = [
  ['a hidden page without sound plays silence while the room plays', {}, true],
  ['and while somebody is waited for', { room: room({ barrier: barrier() }) }, true],
  ['not within a change of tracks', { quietMs: 400 }, false],
  ['not while it can be seen', { hidden: false }, false],
  ['not as a remote control, nor where sound needs a tap', { able: false }, false],
  ['not in a paused room', { room: room() }, false],
  ['not at the door', { room: null }, false],
];
for (const [name, over, expected] of cases) test(name, () => assert.equal(idles({ ...sound, ...over }), expected));
