// The app state of a page that has just been opened.

import { currentRoomId } from '../net/room-address.js';

/**
 * @param {import('../types.js').Settings} settings
 * @param {boolean} isPausedHere whether this phone was paused before a reload
 * @returns {import('../types.js').AppState}
 */
export function initialState(settings, isPausedHere) {
  return {
    view: 'starting',
    migration: null,
    memberId: null,
    roomId: currentRoomId(),
    movedTo: null,
    rooms: [],
    isRoomLocked: false,
    room: null,
    index: new Map(),
    connection: 'connecting',
    disconnectReason: null,
    cachedTrackIds: new Set(),
    unplayableReasons: new Map(),
    readyTrackIds: new Set(),
    download: null,
    settings,
    locale: 'en',
    clock: null,
    sound: { isLocked: false, isInterrupted: false, isOutputMissing: false, isSounding: false, hasNoMoreSound: false, syncErrorMs: null, predictedStart: null },
    isPausedHere,
    isOtherTabSounding: false,
    outputKind: 'near',
    hasOtherOutput: false,
    isMeasuring: false,
    pendingCommands: [],
    trialDelayMs: null,
    testSoundSchedule: null,
    history: [],
    playlists: null,
    playlistChanges: 0,
    happening: null,
    scanProgress: null,
    uploads: [],
    roomUploads: [],
    chat: [],
    chatReadId: null,
    areUploadsOff: false,
    isScreenOpen: false,
    hasStorageFailed: false,
  };
}
