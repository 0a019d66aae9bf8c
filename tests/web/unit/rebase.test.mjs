// Every press against every durable event that may come between the press and its arrival.

import assert from 'node:assert/strict';
import test from 'node:test';
import { foresee } from '../../../static/js/foresee.js';
import { rebase, rebaseWaiting } from '../../../static/js/rebase.js';
import { barrier, playing, room } from '../support/rooms.mjs';

/** Made of the queue a b c d e, with `b` current and `c` next-up. A nudge is about `e`. */
const SCENES = {
  paused: room({ playState: { mode: 'paused', anchorPositionSec: 12 } }),
  playing: playing(0),
  waiting: room({ barrier: barrier() }),
  resuming: room({ playState: { mode: 'paused', anchorPositionSec: 12 }, barrier: barrier({ type: 'resume' }) }),
};

const clients = (change) => (was) => ({ ...was, clients: change(was.clients) });
const waits = (change) => (was) => ({ ...was, barrier: change(was.barrier) });
const at = (mode, anchorPositionSec) => (was) => ({ ...was, barrier: null, playState: { mode, anchorPositionSec } });
const queue = (ids, queueIndex = 1) => (was) => ({ ...was, queue: ids, queueIndex });

/** What each event makes of a room. */
const EVENTS = {
  'client.paired': clients((all) => ({ ...all, m9: { name: '' } })),
  'client.left': clients(({ m2: _, ...others }) => others),
  'client.renamed': clients((all) => ({ ...all, m2: { name: 'Ben' } })),
  'barrier.opened, for a new track': (was) => ({ ...at('paused', 0)(was), queueIndex: 2, barrier: barrier({ trackId: 'c' }) }),
  'barrier.opened, to go on': (was) => ({ ...was, playState: { ...was.playState, mode: 'paused' }, barrier: barrier({ type: 'resume' }) }),
  'barrier.ready': waits((open) => ({ ...open, ready: ['m1', 'm2'] })),
  'barrier.shrunk': waits((open) => ({ ...open, members: ['m1'] })),
  'barrier.release': (was) => at('playing', was.playState.anchorPositionSec)(was),
  'playback.paused': at('paused', 20),
  'playback.seeked': (was) => ({ ...was, playState: { ...was.playState, anchorPositionSec: 33 } }),
  'playback.parked': at('paused', 20),
  'queue.advanced': (was) => ({ ...at('paused', 0)(was), queueIndex: 2 }),
  'queue.nudged, another track': queue(['a', 'b', 'd', 'c', 'e']),
  'queue.nudged, the same track': queue(['a', 'b', 'e', 'c', 'd']),
  'library.changed, of others': queue(['b', 'c', 'd', 'e', 'f'], 0),
  'library.changed, the nudged one gone': queue(['a', 'b', 'c', 'd']),
  'library.changed, the current one gone': (was) => ({ ...at('paused', 0)(was), ...queue(['a', 'c', 'd', 'e'])({}) }),
};

const COMMANDS = ['play', 'pause', 'seek', 'next', 'nudge', 'start-now'];

/** What can happen in which scene, and then, in the order of COMMANDS: a(gain), p(ointless), s(tale). */
const VERDICTS = {
  paused: {
    'client.paired': 'a p a a a s',
    'client.left': 'a p a a a s',
    'client.renamed': 'a p a a a s',
    'barrier.opened, for a new track': 's s s p a s',
    'barrier.opened, to go on': 'p a s a a s',
    'playback.seeked': 'a p s a a s',
    'queue.advanced': 's p s p a s',
    'queue.nudged, another track': 'a p a a a s',
    'queue.nudged, the same track': 'a p a a p s',
    'library.changed, of others': 'a p a a a s',
    'library.changed, the nudged one gone': 'a p a a s s',
    'library.changed, the current one gone': 's p s p a s',
  },
  playing: {
    'client.paired': 'a a a a a p',
    'client.left': 'a a a a a p',
    'client.renamed': 'a a a a a p',
    'barrier.opened, for a new track': 's s s p a s',
    'barrier.opened, to go on': 'p a s a a s',
    'playback.paused': 's p s a a s',
    'playback.seeked': 'a a s a a p',
    'playback.parked': 's p s a a s',
    'queue.advanced': 's p s p a s',
    'queue.nudged, another track': 'a a a a a p',
    'queue.nudged, the same track': 'a a a a p p',
    'library.changed, of others': 'a a a a a p',
    'library.changed, the nudged one gone': 'a a a a s p',
    'library.changed, the current one gone': 's p s p a s',
  },
  waiting: {
    'client.paired': 'a a a a a a',
    'client.left': 'a a a a a a',
    'client.renamed': 'a a a a a a',
    'barrier.opened, for a new track': 's s s p a s',
    'barrier.opened, to go on': 'p a s a a s',
    'barrier.ready': 'a a a a a a',
    'barrier.shrunk': 'a a a a a a',
    'barrier.release': 'p a s a a p',
    'playback.paused': 's p s a a s',
    'playback.seeked': 'a a s a a a',
    'queue.advanced': 's p s p a s',
    'queue.nudged, another track': 'a a a a a a',
    'queue.nudged, the same track': 'a a a a p a',
    'library.changed, of others': 'a a a a a a',
    'library.changed, the nudged one gone': 'a a a a s a',
    'library.changed, the current one gone': 's p s p a s',
  },
  resuming: {
    'client.paired': 'a a a a a a',
    'client.left': 'a a a a a a',
    'client.renamed': 'a a a a a a',
    'barrier.opened, for a new track': 's s s p a s',
    'barrier.ready': 'a a a a a a',
    'barrier.shrunk': 'a a a a a a',
    'barrier.release': 'p a s a a p',
    'playback.paused': 's p s a a s',
    'playback.seeked': 'a a s a a a',
    'queue.advanced': 's p s p a s',
    'queue.nudged, another track': 'a a a a a a',
    'queue.nudged, the same track': 'a a a a p a',
    'library.changed, of others': 'a a a a a a',
    'library.changed, the nudged one gone': 'a a a a s a',
    'library.changed, the current one gone': 's p s p a s',
  },
};

/** Events that need what a scene has not: a barrier to move, or music to stop. */
const IMPOSSIBLE = {
  paused: ['barrier.ready', 'barrier.shrunk', 'barrier.release', 'playback.paused', 'playback.parked'],
  playing: ['barrier.ready', 'barrier.shrunk', 'barrier.release'],
  waiting: ['playback.parked'],
  resuming: ['barrier.opened, to go on', 'playback.parked'],
};

const SAID = { again: 'is sent again', pointless: 'is pointless', stale: 'is out of date' };

for (const [scene, pressed] of Object.entries(SCENES)) {
  test(`while ${scene}, each event that can come has its row`, () => {
    const rows = [...Object.keys(VERDICTS[scene]), ...IMPOSSIBLE[scene]];
    assert.deepEqual(rows.toSorted(), Object.keys(EVENTS).toSorted());
  });
  for (const [event, row] of Object.entries(VERDICTS[scene])) {
    row.split(' ').forEach((letter, i) => {
      const name = COMMANDS[i];
      const expected = Object.keys(SAID).find((verdict) => verdict.startsWith(letter));
      test(`pressed while ${scene}, then ${event}: ${name} ${SAID[expected]}`, () => {
        const now = { ...EVENTS[event](pressed), eventCount: pressed.eventCount + 1 };
        assert.equal(rebase({ name, trackId: 'e', positionSec: 5 }, pressed, now), expected);
      });
    });
  }
}

const press = (name, over = {}) => ({ name, trackId: 'b', positionSec: 12, ...over });
const opened = (was) => ({ ...was, playState: { ...was.playState, mode: 'paused' }, barrier: barrier({ trackId: was.queue[was.queueIndex] }) });
const nudge = press('nudge', { trackId: 'd' });
const after = (...presses) => (was) => foresee(was, presses);
const also = (...changes) => (was) => changes.reduce((now, change) => change(now), was);
const unchanged = (was) => was;

/** [the scene, presses that are under way, what waits behind them, what has become of the room by then, verdict] */
const WAITING = [
  ['playing', [nudge], press('next'), after(nudge), 'again'],
  ['playing', [nudge], press('next'), also(EVENTS['queue.advanced'], opened, after(nudge)), 'pointless'],
  ['playing', [press('next')], press('next', { trackId: 'c' }), also(after(press('next')), opened), 'again'],
  ['playing', [press('next')], press('next', { trackId: 'c' }), also(after(press('next'), press('next', { trackId: 'c' })), opened), 'pointless'],
  ['playing', [press('next')], press('seek', { trackId: 'c' }), also(after(press('next')), opened), 'again'],
  ['playing', [press('next')], press('seek', { trackId: 'c' }), unchanged, 'stale'],
  ['playing', [press('next')], press('pause', { trackId: 'c' }), also(after(press('next')), opened), 'again'],
  ['playing', [press('seek')], press('seek'), after(press('seek')), 'again'],
  ['playing', [press('pause')], press('play'), after(press('pause', { positionSec: 12.3 })), 'again'],
  ['playing', [press('pause')], press('play'), unchanged, 'pointless'],
  ['playing', [press('pause')], press('seek'), after(press('pause', { positionSec: 12.3 })), 'again'],
  ['playing', [press('pause')], press('seek'), also(after(press('pause')), opened), 'stale'],
  ['paused', [press('play')], press('pause'), opened, 'again'],
  ['paused', [press('play')], press('pause'), unchanged, 'pointless'],
  ['paused', [press('play')], press('seek'), opened, 'again'],
  ['paused', [press('play')], press('seek'), after(press('play')), 'again'],
  ['waiting', [nudge], press('start-now'), after(nudge), 'again'],
  ['waiting', [nudge], press('start-now'), also(after(nudge), EVENTS['barrier.release']), 'pointless'],
  ['waiting', [nudge], press('seek'), also(after(nudge), EVENTS['barrier.ready']), 'again'],
  ['paused', [press('next')], press('nudge', { trackId: 'a' }), also(after(press('next')), opened), 'again'],
  ['paused', [press('next')], press('nudge', { trackId: 'e' }), also(after(press('next')), EVENTS['library.changed, the nudged one gone']), 'stale'],
];
for (const [scene, ahead, command, change, expected] of WAITING) {
  const was = SCENES[scene];
  const now = change(was);
  const where = `${now.queue[now.queueIndex]}${now.barrier ? ', waiting' : `, ${now.playState.mode}`}`;
  test(`${command.name} that waits behind ${ahead.map(({ name }) => name).join()} while ${scene}, the room then at ${where}: ${SAID[expected]}`, () => {
    assert.equal(rebaseWaiting(command, foresee(was, ahead), now), expected);
  });
}
