import assert from 'node:assert/strict';
import test from 'node:test';
import { anchorKey, roomPosition } from '../../../static/js/align.js';
import { foresee, shownRoom } from '../../../static/js/foresee.js';
import { currentTrack, nextUp, wantsToPlay } from '../../../static/js/state.js';
import { barrier, playing, room } from '../support/rooms.mjs';

/** What a person sees of a room whose tracks last 60 s, 9 s after the page was opened. */
function seen(shown) {
  const plays = wantsToPlay(shown) ? 'plays' : 'holds';
  return `${plays} ${currentTrack(shown)} at ${roomPosition(shown, 0, 9_000, 60)}, then ${nextUp(shown)}`;
}

const paused = room({ playState: { mode: 'paused', anchorPositionSec: 5 } });
const waiting = room({ barrier: barrier() });
const sounding = playing(2_000);
const advanced = { ...waiting, queueIndex: 2, barrier: barrier({ trackId: 'c' }) };

const play = { name: 'play', positionSec: 5, trackId: 'b' };
const pause = { name: 'pause', positionSec: 7, trackId: 'b' };
const next = (trackId) => ({ name: 'next', trackId });
const seek = (positionSec, trackId = 'b') => ({ name: 'seek', positionSec, trackId });
const nudge = (trackId) => ({ name: 'nudge', trackId });
const startNow = { name: 'start-now', trackId: 'b' };

/** [what is pressed, the room that is known, the presses, what is seen] */
const cases = [
  ['nothing, and it is as it is', sounding, [], 'plays b at 7, then c'],
  ['Play', paused, [play], 'plays b at 5, then c'],
  ['Play, which the room has heard of', sounding, [play], 'plays b at 7, then c'],
  ['Pause', sounding, [pause], 'holds b at 7, then c'],
  ['Pause while somebody is waited for', waiting, [{ ...pause, positionSec: 0 }], 'holds b at 0, then c'],
  ['a place', sounding, [seek(33)], 'plays b at 33, then c'],
  ['a place in a track that is over', advanced, [seek(33)], 'plays c at 0, then d'],
  ['Next', sounding, [next('b')], 'plays c at 0, then d'],
  ['Next, which the room has heard of', advanced, [next('b')], 'plays c at 0, then d'],
  ['Next at the end of the ring', { ...paused, queueIndex: 4 }, [next('e')], 'plays a at 0, then b'],
  ['a nudge', sounding, [nudge('a')], 'plays b at 7, then a'],
  ['a nudge of what plays', sounding, [nudge('b')], 'plays b at 7, then c'],
  ['Start now', waiting, [startNow], 'plays b at 0, then c'],

  ['Play and Pause', paused, [play, pause], 'holds b at 7, then c'],
  ['Play and Pause, and the room has heard of Play', sounding, [play, pause], 'holds b at 7, then c'],
  ['Play, Pause and Play', paused, [play, pause, play], 'plays b at 7, then c'],
  ['Next three times', sounding, [next('b'), next('c'), next('d')], 'plays e at 0, then a'],
  ['Next three times, and the room has heard of one', advanced, [next('b'), next('c'), next('d')], 'plays e at 0, then a'],
  ['a nudge and Next', sounding, [nudge('a'), next('b')], 'plays a at 0, then c'],
  ['Next and a place in the next track', sounding, [next('b'), seek(33, 'c')], 'plays c at 33, then d'],
  ['two places', sounding, [seek(33), seek(44)], 'plays b at 44, then c'],
];
for (const [name, known, presses, sight] of cases) {
  test(`pressed: ${name}; seen: ${sight}`, () => assert.equal(seen(foresee(known, presses)), sight));
}

const ahead = (trackId, atMs) => ({ trackId, after: 'b', anchorKey: anchorKey(sounding), atMs });
const alone = [
  ['the room itself without it', null, [], 'plays b at 7, then c'],
  ['the next track, and the one after it', ahead('c', 5_000), [], 'plays c at 4, then d'],
  ['the track after that one', ahead('d', 6_000), [], 'plays d at 3, then e'],
  ['the first after the last', ahead('a', 6_000), [], 'plays a at 3, then b'],
  ['its start while that is still to come', ahead('c', 9_500), [], 'plays c at 0, then d'],
  ['a press on it', ahead('c', 5_000), [next('c')], 'plays d at 0, then e'],
  ['the room itself where the track is gone', ahead('z', 5_000), [], 'plays b at 7, then c'],
];
for (const [name, overlay, presses, sight] of alone) {
  test(`of what a phone plays by itself is seen: ${name}`, () => {
    assert.equal(seen(shownRoom({ room: sounding, sound: { overlay }, presses })), sight);
  });
}
