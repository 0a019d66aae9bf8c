// PURE: the room as a press will leave it, shown from the press until the server has spoken. Only
// the eye gets to see it; sound and requests go by the room itself.

import { currentTrack } from './state.js';

/** @typedef {import('./types.js').Command} Command */
/** @typedef {import('./types.js').Room} Room */

/**
 * @param {Room} room
 * @param {Command | null} command with the `trackId` that was current, where it names no other
 * @returns {Room}
 */
export function foresee(room, command) {
  switch (command?.name) {
    case undefined:
      return room;
    case 'play':
    case 'start-now':
      return at(room, 'playing', room.playState.anchorPositionSec);
    case 'pause':
      return at(room, 'paused', command.positionSec ?? 0);
    case 'seek': {
      if (isOver(room, command)) return room;
      const playState = { ...room.playState, anchorPositionSec: command.positionSec ?? 0 };
      return { ...room, playState, live: { ...room.live, anchorAtMs: null }, arrivedMs: null };
    }
    case 'next': {
      if (isOver(room, command)) return room;
      const queueIndex = (room.queueIndex + 1) % Math.max(1, room.queue.length);
      return { ...at(room, 'playing', 0), queueIndex };
    }
    case 'nudge': {
      const { trackId } = command;
      const current = currentTrack(room);
      if (!trackId || !current || trackId === current) return room;
      const queue = room.queue.filter((id) => id !== trackId);
      const queueIndex = queue.indexOf(current);
      return { ...room, queue: queue.toSpliced(queueIndex + 1, 0, trackId), queueIndex };
    }
  }
}

/**
 * Whether the track that it was pressed for has made way for another.
 * @param {Room} room
 * @param {Command} command
 */
function isOver(room, { trackId }) {
  return trackId !== undefined && trackId !== currentTrack(room);
}

/**
 * @param {Room} room
 * @param {'playing' | 'paused'} mode
 * @param {number} anchorPositionSec
 * @returns {Room}
 */
function at(room, mode, anchorPositionSec) {
  const live = { ...room.live, anchorAtMs: null };
  return { ...room, playState: { mode, anchorPositionSec }, barrier: null, live, arrivedMs: null };
}
