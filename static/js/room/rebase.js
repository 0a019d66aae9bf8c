// PURE: decides whether a command is still to be sent if the room has changed since the user gave the command. `rebase`
// decides after the server has refused a command, `rebaseQueued` before a queued command is first sent.

import { pickOf, pickableIds } from './picks.js';
import { djOf, isHost } from './rules.js';
import { currentTrackId, nextUpId, isPlayingOrStarting } from './selectors.js';

/** @typedef {import('../types.js').Command} Command */
/** @typedef {import('../types.js').Snapshot} Snapshot */

/**
 * `send`: nothing that the command depends on has changed. `redundant`: the room already has the state that the
 * command asks for. `stale`: the command no longer applies, and the user has to decide again.
 * @typedef {'send' | 'redundant' | 'stale'} Verdict
 */

/** @param {Command} command @param {Snapshot} roomAtPress @param {Snapshot} latestRoom @returns {Verdict} */
export function rebase(command, roomAtPress, latestRoom) {
  switch (command.name) {
    case 'next':
    case 'previous':
      // If two users skip the same track, the track is to be skipped only once.
      return currentTrackId(roomAtPress) === currentTrackId(latestRoom) ? 'send' : 'redundant';
    case 'nudge':
      if (!latestRoom.queue.includes(command.trackId ?? '')) return 'stale';
      if (command.trackId === currentTrackId(latestRoom)) return 'redundant';
      // Without a pick, somebody else's pick would come before it.
      return command.trackId === nextUpId(latestRoom) && pickOf(latestRoom, command.trackId ?? '') ? 'redundant' : 'send';
    case 'pick':
      // What others have added meanwhile comes first. A track that somebody else has added is added.
      if ((command.trackIds ?? []).every((trackId) => !latestRoom.queue.includes(trackId))) return 'stale';
      return pickableIds(latestRoom, command.trackIds ?? []).length > 0 ? 'send' : 'redundant';
    case 'unpick':
      return (command.trackIds ?? []).some((trackId) => pickOf(latestRoom, trackId)) ? 'send' : 'redundant';
    case 'move':
      if (pickOf(latestRoom, command.trackId ?? '')) return 'send';
      return command.trackId === currentTrackId(latestRoom) ? 'redundant' : 'stale';
    case 'play-now':
      if (!latestRoom.queue.includes(command.trackId ?? '')) return 'stale';
      if (command.trackId !== currentTrackId(latestRoom)) return 'send';
      return command.trackId === currentTrackId(roomAtPress) ? 'send' : 'redundant';
    case 'hosts':
      return isHost(latestRoom, command.memberId ?? null) === command.host ? 'redundant' : 'send';
    case 'dj':
      return djOf(latestRoom) === (command.memberId ?? null) ? 'redundant' : 'send';
    case 'dj/random':
      return djOf(latestRoom) === djOf(roomAtPress) ? 'send' : 'redundant';
    case 'vote-skip':
      return command.trackId === currentTrackId(latestRoom) ? 'send' : 'redundant';
    case 'vote-pick':
      if (pickOf(latestRoom, command.trackId ?? '')) return 'send';
      return command.trackId === currentTrackId(latestRoom) ? 'redundant' : 'stale';
    case 'vote-dj':
    case 'rules':
    case 'shuffle':
    case 'sort':
    // The server knows whether there is still something to take back.
    case 'undo':
      return 'send';
    case 'start-now':
      if (latestRoom.barrier === null && latestRoom.playState.mode === 'playing') return 'redundant';
      return latestRoom.barrier && isSameBarrier(roomAtPress, latestRoom) ? 'send' : 'stale';
    case 'play':
      if (isSamePlayback(roomAtPress, latestRoom)) return 'send';
      return currentTrackId(roomAtPress) === currentTrackId(latestRoom) && isPlayingOrStarting(latestRoom) ? 'redundant' : 'stale';
    case 'pause':
      if (!isPlayingOrStarting(latestRoom)) return 'redundant';
      // A barrier that was released in the meantime does not affect a pause.
      return currentTrackId(roomAtPress) === currentTrackId(latestRoom) ? 'send' : 'stale';
    case 'seek':
      return isSamePlayback(roomAtPress, latestRoom) && isSameAnchor(roomAtPress, latestRoom) ? 'send' : 'stale';
  }
}

/**
 * Whether a command still means the same after any number of other changes, so that it may be sent again and again until the
 * server accepts it: adding is never refused because somebody else has added.
 * @param {Command['name']} name
 */
export function isUnaffectedByOthers(name) {
  return ['pick', 'unpick', 'nudge', 'move', 'shuffle', 'sort', 'play-now', 'rules', 'hosts', 'dj', 'dj/random', 'vote-dj', 'vote-skip', 'vote-pick'].includes(name);
}

/**
 * As `rebase`, for a command that was queued behind other commands of this phone. Two differences between `latestRoom`
 * and `expectedRoom` are ignored, because the page cannot predict them: a barrier that the earlier commands opened, and
 * the exact position at which these commands took effect.
 * @param {Command} command
 * @param {Snapshot} expectedRoom the room when the user gave the command, with the earlier commands applied
 * @param {Snapshot} latestRoom
 * @returns {Verdict}
 */
export function rebaseQueued(command, expectedRoom, latestRoom) {
  const hasNewBarrier = latestRoom.barrier !== null && expectedRoom.barrier === null;
  const { anchorPositionSec } = expectedRoom.playState;
  return rebase(command, expectedRoom, {
    ...latestRoom,
    barrier: hasNewBarrier ? null : latestRoom.barrier,
    playState: { mode: hasNewBarrier ? 'playing' : latestRoom.playState.mode, anchorPositionSec },
  });
}

/** @param {Snapshot} a @param {Snapshot} b */
function isSamePlayback(a, b) {
  return currentTrackId(a) === currentTrackId(b) && a.playState.mode === b.playState.mode && isSameBarrier(a, b);
}

/** A barrier keeps its identity when members become ready or leave. @param {Snapshot} a @param {Snapshot} b */
function isSameBarrier(a, b) {
  return a.barrier?.type === b.barrier?.type && a.barrier?.trackId === b.barrier?.trackId;
}

/** @param {Snapshot} a @param {Snapshot} b */
function isSameAnchor(a, b) {
  return a.playState.anchorPositionSec === b.playState.anchorPositionSec;
}
