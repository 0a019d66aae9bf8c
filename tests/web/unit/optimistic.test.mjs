// The displayed room while commands or a predicted start are pending. Test names: the commands, then the displayed state.

import assert from 'node:assert/strict';
import test from 'node:test';
import { anchorKey, roomPositionSec } from '../../../static/js/sound/goal.js';
import { shownRoom, withPendingCommands } from '../../../static/js/room/optimistic.js';
import { currentTrackId, nextUpId, isPlayingOrStarting, queueFromCurrent } from '../../../static/js/room/selectors.js';
import { barrier, playing, room } from '../support/rooms.mjs';

/** The displayed state of a room, at 9 s of the page clock and with tracks of 60 s. */
function describe(displayedRoom) {
  const plays = isPlayingOrStarting(displayedRoom) ? 'plays' : 'holds';
  return `${plays} ${currentTrackId(displayedRoom)} at ${roomPositionSec(displayedRoom, 0, 9_000, 60)}, then ${nextUpId(displayedRoom)}`;
}

const pausedRoom = room({ playState: { mode: 'paused', anchorPositionSec: 5 } });
const waitingRoom = room({ barrier: barrier() });
const playingRoom = playing(2_000);
const nextTrackRoom = { ...waitingRoom, queueIndex: 2, barrier: barrier({ trackId: 'c' }) };

const play = { name: 'play', positionSec: 5, trackId: 'b' };
const pause = { name: 'pause', positionSec: 7, trackId: 'b' };
const next = (trackId) => ({ name: 'next', trackId });
const seek = (positionSec, trackId = 'b') => ({ name: 'seek', positionSec, trackId });
const nudge = (trackId) => ({ name: 'nudge', trackId });
const startNow = { name: 'start-now', trackId: 'b' };

/** [name, room of the server, pending commands, displayed state] */
const cases = [
  ['no command', playingRoom, [], 'plays b at 7, then c'],
  ['Play', pausedRoom, [play], 'plays b at 5, then c'],
  ['Play, already applied', playingRoom, [play], 'plays b at 7, then c'],
  ['Pause', playingRoom, [pause], 'holds b at 7, then c'],
  ['Pause during a barrier', waitingRoom, [{ ...pause, positionSec: 0 }], 'holds b at 0, then c'],
  ['Seek', playingRoom, [seek(33)], 'plays b at 33, then c'],
  ['Seek in the previous track', nextTrackRoom, [seek(33)], 'plays c at 0, then d'],
  ['Next', playingRoom, [next('b')], 'plays c at 0, then d'],
  ['Next, already applied', nextTrackRoom, [next('b')], 'plays c at 0, then d'],
  ['Next on the last track', { ...pausedRoom, queueIndex: 4 }, [next('e')], 'plays a at 0, then b'],
  ['Nudge', playingRoom, [nudge('a')], 'plays b at 7, then a'],
  ['Nudge of the current track', playingRoom, [nudge('b')], 'plays b at 7, then c'],
  ['Start now', waitingRoom, [startNow], 'plays b at 0, then c'],

  ['Play and Pause', pausedRoom, [play, pause], 'holds b at 7, then c'],
  ['Play and Pause, Play already applied', playingRoom, [play, pause], 'holds b at 7, then c'],
  ['Play, Pause and Play', pausedRoom, [play, pause, play], 'plays b at 7, then c'],
  ['Next three times', playingRoom, [next('b'), next('c'), next('d')], 'plays e at 0, then a'],
  ['Next three times, one already applied', nextTrackRoom, [next('b'), next('c'), next('d')], 'plays e at 0, then a'],
  ['Nudge and Next', playingRoom, [nudge('a'), next('b')], 'plays a at 0, then c'],
  ['Next and Seek', playingRoom, [next('b'), seek(33, 'c')], 'plays c at 33, then d'],
  ['Seek twice', playingRoom, [seek(33), seek(44)], 'plays b at 44, then c'],
];
for (const [name, serverRoom, pendingCommands, displayed] of cases) {
  test(`${name}: ${displayed}`, () => assert.equal(describe(withPendingCommands(serverRoom, pendingCommands)), displayed));
}

/** The tracks in play order, the picks in brackets with who picked them, and who picked the current track. */
function describeQueue(displayedRoom) {
  const picks = new Map((displayedRoom.picks ?? []).map((pick) => [pick.trackId, pick.by]));
  const order = queueFromCurrent(displayedRoom).map((trackId) => (picks.has(trackId) ? `[${trackId} ${picks.get(trackId)}]` : trackId));
  return `${order.join(' ')}${displayedRoom.pickedBy ? ` by ${displayedRoom.pickedBy}` : ''}`;
}

const pick = (trackId, by) => ({ trackId, by, votes: [], pinned: false });
/** `b` is current, picked by m9; `c` and `d` are picks. */
const pickedRoom = { ...playingRoom, picks: [pick('c', 'm1'), pick('d', 'm2')], pickedBy: 'm9' };
const by = { by: 'm3' };

/** [name, room of the server, pending commands, displayed queue] */
const queueCases = [
  ['no command', pickedRoom, [], 'b [c m1] [d m2] e a by m9'],
  ['Add', pickedRoom, [{ name: 'pick', trackIds: ['a'], ...by }], 'b [c m1] [d m2] [a m3] e by m9'],
  ['Add of an album, part of it picked already', pickedRoom, [{ name: 'pick', trackIds: ['e', 'd', 'b', 'a', 'z'], ...by }], 'b [c m1] [d m2] [e m3] [a m3] by m9'],
  ['Add in a room of an older server', playingRoom, [{ name: 'pick', trackIds: ['e'], ...by }], 'b [e m3] c d a'],
  ['Play next', pickedRoom, [{ name: 'nudge', trackId: 'a', ...by }], 'b [a m3] [c m1] [d m2] e by m9'],
  ['Play next of a pick', pickedRoom, [{ name: 'nudge', trackId: 'd', ...by }], 'b [d m2] [c m1] e a by m9'],
  ['Remove', pickedRoom, [{ name: 'unpick', trackIds: ['c'] }], 'b [d m2] e a c by m9'],
  ['Move before another pick', pickedRoom, [{ name: 'move', trackId: 'd', before: 'c' }], 'b [d m2] [c m1] e a by m9'],
  ['Move behind all picks', pickedRoom, [{ name: 'move', trackId: 'c', before: null }], 'b [d m2] [c m1] e a by m9'],
  ['Move before a pick that has gone', pickedRoom, [{ name: 'move', trackId: 'd', before: 'e' }], 'b [c m1] [d m2] e a by m9'],
  ['Play now', pickedRoom, [{ name: 'play-now', trackId: 'a', ...by }], 'a [c m1] [d m2] e b by m3'],
  ['Play now of a pick', pickedRoom, [{ name: 'play-now', trackId: 'd', ...by }], 'd [c m1] e a b by m2'],
  ['Play now, already applied', { ...pickedRoom, queueIndex: 2, picks: [pick('d', 'm2')] }, [{ name: 'play-now', trackId: 'c', ...by }], 'c [d m2] e a b by m9'],
  ['Next', pickedRoom, [next('b')], 'c [d m2] e a b by m1'],
  ['Next without a pick', { ...pickedRoom, picks: [] }, [next('b')], 'c d e a b'],
  ['Previous', pickedRoom, [{ name: 'previous', trackId: 'b' }], 'a [b m9] [c m1] [d m2] e'],
  ['Previous, already applied', pickedRoom, [{ name: 'previous', trackId: 'c' }], 'b [c m1] [d m2] e a by m9'],
  ['Previous of a track that is a pick', { ...pickedRoom, picks: ['c', 'd', 'e', 'a'].map((id) => pick(id, 'm1')) }, [{ name: 'previous', trackId: 'b' }], 'a [b m9] [c m1] [d m1] [e m1]'],
  ['Undo of an addition', pickedRoom, [{ name: 'undo', restores: { queue: room().queue, queueIndex: 1, picks: [], pickedBy: 'm9' } }], 'b c d e a by m9'],
  ['Undo of a change of the track', pickedRoom, [{ name: 'undo', restores: { queue: room().queue, queueIndex: 0, picks: [] } }], 'b [c m1] [d m2] e a by m9'],
  ['Shuffle', pickedRoom, [{ name: 'shuffle' }], 'b [c m1] [d m2] e a by m9'],
  ['Add twice and Remove', pickedRoom, [{ name: 'pick', trackIds: ['a'], ...by }, { name: 'pick', trackIds: ['e'], ...by }, { name: 'unpick', trackIds: ['a'] }], 'b [c m1] [d m2] [e m3] a by m9'],
];
for (const [name, serverRoom, pendingCommands, displayed] of queueCases) {
  test(`${name} shows the queue ${displayed}`, () => {
    const shown = withPendingCommands(serverRoom, pendingCommands);
    assert.equal(describeQueue(shown), displayed);
    assert.deepEqual([...shown.queue].sort(), [...serverRoom.queue].sort(), 'the queue must keep all tracks');
    assert.ok((shown.picks ?? []).every(({ trackId }, i) => queueFromCurrent(shown)[i + 1] === trackId), 'the picks must follow the current track');
  });
}

test('the first pick becomes current with a predicted start', () => {
  const shown = shownRoom({ room: pickedRoom, sound: { predictedStart: predictedStart('c', 5_000) }, pendingCommands: [] });
  assert.equal(describeQueue(shown), 'c [d m2] e a b by m1');
});

const predictedStart = (trackId, atMs) => ({ trackId, previousTrackId: 'b', anchorKey: anchorKey(playingRoom), atMs });
const predictedStarts = [
  ['the room, without a predicted start', null, [], 'plays b at 7, then c'],
  ['the next track as a predicted start', predictedStart('c', 5_000), [], 'plays c at 4, then d'],
  ['the track after the next as a predicted start', predictedStart('d', 6_000), [], 'plays d at 3, then e'],
  ['the first track as a predicted start', predictedStart('a', 6_000), [], 'plays a at 3, then b'],
  ['a predicted start that has not started yet', predictedStart('c', 9_500), [], 'plays c at 0, then d'],
  ['a command during a predicted start', predictedStart('c', 5_000), [next('c')], 'plays d at 0, then e'],
  ['the room, if the predicted start’s track was removed', predictedStart('z', 5_000), [], 'plays b at 7, then c'],
];
for (const [name, predictedStart, pendingCommands, displayed] of predictedStarts) {
  test(`the view shows ${name}`, () => {
    assert.equal(describe(shownRoom({ room: playingRoom, sound: { predictedStart }, pendingCommands })), displayed);
  });
}
