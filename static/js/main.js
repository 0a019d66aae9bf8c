// Creates the modules, passes them the functions of other modules that they need, and starts the session.

import { createCachePriorities } from './app/cache-priorities.js';
import { createCacheSync } from './app/cache-sync.js';
import { createChat, createReadIdStorage } from './app/chat.js';
import { initialState } from './app/initial-state.js';
import { guestUrl } from './app/guest-address.js';
import { createJoinFlow } from './app/join-flow.js';
import { startLanguage } from './app/language.js';
import { startLevelling } from './app/levelling.js';
import { createMigration } from './app/migration.js';
import { openTrackCache } from './app/open-track-cache.js';
import { createOutputDelays } from './app/output-delays.js';
import { watchOutput } from './app/output-watch.js';
import { createPhonePause, wasPausedHere } from './app/phone-pause.js';
import { codeHolders, renewCode } from './app/pairing-code.js';
import { createPrevious } from './app/previous.js';
import { createQueueActions } from './app/queue-actions.js';
import { createRoomActions } from './app/room-actions.js';
import { createRoomNavigation, presentRoomPath, showHouseAddress, useRoomOfAddress } from './app/room-navigation.js';
import { createReactions } from './app/reactions.js';
import { createRenaming } from './app/renaming.js';
import { createAttempt } from './app/requests.js';
import { createSettingsUpdater } from './app/settings-updater.js';
import { createSoundingTab } from './app/sounding-tab.js';
import { createSoundUnlock } from './app/sound-unlock.js';
import { createSpeakerDelay } from './app/speaker-delay.js';
import { startPage } from './app/startup.js';
import { startStateReactions } from './app/state-reactions.js';
import { syncReport } from './app/sync-report.js';
import { openTabChannel } from './app/tab-channel.js';
import { createUploadRecords } from './app/upload-records.js';
import { createUploadTabs } from './app/upload-tabs.js';
import { createUploads, isBroughtByThisPage } from './app/uploads.js';
import { getPairingCode, getSecurePageInfo, reportLoudness, requestTestSound, unpair } from './net/api.js';
import { describeError } from './net/http.js';
import { text } from './language/texts.js';
import { createCommands, sendDelays, sendTrim } from './net/commands.js';
import { createHistory, createPlaylists } from './net/history.js';
import { isMigrationTarget } from './net/migration-target.js';
import { createSession } from './net/session.js';
import { takeSharedFiles } from './net/shared-files.js';
import { startSyncReporter } from './net/sync-reporter.js';
import { getMessages, postMessage, postReaction, removeMessage } from './net/talk-api.js';
import * as uploadsApi from './net/uploads-api.js';
import { loadSettings } from './settings.js';
import { trackGain } from './sound/levelling.js';
import { createLoudnessMeasurement } from './sound/loudness-measurement.js';
import { startLoudnessReports } from './sound/loudness-reports.js';
import { startMediaSession } from './sound/media-session.js';
import { createPlayback } from './sound/playback.js';
import { createPlayer } from './sound/player.js';
import { createSyncStats } from './sound/sync-stats.js';
import { startTestSounds } from './sound/test-sound-schedule.js';
import { createStore } from './store.js';
import { startAcks } from './tracks/acks.js';
import { startDownloads } from './tracks/downloads.js';
import { openIndexCache } from './tracks/index-cache.js';
import { createPlayability } from './tracks/playability.js';
import { storeFile } from './tracks/store-file.js';
import { createBigScreen } from './ui/big-screen/big-screen.js';
import { createBubble } from './ui/bubble.js';
import { createToasts } from './ui/toasts.js';
import { createDock } from './ui/dock.js';
import { elementById } from './ui/dom.js';
import { listenForFiles } from './ui/file-drop.js';
import { startInstallGuide } from './ui/install.js';
import { createInviteSheet } from './ui/invite-sheet.js';
import { setUpMicrophoneCalibration } from './ui/microphone-calibration.js';
import { createMigrationView } from './ui/migration-view.js';
import { createNowView } from './ui/now-view.js';
import { createPageTitle } from './ui/page-title.js';
import { createPairedDevices } from './ui/paired-devices.js';
import { createQueueView } from './ui/queue/queue-view.js';
import { createUploadsView } from './ui/queue/uploads-view.js';
import { createRenderer } from './ui/render.js';
import { createRoomName } from './ui/room-name.js';
import { createRoomsSheet } from './ui/rooms-sheet.js';
import { createReasons, isPermitted } from './ui/rules/reasons.js';
import { createRulesView } from './ui/rules/rules-view.js';
import { createSettingsSheet } from './ui/settings-sheet.js';
import { isSheetOpen } from './ui/sheets.js';
import { createSyncFigures } from './ui/sync-figures.js';
import { startTabs } from './ui/tabs.js';
import { createTalkAnnouncements } from './ui/talk/announcements.js';
import { createChatSheet } from './ui/talk/chat-sheet.js';
import { createReactionLayer } from './ui/talk/reaction-layer.js';
import { createReactionPicker } from './ui/talk/reaction-picker.js';
import { createVolumeControl } from './ui/volume-control.js';

// Computed first, because copying the tracks (`migrateFrom`) removes the hash from the page's address.
const isTargetPage = isMigrationTarget();

/** How long shared files wait until this phone has joined the room. */
const SHARED_FILES_TIMEOUT_MS = 3_600_000;

// Callbacks below may refer to constants that are defined later: no callback runs before the whole module has run.

useRoomOfAddress();
const store = createStore(initialState(loadSettings(), wasPausedHere()));
const showMessage = createToasts();
const languageChosen = startLanguage({ store, showMessage });
const attempt = createAttempt(showMessage);
const setDelays = (/** @type {Record<string, number>} */ delays, /** @type {import('./types.js').ComparedSpeakers | undefined} */ compared) =>
  attempt(sendDelays(store, delays, compared));
const { changeSettings, overrideRole } = createSettingsUpdater({
  store,
  onRoleChange: () => session.reconnectInNewRole(),
  onStorageLimit: () => trackCache.then(({ trim }) => trim()),
});

// Commands and sound

const sendCommand = createCommands({
  store,
  showMessage,
  onNoResponse: () => session.resync(),
  pauseHere: () => phonePause.pauseHere(),
});
const player = createPlayer(elementById('audio', HTMLAudioElement), {
  change: () => playback.update(),
  ended: (trackId) => playback.handleEnded(trackId),
  unplayable: (trackId) => playability.markUnplayable(trackId, 'format'),
  lost: (trackId) => cacheSync.removeLostTrack(trackId),
  duration: (trackId, durationSec) => session.recordDuration(trackId, durationSec),
  decoded: (trackId, version, durationSec) => session.recordDecodedDuration(trackId, version, durationSec),
}, (trackId) => trackGain(store.get(), trackId));
const playability = createPlayability({ store, canPlay: player.canPlay });
const syncStats = createSyncStats();
const playback = createPlayback({
  store,
  player,
  syncStats,
  read: async (trackId) => (await trackCache).read(trackId),
  onWake: () => session.resync(),
});
const unlockSound = createSoundUnlock({ store, isSoundAllowed: player.isSoundAllowed, unlock: playback.unlock });
const soundingTab = createSoundingTab({ store, isSoundAllowed: player.isSoundAllowed, openChannel: openTabChannel });
const phonePause = createPhonePause({ store, claimSound: soundingTab.claim, unlockSound });
const session = createSession({ store, nowPlaying: playback.nowPlaying, indexCache: openIndexCache(), showMessage, onTalk: (message) => talk.forEach(({ handle }) => handle(message)), onRoomGone: () => {
  showHouseAddress();
  showMessage(text('rooms.gone'));
} });
const rooms = createRoomNavigation({
  store,
  moveTo: session.moveTo,
  unlockSound,
  claimSound: soundingTab.claim,
  showError: (error) => showMessage(describeError(error)),
});

// Tracks

const priorities = createCachePriorities({
  store,
  playingTrackId: () => playback.nowPlaying()?.trackId ?? null,
  preparedTrack: player.preparedTrack,
});
const cacheSync = createCacheSync({ store, getTrackCache: () => trackCache, playability });
const trackCache = openTrackCache({
  isMigrationTarget: isTargetPage,
  store,
  changeSettings,
  cacheOptions: { ...priorities, onRemoved: cacheSync.updateCachedTrackIds, onFallback: cacheSync.handleStorageFailure },
});

const uploads = createUploads({
  store,
  api: uploadsApi,
  records: createUploadRecords(),
  withoutOtherTabs: createUploadTabs(() => uploads.keys()),
  storeFile: async (trackId, file) => {
    const { index, cachedTrackIds, settings } = store.get();
    const track = index.get(trackId);
    if (!track || cachedTrackIds.has(trackId) || settings.isRemoteControl) return;
    const cache = await trackCache;
    await storeFile(cache, track, file);
    store.update({ cachedTrackIds: cache.cachedTrackIds(store.get().index) });
  },
});

// Chat and reactions

const announcements = createTalkAnnouncements();
const chat = createChat({ store, getMessages, announce: announcements.addMessage, readIdStorage: createReadIdStorage(presentRoomPath) });
const reactions = createReactions({
  isOnline: () => store.get().connection === 'open',
  hold: (isHeld) => reactionPicker.setHeld(isHeld),
  postReaction,
  show: (counts) => {
    showReactions(counts);
    bigScreen.showReactions(counts);
  },
  announce: announcements.addReactions,
  showMessage,
});
const talk = [chat, reactions];

takeSharedFiles().then(async (files) => {
  // A phone that is not paired has to join first.
  if (files.length > 0 && (await store.waitFor(({ view }) => view === 'room', SHARED_FILES_TIMEOUT_MS))) uploads.add(files);
});

// Views

/** Browsers allow sound only in a gesture, in which this is to be called. */
const unlockSoundOfThisTab = () => {
  soundingTab.claim();
  playback.unlock();
};

const joinFlow = createJoinFlow({
  store,
  join: session.join,
  enterLocked: rooms.enterLocked,
  goToHouse: rooms.returnToHouse,
  getPairingCode,
  saveName: (name) => changeSettings({ name }),
  unlockSound: unlockSoundOfThisTab,
  closeSheets: () => {
    inviteSheet.close();
    roomsSheet.close();
    settingsSheet.close();
    chatSheet.close();
    reactionPicker.close();
  },
});
const chatSheet = createChatSheet({
  getState: store.get,
  postMessage,
  removeMessage: (id) => attempt(removeMessage(id)),
  markAllRead: chat.markAllRead,
  showMessage,
});
const reasons = createReasons(showMessage);
const nowView = createNowView((memberId, trimDb) => attempt(sendTrim(store, memberId, trimDb)), sendCommand);
const showReactions = createReactionLayer({ frame: nowView.cover, isVisible: () => nowView.isVisible() && !store.get().isScreenOpen });
const reactionPicker = createReactionPicker(reactions.react);
const volumeControl = createVolumeControl({ getState: store.get, changeSettings });
const goToPrevious = createPrevious(store, sendCommand);
const dock = createDock({ getState: store.get, sendCommand, goToPrevious, rejoin: phonePause.rejoin });
const history = createHistory(store);
const queueView = createQueueView({
  actions: createQueueActions({ store, sendCommand, showBubble: createBubble() }),
  loadHistory: history.load,
  loadOlderHistory: history.loadOlder,
  loadPlaylists: createPlaylists(store),
  removeUpload: (trackId) => void attempt(uploadsApi.removeUploadedTrack(trackId)),
});
const uploadsView = createUploadsView(uploads);
const inviteSheet = createInviteSheet(getPairingCode, guestUrl, () => codeHolders(store.get()));
const speakerDelay = createSpeakerDelay({ store, setDelays });
const settingsSheet = createSettingsSheet({
  getState: store.get,
  changeSettings,
  rename: createRenaming({ attempt, changeSettings }),
  tryDelay: speakerDelay.tryDelay,
  setDelay: speakerDelay.setDelay,
  setTicks: (isOn) => attempt(requestTestSound(isOn ? 'tick' : 'off')),
  getTrackCache: () => trackCache,
  clearStorage: cacheSync.clearStorage,
  leave: () => attempt(session.leave()),
  renderSyncFigures: createSyncFigures(syncStats),
  renderRules: createRulesView({ sendCommand, renewCode: () => renewCode(attempt) }),
  renderPairedDevices: createPairedDevices({
    onRemove: (memberId) => attempt(unpair(memberId)),
    onSetHost: (memberId, host) => sendCommand(() => ({ name: 'hosts', memberId, host })),
  }),
});
const roomsSheet = createRoomsSheet({ getState: store.get, ...createRoomActions({ store, attempt, showMessage, enterRoom: rooms.enter, returnToHouse: rooms.returnToHouse }) });
const bigScreen = createBigScreen({
  store,
  getPairingCode,
  overrideRole,
  unlockSound: phonePause.rejoin,
  closeSheets: settingsSheet.close,
});
const requestRender = createRenderer({
  getState: store.get,
  goToHouse: () => {
    unlockSoundOfThisTab();
    void attempt(rooms.returnToHouse());
  },
  joinView: joinFlow,
  migrationView: createMigrationView(),
  roomViews: [reasons, nowView, dock, volumeControl, queueView, uploadsView, settingsSheet, inviteSheet, chatSheet, roomsSheet, createRoomName(), bigScreen],
});
listenForFiles({ isAllowed: () => store.get().view === 'room' && !store.get().areUploadsOff && isPermitted(store.get(), 'upload'), onDrop: uploads.add });
startTabs({ nowView, queueView, dock });
startInstallGuide({ getSecurePageInfo, migrateTo: createMigration({ store, endForMigration: session.endForMigration }) });
setUpMicrophoneCalibration({ store, requestChirps: () => attempt(requestTestSound('chirp')), setDelays });

// Modules that act on changes of the state

startMediaSession({ store, sendCommand, goToPrevious, phonePause, onGesture: unlockSound });
store.subscribe(requestRender);
startStateReactions({ store, showMessage, areHappeningsVisible: () => nowView.isVisible() && !isSheetOpen() });
startAcks(store);
startTestSounds({ store, player });
startLevelling({ store, player });
startLoudnessReports({ store, player, measure: createLoudnessMeasurement(), send: reportLoudness });
watchOutput({ store, player, useOutput: createOutputDelays({ store, setDelays: (delays) => setDelays(delays, undefined), showMessage }) });
startSyncReporter({
  store,
  getReport: () => syncReport(store.get(), { syncErrorMs: syncStats.syncErrorMs(), latencyMs: syncStats.summary().latencyMs }, navigator),
});
trackCache.then((cache) =>
  startDownloads({
    store,
    cache,
    isBrought: (track) => isBroughtByThisPage(store.get(), track),
    onOutdated: session.refreshIndex,
    onNoSpace: (trackId) => playability.markUnplayable(trackId, 'space'),
    onPostponed: playability.setPostponed,
  }),
);
store.subscribe(playback.update);
store.subscribe(createPageTitle());

bigScreen.openFromAddress();
startPage({
  isMigrationTarget: isTargetPage,
  trackCache,
  startSession: () => languageChosen.then(session.start),
  mayReload: () => !player.isSoundAllowed(),
});
