// Room states for unit tests: a small room whose fields a test can override.

/** @param {object} [overrides] */
export function room(overrides = {}) {
  return {
    eventCount: 7,
    queue: ['a', 'b', 'c', 'd', 'e'],
    queueIndex: 1,
    picks: [],
    pickedBy: null,
    playState: { mode: 'paused', anchorPositionSec: 0 },
    barrier: null,
    clients: { m1: { name: 'Ada' }, m2: { name: '' } },
    live: { anchorAtMs: null, segue: null, listeners: {} },
    anchorArrivedMs: null,
    ...overrides,
  };
}

/** A playing room whose current track was at position 0 at `anchorAtMs` of the server's clock. */
export function playing(anchorAtMs, overrides = {}) {
  const live = { anchorAtMs, segue: null, listeners: {} };
  return room({ playState: { mode: 'playing', anchorPositionSec: 0 }, live, ...overrides });
}

/** A track barrier of two members, one of them ready. */
export function barrier(overrides = {}) {
  return { type: 'track', trackId: 'b', members: ['m1', 'm2'], ready: ['m1'], ...overrides };
}
