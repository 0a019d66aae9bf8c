// Acknowledges tracks to the server (`POST /ack-download`): whether this phone can play the current track, next-up and
// the barrier's track. A barrier waits for these acknowledgements. Each acknowledgement also reports the length of
// the decoded track if it contradicts the server's index. The server keeps these reports in memory only.

import { ApiError } from '../net/http.js';
import { acknowledge } from '../net/api.js';
import { isSoundElsewhere } from '../room/own-silence.js';
import { currentTrackId, nextUpId } from '../room/selectors.js';
import { after } from '../timer.js';
import { contradictingDurationSec } from './durations.js';

/** @typedef {import('../store.js').Store} Store */
/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Snapshot} Snapshot */
/** @typedef {import('../types.js').TrackId} TrackId */

const RETRY_INTERVAL_MS = 1_000;

/**
 * The tracks to acknowledge now: the current one and next-up unless acknowledged on this connection, and the barrier's
 * track while the server counts this phone as not ready. Tracks for which `isReadyOrUnplayable` is false are left out.
 * @param {object} inputs
 * @param {Snapshot} inputs.room
 * @param {MemberId | null} inputs.memberId
 * @param {(trackId: TrackId) => boolean} inputs.isReadyOrUnplayable whether this phone has loaded the track, or
 *   knows that it cannot play it
 * @param {ReadonlySet<TrackId>} inputs.acknowledgedTracks
 * @returns {TrackId[]}
 */
export function acksDue({ room, memberId, isReadyOrUnplayable, acknowledgedTracks }) {
  const { barrier } = room;
  const isAwaited =
    barrier !== null &&
    memberId !== null &&
    barrier.members.includes(memberId) &&
    !barrier.ready.includes(memberId);
  const trackIds = [
    ...(isAwaited ? [barrier.trackId] : []),
    ...[currentTrackId(room), nextUpId(room)].filter((id) => id !== null && !acknowledgedTracks.has(id)),
  ];
  return [...new Set(trackIds)].filter((id) => id !== null).filter(isReadyOrUnplayable);
}

/** @param {Store} store */
export function startAcks(store) {
  /** Tracks whose acknowledgement has been sent on this connection. */
  /** @type {Set<TrackId>} */
  let acknowledgedTracks = new Set();
  /**
   * The track of the open barrier if its acknowledgement has been sent; `null` otherwise. If the request failed,
   * `acknowledgedTracks` does not contain the track, and the acknowledgement is due again.
   */
  /** @type {TrackId | null} */
  let acknowledgedBarrierTrackId = null;
  let isSending = false;
  let cancelRetry = () => {};

  async function sendDueAcks() {
    if (isSending) return;
    cancelRetry();
    isSending = true;
    for (let trackId = nextDueTrackId(); trackId; trackId = nextDueTrackId()) {
      acknowledgedTracks.add(trackId);
      if (trackId === store.get().room?.barrier?.trackId) acknowledgedBarrierTrackId = trackId;
      // A reconnection during the request replaces `acknowledgedTracks`.
      const acknowledgedAtSend = acknowledgedTracks;
      try {
        await sendAck(trackId);
      } catch (error) {
        // A request that the server has refused (4xx) would be refused again.
        if (error instanceof ApiError && error.status < 500) continue;
        acknowledgedAtSend.delete(trackId);
        cancelRetry = after(RETRY_INTERVAL_MS, sendDueAcks);
        break;
      }
    }
    isSending = false;
  }

  /** @returns {TrackId | undefined} */
  function nextDueTrackId() {
    const { room, memberId, readyTrackIds, unplayableReasons, connection, settings } = store.get();
    if (!room || connection !== 'open' || settings.isRemoteControl || isSoundElsewhere(store.get())) return undefined;
    // Being stored is not enough: a track that the player has not loaded would start later here than on the other phones.
    const isReadyOrUnplayable = (/** @type {TrackId} */ id) => readyTrackIds.has(id) || unplayableReasons.has(id);
    const dueTracks = acksDue({ room, memberId, isReadyOrUnplayable, acknowledgedTracks });
    return dueTracks.find((id) => id !== acknowledgedBarrierTrackId || !acknowledgedTracks.has(id));
  }

  /**
   * Sends one acknowledgement. Each time the server refuses it because the event count is outdated (409), sends it again
   * with the count from the response, as long as the room needs it.
   * @param {TrackId} trackId
   */
  async function sendAck(trackId) {
    let eventCount = store.get().room?.eventCount ?? 0;
    for (;;) {
      const playable = !store.get().unplayableReasons.has(trackId);
      const durationSec = playable ? contradictingDurationSec(store.get().index.get(trackId)) : undefined;
      const result = await acknowledge({ trackId, playable, durationSec }, eventCount);
      if (result.accepted || !isRelevant(trackId)) return;
      eventCount = result.eventCount;
    }
  }

  /** Whether the room still needs the acknowledgement. @param {TrackId} trackId */
  function isRelevant(trackId) {
    const { room, memberId, connection } = store.get();
    if (!room || connection !== 'open') return false;
    return acksDue({ room, memberId, isReadyOrUnplayable: () => true, acknowledgedTracks: new Set() }).includes(trackId);
  }

  store.subscribe((state, previous) => {
    if (state.connection !== previous.connection || hasBecomeListener(state, previous)) acknowledgedTracks = new Set();
    const [barrier, previousBarrier] = [state.room?.barrier, previous.room?.barrier];
    if (barrier?.trackId !== previousBarrier?.trackId || barrier?.type !== previousBarrier?.type) acknowledgedBarrierTrackId = null;
    if (state.unplayableReasons !== previous.unplayableReasons) {
      // Tracks that became playable or unplayable must be acknowledged again.
      for (const id of [...state.unplayableReasons.keys(), ...previous.unplayableReasons.keys()]) {
        if (state.unplayableReasons.has(id) !== previous.unplayableReasons.has(id)) acknowledgedTracks.delete(id);
      }
      acknowledgedBarrierTrackId = null;
    }
    if (state.index !== previous.index) {
      // The contradiction may have been found after the acknowledgement.
      for (const id of acknowledgedTracks) {
        const durationSec = contradictingDurationSec(state.index.get(id));
        const previousSec = contradictingDurationSec(previous.index.get(id));
        if (durationSec !== undefined && durationSec !== previousSec) acknowledgedTracks.delete(id);
      }
    }
    sendDueAcks();
  });
}

/**
 * Whether this phone has become a listener, or this tab the one of this phone that sounds. The server drops the
 * acknowledgements of a phone that becomes a remote control, and ignores those that arrive before it counts the phone as a
 * listener again.
 * @param {AppState} state
 * @param {AppState} previous
 */
function hasBecomeListener(state, previous) {
  const hasSettingChanged = previous.settings.isRemoteControl && !state.settings.isRemoteControl;
  const hasTakenOver = isSoundElsewhere(previous) && !isSoundElsewhere(state);
  return hasSettingChanged || hasTakenOver || (isRemoteOnServer(previous) && !isRemoteOnServer(state));
}

/** Whether the server counts this phone as a remote control. @param {AppState} state */
function isRemoteOnServer({ room, memberId }) {
  return memberId !== null && room?.live.listeners[memberId]?.role === 'remote';
}
