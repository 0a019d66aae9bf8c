// Wiring only: makes the parts, ties them to the store, and starts.

import { ApiError, getCode, sentenceOf } from './api.js';
import { pinned } from './cache.js';
import { openBack } from './cache/back.js';
import { createShelf } from './cache/shelf.js';
import { createConductor } from './conductor.js';
import { createAcks, createDownloads } from './downloads.js';
import { createPlayer } from './player.js';
import { createPresses } from './presses.js';
import { createSession } from './session.js';
import { loadSettings, saveSettings } from './settings.js';
import { createStore } from './store.js';
import { createBubbles } from './ui/bubbles.js';
import { byId, setText } from './ui/dom.js';
import { createInvite } from './ui/invite.js';
import { createJoin } from './ui/join.js';
import { createNow } from './ui/now.js';
import { createQueue } from './ui/queue.js';
import { createSettings } from './ui/settings.js';
import { createTabs } from './ui/tabs.js';

/** @typedef {import('./types.js').AppState} AppState */
/** @typedef {import('./types.js').TrackId} TrackId */

const store = createStore({
  view: 'starting',
  memberId: null,
  room: null,
  index: new Map(),
  connection: 'connecting',
  trouble: null,
  held: new Set(),
  unplayable: new Map(),
  download: null,
  settings: loadSettings(),
  clock: null,
  sound: { locked: false, sounding: false, errorMs: null, overlay: null },
  presses: [],
  scanning: false,
  storageNote: null,
});

const say = createBubbles();
const press = createPresses({ store, say });

/** What a try has shown, beyond what the browser says of formats. */
/** @type {Map<TrackId, import('./types.js').Unable>} */
const failed = new Map();

/** What cannot be fetched just now. */
/** @type {ReadonlySet<TrackId>} */
let aside = new Set();

const player = createPlayer(byId('audio', HTMLAudioElement), {
  change: () => conductor.look(),
  ended: (trackId) => conductor.ended(trackId),
  unplayable: (trackId) => {
    failed.set(trackId, 'format');
    judge();
  },
});
const conductor = createConductor({
  store,
  player,
  read: async (trackId) => (await shelf).read(trackId),
});
const session = createSession({ store, place: conductor.place });

/** Opening storage takes its time, and the door need not wait for it. */
const shelf = openBack().then((back) =>
  createShelf(back, {
    pins: () => {
      const { room } = store.get();
      return room ? pinned(room) : new Set();
    },
    onRemoved: refreshHeld,
  }),
);

async function refreshHeld() {
  store.update({ held: (await shelf).held() });
}

/** There is room again for what found none. */
function tryAgain() {
  for (const [trackId, reason] of failed) if (reason === 'room') failed.delete(trackId);
  store.update({ storageNote: null });
  judge();
}

/** Which tracks of the library this phone cannot play. */
function judge() {
  const { index } = store.get();
  /** @type {Map<string, boolean>} */
  const formats = new Map();
  const unplayable = new Map(failed);
  for (const trackId of aside) unplayable.set(trackId, 'fetch');
  for (const { trackId, mime } of index.values()) {
    const able = formats.get(mime) ?? player.canPlay(mime);
    formats.set(mime, able);
    if (!able) unplayable.set(trackId, 'format');
  }
  store.update({ unplayable });
}

const join = createJoin({
  gesture: conductor.gesture,
  join: async (code, name) => {
    changeSettings({ name });
    try {
      await session.join(code, name);
      return null;
    } catch (error) {
      return refusal(error);
    }
  },
});
const now = createNow({ state: store.get, press });
const queue = createQueue((trackId) => press(() => ({ name: 'nudge', trackId })));
createTabs(queue.shown);
const invite = createInvite(getCode);
const settings = createSettings({
  state: store.get,
  change: changeSettings,
  storage: async () => {
    const { kind, usedBytes } = await shelf;
    return { kind, usedBytes: usedBytes() };
  },
  clear: async () => {
    await (await shelf).clear();
    tryAgain();
  },
  leave: async () => {
    try {
      await session.leave();
    } catch (error) {
      say(refusal(error));
    }
  },
});

/** @param {Partial<import('./types.js').Settings>} change */
function changeSettings(change) {
  const before = store.get().settings;
  store.update({ settings: { ...before, ...change } });
  saveSettings(store.get().settings);
  if (change.remote !== undefined && change.remote !== before.remote) session.reopen();
}

/** @param {unknown} error */
function refusal(error) {
  const { status, retryAfterSec } = error instanceof ApiError ? error : { status: null, retryAfterSec: 0 };
  if (status === 403) return 'That is not the code. It is on the server’s screen.';
  if (status === 429) return `Too many tries. Wait ${retryAfterSec || 10} seconds.`;
  return sentenceOf(error);
}

async function openDoor() {
  invite.close();
  settings.close();
  join.open(null, store.get().settings.name);
  const code = await getCode().catch(() => null);
  if (code && store.get().view === 'join') join.open(code, store.get().settings.name);
}

let drawn = false;

/** Draws once a frame, however much has changed. */
function draw() {
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(() => {
    drawn = false;
    const state = store.get();
    document.body.dataset['view'] = state.view;
    byId('trouble-view', HTMLElement).hidden = state.view !== 'starting' || state.trouble === null;
    setText(byId('trouble', HTMLElement), state.trouble ?? '');
    byId('join-view', HTMLElement).hidden = state.view !== 'join';
    byId('room-view', HTMLElement).hidden = state.view !== 'room';
    if (state.view !== 'room') return;
    now.render(state);
    queue.render(state);
    settings.render();
  });
}

store.subscribe(async (state, before) => {
  draw();
  if (state.view === 'join' && before.view !== 'join') openDoor();
  if (state.index !== before.index) {
    judge();
    await (await shelf).follow(state.index);
    await refreshHeld();
  }
});
createAcks(store);
shelf.then((opened) =>
  createDownloads({
    store,
    shelf: opened,
    onOutdated: session.refreshIndex,
    onNoRoom: (trackId) => {
      failed.set(trackId, 'room');
      judge();
    },
    onAside: (trackIds) => {
      aside = trackIds;
      judge();
    },
  }),
);
store.subscribe(conductor.look);

// After a reload nobody has touched the page, and browsers refuse sound until somebody does: any
// touch will do, the button only says so.
for (const name of ['click', 'pointerup']) {
  document.addEventListener(
    name,
    () => {
      if (store.get().view === 'room' && !player.allowed()) conductor.gesture();
    },
    { capture: true },
  );
}

session.start();
