// The verdict for each command and each durable event that may happen between the user's input and the server's receipt of
// the command. Test names: the command, the room at the input, the event, the verdict.

import assert from 'node:assert/strict';
import test from 'node:test';
import { withPendingCommands } from '../../../static/js/room/optimistic.js';
import { rebase, rebaseQueued } from '../../../static/js/room/rebase.js';
import { barrier, playing, room } from '../support/rooms.mjs';

/** The queue is a b c d e; `b` is current, `c` is next-up, and nudges are for `e`. */
const INITIAL_ROOMS = {
  paused: room({ playState: { mode: 'paused', anchorPositionSec: 12 } }),
  playing: playing(0),
  waiting: room({ barrier: barrier() }),
  resuming: room({ playState: { mode: 'paused', anchorPositionSec: 12 }, barrier: barrier({ type: 'resume' }) }),
};

const pick = (trackId, by = 'm1') => ({ trackId, by, votes: [], pinned: false });
const withClients = (change) => (before) => ({ ...before, clients: change(before.clients) });
const withBarrier = (change) => (before) => ({ ...before, barrier: change(before.barrier) });
const withPlayState = (mode, anchorPositionSec) => (before) => ({ ...before, barrier: null, playState: { mode, anchorPositionSec } });
const withQueue = (trackIds, queueIndex = 1) => (before) => ({ ...before, queue: trackIds, queueIndex });

/** The room after each event. */
const EVENTS = {
  'client.paired': withClients((all) => ({ ...all, m9: { name: '' } })),
  'client.left': withClients(({ m2: _, ...others }) => others),
  'client.renamed': withClients((all) => ({ ...all, m2: { name: 'Ben' } })),
  'barrier.opened, for a new track': (before) => ({ ...withPlayState('paused', 0)(before), queueIndex: 2, barrier: barrier({ trackId: 'c' }) }),
  'barrier.opened, to resume': (before) => ({ ...before, playState: { ...before.playState, mode: 'paused' }, barrier: barrier({ type: 'resume' }) }),
  'barrier.ready': withBarrier((open) => ({ ...open, ready: ['m1', 'm2'] })),
  'barrier.shrunk': withBarrier((open) => ({ ...open, members: ['m1'] })),
  'barrier.release': (before) => withPlayState('playing', before.playState.anchorPositionSec)(before),
  'playback.paused': withPlayState('paused', 20),
  'playback.seeked': (before) => ({ ...before, playState: { ...before.playState, anchorPositionSec: 33 } }),
  'playback.parked': withPlayState('paused', 20),
  'queue.advanced': (before) => ({ ...withPlayState('paused', 0)(before), queueIndex: 2 }),
  'queue.nudged, another track': withQueue(['a', 'b', 'd', 'c', 'e']),
  'queue.nudged, the same track': (before) => ({ ...withQueue(['a', 'b', 'e', 'c', 'd'])(before), picks: [pick('e')] }),
  'library.changed, other tracks': withQueue(['b', 'c', 'd', 'e', 'f'], 0),
  'library.changed, nudged track removed': withQueue(['a', 'b', 'c', 'd']),
  'library.changed, current track removed': (before) => ({ ...withPlayState('paused', 0)(before), ...withQueue(['a', 'c', 'd', 'e'])({}) }),
};

const COMMANDS = ['play', 'pause', 'seek', 'next', 'nudge', 'start-now'];

/** The possible events of each scene, with the verdicts in the order of COMMANDS: r resend, d redundant, s stale. */
const VERDICTS = {
  paused: {
    'client.paired': 'r d r r r s',
    'client.left': 'r d r r r s',
    'client.renamed': 'r d r r r s',
    'barrier.opened, for a new track': 's s s d r s',
    'barrier.opened, to resume': 'd r s r r s',
    'playback.seeked': 'r d s r r s',
    'queue.advanced': 's d s d r s',
    'queue.nudged, another track': 'r d r r r s',
    'queue.nudged, the same track': 'r d r r d s',
    'library.changed, other tracks': 'r d r r r s',
    'library.changed, nudged track removed': 'r d r r s s',
    'library.changed, current track removed': 's d s d r s',
  },
  playing: {
    'client.paired': 'r r r r r d',
    'client.left': 'r r r r r d',
    'client.renamed': 'r r r r r d',
    'barrier.opened, for a new track': 's s s d r s',
    'barrier.opened, to resume': 'd r s r r s',
    'playback.paused': 's d s r r s',
    'playback.seeked': 'r r s r r d',
    'playback.parked': 's d s r r s',
    'queue.advanced': 's d s d r s',
    'queue.nudged, another track': 'r r r r r d',
    'queue.nudged, the same track': 'r r r r d d',
    'library.changed, other tracks': 'r r r r r d',
    'library.changed, nudged track removed': 'r r r r s d',
    'library.changed, current track removed': 's d s d r s',
  },
  waiting: {
    'client.paired': 'r r r r r r',
    'client.left': 'r r r r r r',
    'client.renamed': 'r r r r r r',
    'barrier.opened, for a new track': 's s s d r s',
    'barrier.opened, to resume': 'd r s r r s',
    'barrier.ready': 'r r r r r r',
    'barrier.shrunk': 'r r r r r r',
    'barrier.release': 'd r s r r d',
    'playback.paused': 's d s r r s',
    'playback.seeked': 'r r s r r r',
    'queue.advanced': 's d s d r s',
    'queue.nudged, another track': 'r r r r r r',
    'queue.nudged, the same track': 'r r r r d r',
    'library.changed, other tracks': 'r r r r r r',
    'library.changed, nudged track removed': 'r r r r s r',
    'library.changed, current track removed': 's d s d r s',
  },
  resuming: {
    'client.paired': 'r r r r r r',
    'client.left': 'r r r r r r',
    'client.renamed': 'r r r r r r',
    'barrier.opened, for a new track': 's s s d r s',
    'barrier.ready': 'r r r r r r',
    'barrier.shrunk': 'r r r r r r',
    'barrier.release': 'd r s r r d',
    'playback.paused': 's d s r r s',
    'playback.seeked': 'r r s r r r',
    'queue.advanced': 's d s d r s',
    'queue.nudged, another track': 'r r r r r r',
    'queue.nudged, the same track': 'r r r r d r',
    'library.changed, other tracks': 'r r r r r r',
    'library.changed, nudged track removed': 'r r r r s r',
    'library.changed, current track removed': 's d s d r s',
  },
};

/** Events that cannot happen in a scene, because it has no barrier or is not playing. */
const IMPOSSIBLE = {
  paused: ['barrier.ready', 'barrier.shrunk', 'barrier.release', 'playback.paused', 'playback.parked'],
  playing: ['barrier.ready', 'barrier.shrunk', 'barrier.release'],
  waiting: ['playback.parked'],
  resuming: ['barrier.opened, to resume', 'playback.parked'],
};

const VERDICT_NAMES = { r: 'send', d: 'redundant', s: 'stale' };

for (const [scene, roomAtInput] of Object.entries(INITIAL_ROOMS)) {
  test(`the table for ${scene} has a row for each event`, () => {
    const rows = [...Object.keys(VERDICTS[scene]), ...IMPOSSIBLE[scene]];
    assert.deepEqual(rows.toSorted(), Object.keys(EVENTS).toSorted());
  });
  for (const [event, row] of Object.entries(VERDICTS[scene])) {
    row.split(' ').forEach((letter, commandIndex) => {
      const name = COMMANDS[commandIndex];
      const expected = VERDICT_NAMES[letter];
      test(`${name} while ${scene}, then ${event}: ${expected}`, () => {
        const now = { ...EVENTS[event](roomAtInput), eventCount: roomAtInput.eventCount + 1 };
        assert.equal(rebase({ name, trackId: 'e', positionSec: 5 }, roomAtInput, now), expected);
      });
    });
  }
}

const withPicksOnly = (...trackIds) => (before) => ({ ...before, picks: trackIds.map((trackId) => pick(trackId)) });

/** `b` is current, `c` and `d` are picks, `e` and `a` are not. */
const QUEUE_COMMANDS = [
  { name: 'pick', trackIds: ['e'] },
  { name: 'pick', trackIds: ['e', 'a'] },
  { name: 'unpick', trackIds: ['c'] },
  { name: 'move', trackId: 'd', before: 'c' },
  { name: 'play-now', trackId: 'e' },
  { name: 'play-now', trackId: 'b' },
  { name: 'previous' },
  { name: 'shuffle' },
  { name: 'sort', order: 'album' },
  { name: 'undo' },
];

/** Each event of a room with picks, and the verdicts in the order of QUEUE_COMMANDS; the same in each scene. */
const QUEUE_EVENTS = {
  'client.paired': [withClients((all) => ({ ...all, m9: { name: '' } })), 'r r r r r r r r r r'],
  'client.left, with picks': [(before) => ({ ...before, picks: before.picks.map((other) => ({ ...other, by: null })) }), 'r r r r r r r r r r'],
  'barrier.opened': [EVENTS['barrier.opened, to resume'], 'r r r r r r r r r r'],
  'barrier.release': [EVENTS['barrier.release'], 'r r r r r r r r r r'],
  'playback.paused': [EVENTS['playback.paused'], 'r r r r r r r r r r'],
  'playback.seeked': [EVENTS['playback.seeked'], 'r r r r r r r r r r'],
  'queue.picked, another track': [(before) => withPicksOnly('c', 'd', 'a')(withQueue(['a', 'b', 'c', 'd', 'e'])(before)), 'r r r r r r r r r r'],
  'queue.picked, the same track by somebody else': [withPicksOnly('c', 'd', 'e'), 'd r r r r r r r r r'],
  'queue.picked, all the same tracks by somebody else': [withPicksOnly('c', 'd', 'e', 'a'), 'd d r r r r r r r r'],
  'queue.nudged, another track': [(before) => withPicksOnly('a', 'c', 'd')(withQueue(['b', 'a', 'c', 'd', 'e'], 0)(before)), 'r r r r r r r r r r'],
  'queue.unpicked, the same track': [(before) => withPicksOnly('d')(withQueue(['a', 'c', 'b', 'd', 'e'], 2)(before)), 'r r d r r r r r r r'],
  'queue.unpicked, the moved track': [(before) => withPicksOnly('c')(withQueue(['a', 'd', 'b', 'c', 'e'], 2)(before)), 'r r r s r r r r r r'],
  'queue.moved': [(before) => withPicksOnly('d', 'c')(withQueue(['a', 'b', 'd', 'c', 'e'])(before)), 'r r r r r r r r r r'],
  'queue.advanced, to the first pick': [(before) => ({ ...withPicksOnly('d')(before), queueIndex: 2 }), 'r r d r r r d r r r'],
  'queue.advanced, to the moved pick': [(before) => ({ ...withPicksOnly()(before), queueIndex: 3 }), 'r r d d r r d r r r'],
  'queue.advanced, to the same track by play-now': [(before) => withPicksOnly('c', 'd')(withQueue(['a', 'b', 'e', 'c', 'd'], 2)(before)), 'd r r r d r d r r r'],
  'queue.shuffled': [withQueue(['e', 'a', 'b', 'c', 'd'], 2), 'r r r r r r r r r r'],
  'library.changed, track removed': [(before) => withPicksOnly('d')(withQueue(['b', 'd', 'a'], 0)(before)), 's r d r s r r r r r'],
  'library.changed, current track removed': [(before) => withPicksOnly('d')(withQueue(['a', 'c', 'd', 'e'], 1)(before)), 'r r d r r s d r r r'],
};

for (const [scene, emptyRoom] of Object.entries(INITIAL_ROOMS)) {
  const roomAtInput = { ...emptyRoom, picks: [pick('c'), pick('d', 'm2')], pickedBy: null };
  for (const [event, [change, row]] of Object.entries(QUEUE_EVENTS)) {
    row.split(' ').forEach((letter, i) => {
      const command = QUEUE_COMMANDS[i];
      const expected = VERDICT_NAMES[letter];
      test(`${Object.values(command).join(' ')} while ${scene}, then ${event}: ${expected}`, () => {
        const before = event === 'barrier.release' && !roomAtInput.barrier ? { ...roomAtInput, barrier: barrier() } : roomAtInput;
        assert.equal(rebase(command, before, { ...change(before), eventCount: 8 }), expected);
      });
    });
  }
}

test('Play next is sent for a track that is next without a pick', () => {
  assert.equal(rebase({ name: 'nudge', trackId: 'c' }, playing(0), playing(0)), 'send');
});

const commandWith = (name, overrides = {}) => ({ name, trackId: 'b', positionSec: 12, ...overrides });
const openedBarrier = (before) => ({ ...before, playState: { ...before.playState, mode: 'paused' }, barrier: barrier({ trackId: before.queue[before.queueIndex] }) });
const nudge = commandWith('nudge', { trackId: 'd' });
const applied = (...pendingCommands) => (before) => withPendingCommands(before, pendingCommands);
const inOrder = (...changes) => (before) => changes.reduce((now, change) => change(now), before);
const unchanged = (before) => before;

/** [scene, pending commands, the command queued behind them, the change of the room before its turn, verdict] */
const QUEUED = [
  ['playing', [nudge], commandWith('next'), applied(nudge), 'send'],
  ['playing', [nudge], commandWith('next'), inOrder(EVENTS['queue.advanced'], openedBarrier, applied(nudge)), 'redundant'],
  ['playing', [commandWith('next')], commandWith('next', { trackId: 'c' }), inOrder(applied(commandWith('next')), openedBarrier), 'send'],
  ['playing', [commandWith('next')], commandWith('next', { trackId: 'c' }), inOrder(applied(commandWith('next'), commandWith('next', { trackId: 'c' })), openedBarrier), 'redundant'],
  ['playing', [commandWith('next')], commandWith('seek', { trackId: 'c' }), inOrder(applied(commandWith('next')), openedBarrier), 'send'],
  ['playing', [commandWith('next')], commandWith('seek', { trackId: 'c' }), unchanged, 'stale'],
  ['playing', [commandWith('next')], commandWith('pause', { trackId: 'c' }), inOrder(applied(commandWith('next')), openedBarrier), 'send'],
  ['playing', [commandWith('seek')], commandWith('seek'), applied(commandWith('seek')), 'send'],
  ['playing', [commandWith('pause')], commandWith('play'), applied(commandWith('pause', { positionSec: 12.3 })), 'send'],
  ['playing', [commandWith('pause')], commandWith('play'), unchanged, 'redundant'],
  ['playing', [commandWith('pause')], commandWith('seek'), applied(commandWith('pause', { positionSec: 12.3 })), 'send'],
  ['playing', [commandWith('pause')], commandWith('seek'), inOrder(applied(commandWith('pause')), openedBarrier), 'stale'],
  ['paused', [commandWith('play')], commandWith('pause'), openedBarrier, 'send'],
  ['paused', [commandWith('play')], commandWith('pause'), unchanged, 'redundant'],
  ['paused', [commandWith('play')], commandWith('seek'), openedBarrier, 'send'],
  ['paused', [commandWith('play')], commandWith('seek'), applied(commandWith('play')), 'send'],
  ['waiting', [nudge], commandWith('start-now'), applied(nudge), 'send'],
  ['waiting', [nudge], commandWith('start-now'), inOrder(applied(nudge), EVENTS['barrier.release']), 'redundant'],
  ['waiting', [nudge], commandWith('seek'), inOrder(applied(nudge), EVENTS['barrier.ready']), 'send'],
  ['paused', [commandWith('next')], commandWith('nudge', { trackId: 'a' }), inOrder(applied(commandWith('next')), openedBarrier), 'send'],
  ['paused', [commandWith('next')], commandWith('nudge', { trackId: 'e' }), inOrder(applied(commandWith('next')), EVENTS['library.changed, nudged track removed']), 'stale'],
];
for (const [scene, pendingCommands, command, change, expected] of QUEUED) {
  const before = INITIAL_ROOMS[scene];
  const now = change(before);
  const mode = now.barrier ? 'waiting' : now.playState.mode;
  const pendingNames = pendingCommands.map(({ name }) => name).join();
  test(`${command.name} queued behind ${pendingNames} while ${scene}, then ${mode} ${now.queue[now.queueIndex]}: ${expected}`, () => {
    assert.equal(rebaseQueued(command, withPendingCommands(before, pendingCommands), now), expected);
  });
}
