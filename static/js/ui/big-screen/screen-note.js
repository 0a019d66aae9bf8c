// PURE: the note on the big screen, which says why nothing is heard.

import { text } from '../../language/texts.js';
import { isSilencedHere } from '../../room/own-silence.js';
import { roomName } from '../../room/room-list.js';
import { awaitedMemberIds, isPlayingOrStarting } from '../../room/selectors.js';

/** @typedef {import('../../types.js').AppState} AppState */
/** @typedef {import('../../types.js').Room} Room */

/** Whether this page plays along with the room. @param {AppState} state */
export function isHeardHere(state) {
  return !state.settings.isRemoteControl && !isSilencedHere(state) && !state.sound.isLocked;
}

/** Why nothing is heard, in a few words; empty while the room plays. @param {AppState} state @param {Room | null} room */
export function noteOf(state, room) {
  if (state.connection === 'reconnecting') return text('status.reconnecting');
  if (!room || state.connection === 'connecting') return text('status.connecting');
  if (!state.settings.isRemoteControl && !isHeardHere(state)) return silenceNote(state, room);
  if (room.barrier) {
    const awaited = awaitedMemberIds(room);
    if (awaited.length === 0) return text('status.starting');
    return text('status.waiting', { ready: room.barrier.ready.length, total: room.barrier.members.length });
  }
  return room.playState.mode === 'paused' ? text('status.paused') : '';
}

/** Why a screen with sound is silent. @param {AppState} state @param {Room} room */
function silenceNote({ isPausedHere, movedTo, isOtherTabSounding, rooms }, room) {
  if (!isPlayingOrStarting(room)) return text('status.paused');
  if (isPausedHere) return text('status.pausedHere');
  if (movedTo) return text('status.moved', { name: roomName(rooms, movedTo) });
  return text(isOtherTabSounding ? 'status.otherTab' : 'status.locked');
}
