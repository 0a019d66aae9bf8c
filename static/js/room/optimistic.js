// PURE: the room for display: the actual room with the predicted start (of a track that this phone plays before the
// server confirms the start) and the pending commands applied (optimistic updates). Playback and requests use the actual
// room.

import { withAdvanced, withMoved, withNudged, withPicked, withPickVote, withPrevious, withUnpicked } from './picks.js';
import { withDj, withDjVote, withHost, withRules, withSkipVote } from './ruling.js';
import { currentTrackId } from './selectors.js';

/** @typedef {import('../sound/goal.js').PredictedStart} PredictedStart */
/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').PendingCommand} PendingCommand */
/** @typedef {import('../types.js').Room} Room */

/** The last result: all views of a state show the same room, and recognise by its fields what has changed. @type {{inputs: unknown[], shown: Room | null} | null} */
let last = null;

/** @param {Pick<AppState, 'room' | 'sound' | 'pendingCommands'>} state @returns {Room | null} */
export function shownRoom({ room, sound: { predictedStart }, pendingCommands }) {
  const inputs = [room, predictedStart, pendingCommands];
  if (!last?.inputs.every((value, i) => value === inputs[i])) {
    last = { inputs, shown: room && withPendingCommands(withPredictedStart(room, predictedStart), pendingCommands) };
  }
  return last.shown;
}

/**
 * The room as it will be once the server has confirmed the predicted start.
 * @param {Room} room
 * @param {PredictedStart | null} predictedStart
 * @returns {Room}
 */
export function withPredictedStart(room, predictedStart) {
  const queueIndex = predictedStart ? room.queue.indexOf(predictedStart.trackId) : -1;
  if (!predictedStart || queueIndex < 0) return room;
  const isNextUp = queueIndex === (room.queueIndex + 1) % room.queue.length;
  const startedRoom = { ...withPlayState(room, 'playing', 0), anchorArrivedMs: predictedStart.atMs };
  return isNextUp ? withAdvanced(startedRoom) : { ...startedRoom, queueIndex };
}

/**
 * Applies the commands in order. The event that a command caused may arrive before the response to the command, so a
 * command that the room already reflects must have no effect.
 * @param {Room} room
 * @param {readonly PendingCommand[]} pendingCommands
 * @returns {Room}
 */
export function withPendingCommands(room, pendingCommands) {
  return pendingCommands.reduce(withCommand, room);
}

/** @param {Room} room @param {PendingCommand} command @returns {Room} */
function withCommand(room, command) {
  switch (command.name) {
    case 'play':
    case 'start-now': {
      const { mode, anchorPositionSec } = room.playState;
      return mode === 'playing' ? room : withPlayState(room, 'playing', anchorPositionSec);
    }
    case 'pause':
      return withPlayState(room, 'paused', command.positionSec ?? 0);
    case 'seek': {
      if (isForAnotherTrack(room, command)) return room;
      const playState = { ...room.playState, anchorPositionSec: command.positionSec ?? 0 };
      return { ...room, playState, live: { ...room.live, anchorAtMs: null }, anchorArrivedMs: null };
    }
    case 'next': {
      return isForAnotherTrack(room, command) ? room : withAdvanced(withPlayState(room, 'playing', 0));
    }
    case 'previous': {
      return isForAnotherTrack(room, command) ? room : withPrevious(withPlayState(room, 'playing', 0));
    }
    case 'play-now': {
      const { trackId } = command;
      if (trackId === currentTrackId(room) || !room.queue.includes(trackId)) return room;
      return withAdvanced(withNudged(withPlayState(room, 'playing', 0), trackId, command.by ?? null));
    }
    case 'nudge':
      return withNudged(room, command.trackId, command.by ?? null);
    case 'pick':
      return withPicked(room, command.trackIds ?? [], command.by ?? null);
    case 'unpick':
      return withUnpicked(room, command.trackIds ?? []);
    case 'move':
      return withMoved(room, command.trackId, command.before ?? null);
    case 'undo':
      return withRestoredQueue(room, command.restores);
    case 'rules':
      return withRules(room, command.rules ?? {}, command.by ?? null);
    case 'hosts':
      return withHost(room, command.memberId ?? '', command.host ?? true);
    case 'dj':
      return withDj(room, command.memberId ?? null);
    case 'vote-dj':
      return command.by ? withDjVote(room, command.by, command.memberId ?? null) : room;
    case 'vote-skip':
      return command.by && !isForAnotherTrack(room, command) ? withSkipVote(room, command.by, command.up ?? true) : room;
    case 'vote-pick':
      return command.by ? withPickVote(room, command.trackId, command.by, command.up ?? true) : room;
    // The page cannot predict the order, nor the lot.
    case 'shuffle':
    case 'sort':
    case 'dj/random':
      return room;
  }
}

/**
 * The queue before a command that is taken back. The page waits for the server where the current track has to change, or where
 * the library has changed since.
 * @param {Room} room
 * @param {PendingCommand['restores']} restored
 * @returns {Room}
 */
function withRestoredQueue(room, restored) {
  if (!restored || restored.queue.length !== room.queue.length) return room;
  return restored.queue[restored.queueIndex] === currentTrackId(room) ? { ...room, ...restored } : room;
}

/**
 * Whether the current track has changed since the user gave the command.
 * @param {Room} room
 * @param {PendingCommand} command
 */
function isForAnotherTrack(room, { trackId }) {
  return trackId !== currentTrackId(room);
}

/**
 * @param {Room} room
 * @param {'playing' | 'paused'} mode
 * @param {number} anchorPositionSec
 * @returns {Room} without a barrier, and without a known anchor time
 */
function withPlayState(room, mode, anchorPositionSec) {
  const live = { ...room.live, anchorAtMs: null };
  return { ...room, playState: { mode, anchorPositionSec }, barrier: null, live, anchorArrivedMs: null };
}
