// Snapshots for tests: a small room, with what a test cares about laid over it.

/** @param {object} [over] */
export function room(over = {}) {
  return {
    eventCount: 7,
    queue: ['a', 'b', 'c', 'd', 'e'],
    queueIndex: 1,
    playState: { mode: 'paused', anchorPositionSec: 0 },
    barrier: null,
    clients: { m1: { name: 'Ada' }, m2: { name: '' } },
    live: { anchorAtMs: null, segue: null, listeners: {} },
    arrivedMs: null,
    ...over,
  };
}

/** A room that plays its current track, which was at 0 at `anchorAtMs` of the server's clock. */
export function playing(anchorAtMs, over = {}) {
  const live = { anchorAtMs, segue: null, listeners: {} };
  return room({ playState: { mode: 'playing', anchorPositionSec: 0 }, live, ...over });
}

export function barrier(over = {}) {
  return { type: 'track', trackId: 'b', members: ['m1', 'm2'], ready: ['m1'], ...over };
}
