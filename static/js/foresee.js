// PURE: the room as the eye is to see it: with what this phone plays ahead of the server's word, and
// with the presses that are under way. Only the eye gets to see it; sound and requests go by the room
// itself.

import { currentTrack } from './state.js';

/** @typedef {import('./align.js').Overlay} Overlay */
/** @typedef {import('./types.js').AppState} AppState */
/** @typedef {import('./types.js').Command} Command */
/** @typedef {import('./types.js').Room} Room */

/**
 * @param {Pick<AppState, 'room' | 'sound' | 'presses'>} state
 * @returns {Room | null}
 */
export function shownRoom({ room, sound, presses }) {
  return room && foresee(heard(room, sound.overlay), presses);
}

/**
 * The room as it would be if the server had said what this phone plays by itself.
 * @param {Room} room
 * @param {Overlay | null} overlay
 * @returns {Room}
 */
export function heard(room, overlay) {
  const queueIndex = overlay ? room.queue.indexOf(overlay.trackId) : -1;
  if (!overlay || queueIndex < 0) return room;
  return { ...at(room, 'playing', 0), queueIndex, arrivedMs: overlay.atMs };
}

/**
 * The room as presses will leave it, one after the other. The event of a press may come before its
 * answer does: then the room has it already, and it must not show twice.
 * @param {Room} room
 * @param {readonly Command[]} presses each with the `trackId` that was current, where it names no other
 * @returns {Room}
 */
export function foresee(room, presses) {
  return presses.reduce(foreseeOne, room);
}

/**
 * @param {Room} room
 * @param {Command} command
 * @returns {Room}
 */
function foreseeOne(room, command) {
  switch (command.name) {
    case 'play':
    case 'start-now': {
      const { mode, anchorPositionSec } = room.playState;
      return mode === 'playing' ? room : at(room, 'playing', anchorPositionSec);
    }
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
