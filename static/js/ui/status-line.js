// PURE: the text of the status line, which shows the most important fact about this phone, and of each member's
// activity, in the current language.

import { audioFormatName, formatMs, formatPercent } from '../format.js';
import { messageText, text } from '../language/texts.js';
import { isCompared } from '../room/comparisons.js';
import { roomName } from '../room/room-list.js';
import { currentTrackId, isPlayingOrStarting, percent, awaitedMemberIds } from '../room/selectors.js';

/** @typedef {import('../types.js').AppState} AppState */

/**
 * `text` is announced by screen readers. `figure`, a number that changes often, is hidden from them.
 * @typedef {{text: string, figure: string, tone: 'calm' | 'good' | 'fair' | 'poor' | 'busy'}} Status
 */

/** Smaller sync errors are inaudible. */
const MAX_GOOD_SYNC_ERROR_MS = 20;

/** Larger sync errors are heard as an echo. */
const MAX_FAIR_SYNC_ERROR_MS = 60;

/** @param {AppState} state @returns {Status} */
export function statusOf(state) {
  const { room, connection } = state;
  if (connection === 'reconnecting') {
    const reason = state.disconnectReason === null ? text('status.reconnecting') : messageText(state.disconnectReason);
    return status(state.isPausedHere ? text('status.pausedHereBecause', { reason }) : reason, 'busy');
  }
  if (!room || connection === 'connecting') return status(text('status.connecting'), 'busy');
  const trackId = currentTrackId(room);
  if (trackId === null) return emptyQueueStatus(state.scanProgress);
  if (state.settings.isRemoteControl) return status(text('status.remote'), 'calm');
  if (state.isPausedHere) return status(text('status.pausedHere'), 'calm');
  if (state.movedTo) return status(text('status.moved', { name: roomName(state.rooms, state.movedTo) }), 'calm');
  if (state.isOtherTabSounding && isPlayingOrStarting(room)) return status(text('status.otherTab'), 'calm');
  return (
    unplayableStatus(state, trackId) ??
    downloadStatus(state, trackId) ??
    barrierStatus(room) ??
    (room.playState.mode === 'paused'
      ? status(text('status.paused'), 'calm')
      : soundStatus(state.sound, !state.hasOtherOutput && isCompared(room, state.memberId)))
  );
}

/**
 * The label of the button that brings the sound to this page; `null` while there is no such button.
 * @param {AppState} state
 * @param {boolean} isPlaying whether the room plays, or will play when its barrier is released
 */
export function rejoinLabel({ settings, sound, isPausedHere, isOtherTabSounding, movedTo }, isPlaying) {
  if (settings.isRemoteControl) return null;
  if (isPausedHere) return text('dock.rejoin');
  if (movedTo) return text('dock.playHere');
  if (!isPlaying) return null;
  return isOtherTabSounding ? text('dock.playHere') : sound.isLocked ? text('dock.rejoin') : null;
}

/** @param {AppState['scanProgress']} scan @returns {Status} */
function emptyQueueStatus(scan) {
  if (!scan) return status(text('status.noMusic'), 'calm');
  return { text: text('status.reading'), figure: text('status.filesRead', { read: scan.read, count: scan.total }), tone: 'busy' };
}

/** @param {AppState} state @param {string} trackId @returns {Status | null} */
function unplayableStatus({ unplayableReasons, index }, trackId) {
  switch (unplayableReasons.get(trackId)) {
    case 'space':
      return status(text('status.noSpace'), 'poor');
    case 'format':
      return status(text('status.unplayable', { format: audioFormatName(index.get(trackId)?.mime ?? '') }), 'poor');
    case 'fetch':
      return status(text('status.notDownloaded'), 'poor');
    default:
      return null;
  }
}

/** @param {AppState} state @param {string} trackId @returns {Status | null} */
function downloadStatus({ cachedTrackIds, download }, trackId) {
  if (cachedTrackIds.has(trackId)) return null;
  const receivedPercent = download?.trackId === trackId ? percent(download.receivedBytes, download.size) : 0;
  return { text: text('status.downloading'), figure: formatPercent(receivedPercent), tone: 'busy' };
}

/** @param {import('../types.js').Room} room @returns {Status | null} */
function barrierStatus(room) {
  if (!room.barrier) return null;
  const { members, ready } = room.barrier;
  if (awaitedMemberIds(room).length === 0) return status(text('status.starting'), 'busy');
  return status(text('status.waiting', { ready: ready.length, total: members.length }), 'busy');
}

/** @param {AppState['sound']} sound @param {boolean} isSpeakerCompared @returns {Status} */
function soundStatus({ isOutputMissing, isInterrupted, isLocked, isSounding, hasNoMoreSound, syncErrorMs }, isSpeakerCompared) {
  if (isOutputMissing) return status(text('status.noOutput'), 'poor');
  if (isInterrupted) return status(text('status.interrupted'), 'poor');
  if (isLocked) return status(text('status.locked'), 'poor');
  if (hasNoMoreSound) return status(text('status.noMoreSound'), 'calm');
  if (!isSounding) return status(text('status.starting'), 'busy');
  if (syncErrorMs === null) return status(text('status.playing'), 'calm');
  const tone = syncTone(syncErrorMs, isSpeakerCompared);
  const errorText = absoluteErrorText(syncErrorMs);
  const figure = isSpeakerCompared ? errorText : text('status.byOwnClock', { figure: errorText });
  return { text: text(tone === 'poor' ? 'status.catchingUp' : 'status.inStep'), figure, tone };
}

/**
 * Classifies a sync error by its size. A small error is good only on a phone that was compared with others: any phone
 * follows its own clock.
 * @param {number} syncErrorMs
 * @param {boolean} isSpeakerCompared
 * @returns {'good' | 'calm' | 'fair' | 'poor'}
 */
export function syncTone(syncErrorMs, isSpeakerCompared) {
  const absoluteMs = Math.abs(syncErrorMs);
  if (absoluteMs < MAX_GOOD_SYNC_ERROR_MS) return isSpeakerCompared ? 'good' : 'calm';
  return absoluteMs < MAX_FAIR_SYNC_ERROR_MS ? 'fair' : 'poor';
}

/** @param {number} syncErrorMs */
function absoluteErrorText(syncErrorMs) {
  return `±${formatMs(Math.max(1, Math.abs(syncErrorMs)))}`;
}

/** @param {string} statusText @param {Status['tone']} tone @returns {Status} */
function status(statusText, tone) {
  return { text: statusText, figure: '', tone };
}

/** @param {import('../room/member-rows.js').MemberRow} row */
export function activityText({ activity, downloadPercent, syncErrorMs }) {
  switch (activity) {
    case 'remote':
      return text('activity.remote');
    case 'unable':
      return text('activity.unable');
    case 'downloading':
      return text('activity.downloading', { percent: formatPercent(downloadPercent) });
    case 'awaited':
      return text('activity.awaited');
    case 'silent':
      return text('activity.silent');
    case 'pausedAlone':
      return text('activity.pausedAlone');
    case 'playing':
      return syncErrorMs === null ? text('activity.playing') : text('activity.playingWithFigure', { figure: absoluteErrorText(syncErrorMs) });
    case 'ready':
      return text('activity.ready');
    case 'disconnected':
      return text('activity.disconnected');
  }
}
