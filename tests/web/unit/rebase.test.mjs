import assert from 'node:assert/strict';
import test from 'node:test';
import { rebase } from '../../../static/js/rebase.js';
import { barrier, playing, room } from '../support/rooms.mjs';

const paired = (where) => ({ ...where, eventCount: where.eventCount + 1, clients: { ...where.clients, m9: { name: '' } } });
const ready = (where) => ({ ...where, barrier: { ...where.barrier, ready: ['m1', 'm2'] } });
const seeked = (where) => ({ ...where, playState: { ...where.playState, anchorPositionSec: 33 } });
const advanced = (where) => ({ ...where, queueIndex: 2, barrier: barrier({ trackId: 'c' }) });
const paused = room();
const waiting = room({ barrier: barrier() });
const sounding = playing(0);

/** [command, what its presser saw, what is now, the verdict] */
const cases = [
  ['play', paused, paired(paused), 'again'],
  ['play', paused, seeked(paused), 'again'],
  ['play', paused, waiting, 'pointless'],
  ['play', paused, sounding, 'pointless'],
  ['play', paused, advanced(paused), 'stale'],
  ['pause', sounding, paired(sounding), 'again'],
  ['pause', sounding, seeked(sounding), 'again'],
  ['pause', sounding, paused, 'pointless'],
  ['pause', waiting, ready(waiting), 'again'],
  ['pause', waiting, sounding, 'again'],
  ['pause', sounding, advanced(sounding), 'stale'],
  ['seek', sounding, paired(sounding), 'again'],
  ['seek', sounding, seeked(sounding), 'stale'],
  ['seek', sounding, paused, 'stale'],
  ['seek', sounding, advanced(sounding), 'stale'],
  ['seek', waiting, ready(waiting), 'again'],
  ['next', sounding, paired(sounding), 'again'],
  ['next', sounding, paused, 'again'],
  ['next', sounding, advanced(sounding), 'pointless'],
  ['nudge', sounding, paired(sounding), 'again'],
  ['nudge', sounding, { ...sounding, queue: ['a', 'b', 'd', 'c', 'e'] }, 'again'],
  ['nudge', sounding, { ...sounding, queue: ['a', 'b', 'e', 'c', 'd'] }, 'pointless'],
  ['nudge', sounding, { ...sounding, queueIndex: 4 }, 'pointless'],
  ['nudge', sounding, { ...sounding, queue: ['a', 'b', 'c', 'd'] }, 'stale'],
  ['start-now', waiting, { ...waiting, barrier: barrier({ members: ['m2'], ready: [] }) }, 'again'],
  ['start-now', waiting, sounding, 'pointless'],
  ['start-now', waiting, paused, 'stale'],
  ['start-now', waiting, advanced(waiting), 'stale'],
];
cases.forEach(([name, pressed, now, verdict], i) => {
  test(`case ${i + 1}: ${name} is ${verdict}`, () => {
    assert.equal(rebase({ name, trackId: 'e', positionSec: 5 }, pressed, now), verdict);
  });
});
