// Sends the user's commands: applies each to the displayed room at once, sends them in order, and resends or drops a
// command that the server refuses because the room has changed (see room/rebase.js).

import { getSnapshot, postDelays, postTrim, sendCommand } from './api.js';
import { ApiError, describeError } from './http.js';
import { messageText, text } from '../language/texts.js';
import { shownRoom, withPendingCommands } from '../room/optimistic.js';
import { isPausePending } from '../room/own-silence.js';
import { objectionTo } from '../room/permissions.js';
import { isUnaffectedByOthers, rebase, rebaseQueued } from '../room/rebase.js';
import { roomFromSnapshot } from '../room/reducer.js';
import { currentTrackId } from '../room/selectors.js';
import { withTimeout } from '../timer.js';

/** @typedef {import('../store.js').Store} Store */
/** @typedef {import('../types.js').Command} Command */
/** @typedef {import('../types.js').Room} Room */

/**
 * Makes the user's command for the given room; `null` if the command does not apply to that room.
 * @typedef {(room: Room) => Command | null} MakeCommand
 */

/**
 * `isDone`: whether the room has the state that the command asks for. `eventCount`: the event count after the command; `null`
 * if it has changed nothing.
 * @typedef {{isDone: boolean, eventCount: number | null}} Outcome
 */

/** @type {Outcome} */
const FAILED = { isDone: false, eventCount: null };
/** @type {Outcome} */
const REDUNDANT = { isDone: true, eventCount: null };

/**
 * A command without a response is dropped after this time: until then, the page shows a state that the server may never
 * reach.
 */
const RESPONSE_TIMEOUT_MS = 3_000;

/** How often a command is sent for a changed room: once again, or more often if others' commands do not affect it. */
const MAX_RESENDS = { affected: 1, unaffected: 10 };

/** How long the event stream may take to deliver the events up to the event count of a response. */
const STREAM_TIMEOUT_MS = 400;

/**
 * Waits until the page has the room state numbered `eventCount`, and fetches a snapshot if the event stream
 * does not deliver the state in time.
 * @param {Store} store
 * @param {number} eventCount
 * @param {import('./room-address.js').RoomId} roomId the room of the event count; nothing is done in another one
 */
export async function catchUp(store, eventCount, roomId) {
  const hasCaughtUp = () => store.get().roomId !== roomId || (store.get().room?.eventCount ?? 0) >= eventCount;
  if (await store.waitFor(hasCaughtUp, STREAM_TIMEOUT_MS)) return;
  const { snapshot } = await getSnapshot(roomId);
  const { room } = store.get();
  // This phone may have left the room in the meantime, or the event stream may have delivered a newer state.
  if (room && store.get().roomId === roomId && snapshot.eventCount > room.eventCount) store.update({ room: roomFromSnapshot(snapshot) });
}

/**
 * Sends speaker delays, and resolves when the page's room contains the delays.
 * @param {Store} store
 * @param {Record<string, number>} delays in milliseconds, by member
 * @param {import('../types.js').ComparedSpeakers} [compared] the comparison that found the delays
 */
export async function sendDelays(store, delays, compared) {
  const { roomId } = store.get();
  await catchUp(store, await postDelays(delays, compared), roomId);
}

/**
 * Sends a command, and gives it up after `RESPONSE_TIMEOUT_MS`, so that it is not executed when the user no longer expects it.
 * @param {Command} command
 * @param {number} eventCount
 */
function sendInTime(command, eventCount) {
  const controller = new AbortController();
  const response = sendCommand(command, eventCount, controller.signal);
  return withTimeout(RESPONSE_TIMEOUT_MS, response).finally(() => controller.abort());
}

/**
 * Sends the trim of a member, and resolves when the page's room contains the trim.
 * @param {Store} store
 * @param {import('../types.js').MemberId} memberId
 * @param {number} trimDb
 */
export async function sendTrim(store, memberId, trimDb) {
  const { roomId } = store.get();
  await catchUp(store, await postTrim(memberId, trimDb), roomId);
}

/**
 * @param {object} options
 * @param {Store} options.store
 * @param {(text: string) => void} options.showMessage
 * @param {() => void} options.onNoResponse
 * @param {() => void} options.pauseHere pauses this phone alone
 * @returns {(makeCommand: MakeCommand) => Promise<Outcome>}
 */
export function createCommands({ store, showMessage, onNoResponse, pauseHere }) {
  /** Number of commands that have failed without a response. */
  let unansweredCount = 0;

  /**
   * Sends the command. If the server refuses its event count and the command still applies to the changed room, makes the
   * command again for that room and sends the new command, at most `MAX_RESENDS` times.
   * @param {MakeCommand} makeCommand
   * @param {Command} command
   * @param {Room} roomAtPress
   * @param {import('./room-address.js').RoomId} roomId
   * @returns {Promise<Outcome>}
   */
  async function deliver(makeCommand, command, roomAtPress, roomId) {
    let sentFor = roomAtPress.eventCount;
    let result = await sendInTime(command, sentFor);
    const maxResends = isUnaffectedByOthers(command.name) ? MAX_RESENDS.unaffected : MAX_RESENDS.affected;
    for (let resends = 0; !result.accepted; resends += 1) {
      await catchUp(store, result.eventCount, roomId);
      // A command is for the room in which it was given.
      if (store.get().roomId !== roomId) return REDUNDANT;
      const { room } = store.get();
      const verdict = room ? rebase(command, roomAtPress, room) : 'redundant';
      if (verdict === 'redundant') return REDUNDANT;
      if (!room || verdict === 'stale' || resends >= maxResends) return FAILED;
      const updatedCommand = makeCommand(room);
      if (!updatedCommand) return REDUNDANT;
      sentFor = room.eventCount;
      result = await sendInTime(updatedCommand, sentFor);
    }
    await catchUp(store, result.eventCount, roomId);
    return { isDone: true, eventCount: result.eventCount > sentFor ? result.eventCount : null };
  }

  /**
   * @param {MakeCommand} makeCommand
   * @param {Room | null} expectedRoom the room when the user gave the command, with the earlier pending commands
   *   applied; `null` if the command was not queued
   * @param {import('./room-address.js').RoomId} roomIdAtPress
   * @returns {Promise<Outcome>}
   */
  async function processCommand(makeCommand, expectedRoom, roomIdAtPress) {
    const { room, roomId } = store.get();
    const command = room && makeCommand(room);
    if (!command || roomId !== roomIdAtPress) return REDUNDANT;
    const verdict = expectedRoom ? rebaseQueued(command, expectedRoom, room) : 'send';
    if (verdict === 'redundant') return REDUNDANT;
    try {
      const outcome = verdict === 'stale' ? FAILED : await deliver(makeCommand, command, room, roomId);
      if (outcome.isDone) return outcome;
      showMessage(text('message.outOfDate'));
    } catch (error) {
      const isRefused = error instanceof ApiError;
      if (!isRefused) {
        unansweredCount += 1;
        onNoResponse();
      }
      // Unless the server has refused the command, this phone obeys a Pause by itself: a pending one will not be executed.
      const isPaused = !(isRefused && error.status < 500) && isPausePending(store.get().pendingCommands);
      if (isPaused) pauseHere();
      showMessage(isRefused ? refusalText(error, command) : text(isPaused ? 'message.pausedHereOnly' : 'message.serverAway'));
    }
    return FAILED;
  }

  /**
   * Why the server has refused a command. If the rules forbid it, the page knows the names of those who may.
   * @param {ApiError} error
   * @param {Command} command
   */
  function refusalText(error, command) {
    const { room, memberId } = store.get();
    const objection = error.status === 403 && room ? objectionTo(room, memberId, command) : null;
    return objection ? messageText(objection) : describeError(error);
  }

  /**
   * @param {Room} displayedRoom when the user gave the command
   * @param {Command} command
   * @returns {() => void} removes the command from the pending commands
   */
  function addPending(displayedRoom, command) {
    // The event that the command causes may arrive before the response. `withPendingCommands` recognises this case by
    // comparing the command's track with the current track.
    const pendingCommand = { ...command, trackId: command.trackId ?? currentTrackId(displayedRoom) ?? '', by: store.get().memberId };
    store.update({ pendingCommands: [...store.get().pendingCommands, pendingCommand] });
    return () => store.update({ pendingCommands: store.get().pendingCommands.filter((other) => other !== pendingCommand) });
  }

  /** Settles when all commands so far are processed: each is sent for the state that the previous command produced. */
  /** @type {Promise<Outcome>} */
  let lastInQueue = Promise.resolve(REDUNDANT);

  return (makeCommand) => {
    const { room, roomId, pendingCommands, connection, disconnectReason } = store.get();
    const displayedRoom = shownRoom(store.get());
    const command = displayedRoom && makeCommand(displayedRoom);
    if (!room || !command) return lastInQueue.then(() => FAILED);
    if (connection === 'reconnecting' && command.name === 'pause') {
      pauseHere();
      return lastInQueue.then(() => FAILED);
    }
    if (connection === 'reconnecting') {
      showMessage(messageText(disconnectReason ?? { key: 'message.serverAway' }));
      return lastInQueue.then(() => FAILED);
    }
    const objection = objectionTo(displayedRoom, store.get().memberId, command);
    if (objection) {
      showMessage(messageText(objection));
      return lastInQueue.then(() => FAILED);
    }
    const expectedRoom = pendingCommands.length > 0 ? withPendingCommands(room, pendingCommands) : null;
    const unansweredBefore = unansweredCount;
    const removePending = addPending(displayedRoom, command);
    // Commands queued behind an unanswered one are dropped: the user did not intend them for the state after a
    // reconnection.
    lastInQueue = lastInQueue
      .then(() => (unansweredCount === unansweredBefore ? processCommand(makeCommand, expectedRoom, roomId) : FAILED))
      .finally(removePending);
    return lastInQueue;
  };
}
