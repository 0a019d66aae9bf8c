// Wiring only: makes the parts, ties them to the store, and starts.

import { createAcks } from './acks.js';
import { ApiError, getCode, getOffer, rename, sentenceOf, sound, tune, unpair } from './api.js';
import { RANK, ranks, urgent } from './cache.js';
import { askToPersist, openBack } from './cache/back.js';
import { openKnown } from './cache/known.js';
import { createShelf } from './cache/shelf.js';
import { createConductor } from './conductor.js';
import { createDownloads } from './downloads.js';
import { createFigures } from './figures.js';
import { install } from './install.js';
import { createJudge } from './judge.js';
import { createMediaSession } from './media-session.js';
import { follow, isMovingIn, moveIn, moveTo } from './moving.js';
import { createPlayer } from './player.js';
import { createPresses } from './presses.js';
import { createReporter } from './reporter.js';
import { plainOrigin } from './secure.js';
import { createSession } from './session.js';
import { loadSettings, saveSettings } from './settings.js';
import { ownDelay } from './state.js';
import { createStore } from './store.js';
import { createTuner } from './tuner.js';
import { createBubbles } from './ui/bubbles.js';
import { retryCovers } from './ui/cover.js';
import { byId, setText } from './ui/dom.js';
import { createFiguresSheet } from './ui/figures.js';
import { createInvite } from './ui/invite.js';
import { createJoin } from './ui/join.js';
import { createMeasure } from './ui/measure.js';
import { carry } from './ui/motion.js';
import { createMoving } from './ui/moving.js';
import { createNow } from './ui/now.js';
import { createPaired } from './ui/paired.js';
import { createQueue } from './ui/queue.js';
import { createSecure } from './ui/secure.js';
import { createSettings } from './ui/settings.js';
import { createTabs } from './ui/tabs.js';

/** @typedef {import('./types.js').AppState} AppState */
/** @typedef {import('./types.js').TrackId} TrackId */

/** What a page that is busy with something else may need besides, in milliseconds. */
const RESERVE_MS = 25;

const FALLEN = 'This browser keeps no music just now: what is fetched is gone when the page is closed.';

/** Whether this page is moved into; its address says so only until it has begun. */
const movingIn = isMovingIn();

const store = createStore({
  view: 'starting',
  moving: null,
  memberId: null,
  room: null,
  index: new Map(),
  connection: 'connecting',
  trouble: null,
  held: new Set(),
  unplayable: new Map(),
  ready: new Set(),
  download: null,
  settings: loadSettings(),
  clock: null,
  sound: { locked: false, mute: false, sounding: false, errorMs: null, overlay: null },
  presses: [],
  trialDelayMs: null,
  tuning: null,
  scanning: null,
  storageNote: null,
});

const say = createBubbles();
const press = createPresses({ store, say, onSilence: () => session.woke() });

const player = createPlayer(byId('audio', HTMLAudioElement), {
  change: () => conductor.look(),
  ended: (trackId) => conductor.ended(trackId),
  unplayable: (trackId) => judge.fail(trackId, 'format'),
  lost: async (trackId) => {
    await (await shelf).remove(trackId);
    refreshHeld();
  },
  duration: (trackId, durationSec) => session.learn(trackId, durationSec),
});
const judge = createJudge({ store, canPlay: player.canPlay });
const figures = createFigures();
const conductor = createConductor({
  store,
  player,
  figures,
  read: async (trackId) => (await shelf).read(trackId),
  onWake: () => session.woke(),
});
const session = createSession({ store, place: conductor.place, known: openKnown(), say });
createMediaSession({ store, press, gesture: touched });

/** Opening storage takes its time, and the door need not wait for it. */
const shelf = openBack().then(movedInto).then((back) =>
  createShelf(back, {
    ranks: (budgetBytes) => {
      const { room, index, held, unplayable } = store.get();
      return room ? ranks({ room, index, held, unplayable, budgetBytes }) : () => RANK.urgent;
    },
    isUrgent: (trackId) => {
      const { room } = store.get();
      return room !== null && urgent(room).includes(trackId);
    },
    sounding,
    fixedBytes: () => store.get().settings.storageMb * 1e6,
    onRemoved: refreshHeld,
    onFallen: () => {
      store.update({ storageNote: FALLEN });
      refreshHeld();
    },
  }),
);

/**
 * What this phone kept as a page that was not secure comes along; what does not is fetched again.
 * @param {import('./cache/back.js').Back} back
 */
async function movedInto(back) {
  if (!movingIn) return back;
  try {
    const onProgress = (/** @type {import('./moving.js').Brought} */ moving) => store.update({ view: 'moving', moving });
    saveSettings(/** @type {import('./types.js').Settings} */ (await moveIn(await guestOrigin(), back, onProgress)));
    changeSettings(loadSettings());
  } catch {
    // As on a phone that is new here.
  }
  store.update({ view: 'starting', moving: null });
  return back;
}

/** Guests come by http: their phones trust nothing of this house. */
async function guestOrigin() {
  return location.protocol === 'https:' ? plainOrigin(await getOffer(), location.hostname) : location.origin;
}

/** The track that sounds here, as long as it is the one that the index has: of another length it is other music. */
function sounding() {
  const trackId = conductor.place()?.trackId ?? null;
  const lastsSec = trackId === null ? undefined : player.lasts(trackId);
  const isOther = lastsSec !== undefined && lastsSec !== store.get().index.get(trackId ?? '')?.duration;
  return isOther ? null : trackId;
}

async function followIndex() {
  await (await shelf).follow(store.get().index);
  await refreshHeld();
}

async function refreshHeld() {
  const { held } = await shelf;
  store.update({ held: held(store.get().index) });
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
const moving = createMoving();
createTabs((tab, show) => {
  carry(
    () => (byId('panel-now', HTMLElement).hidden ? queue.cover() : byId('now-cover', HTMLElement)),
    () => {
      show();
      if (tab === 'queue') queue.shown();
    },
  );
});
const invite = createInvite(getCode, guestOrigin);
const settings = createSettings({
  state: store.get,
  change: changeSettings,
  rename: async (name) => {
    try {
      await rename(name);
      // The next time it joins it is called the same.
      changeSettings({ name });
    } catch (error) {
      say(refusal(error));
    }
  },
  figures: createFiguresSheet(figures),
  paired: createPaired(async (member) => void (await attempt(unpair(member)))),
  tryDelay: (trialDelayMs) => store.update({ trialDelayMs }),
  delay: async (delayMs) => {
    const { memberId } = store.get();
    // Once the room has it, it is no trial any more.
    if (!(await attempt(tune({ [memberId ?? '']: delayMs })))) store.update({ trialDelayMs: null });
  },
  tick: (on) => void attempt(sound(on ? 'tick' : 'off')),
  storage: async () => {
    const { kind, usedBytes, fixed } = await shelf;
    return { kind, usedBytes: usedBytes(), fixed: fixed() };
  },
  clear: async () => {
    await (await shelf).clear();
    judge.retry(() => true);
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
  if (change.storageMb !== undefined) shelf.then(({ trim }) => trim());
}

/**
 * Says what went wrong, if anything did; and whether nothing did.
 * @param {Promise<void>} request
 */
async function attempt(request) {
  try {
    await request;
    return true;
  } catch (error) {
    say(refusal(error));
    return false;
  }
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
  join.open(null, store.get().settings.name, store.get().trouble);
  const code = await getCode().catch(() => null);
  if (code && store.get().view === 'join') join.open(code, store.get().settings.name, null);
}

let drawn = false;
/** @type {AppState['view']} */
let shown = 'starting';

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
    const movingTitle = moving.render(state);
    if (state.view !== shown) {
      shown = state.view;
      // Where the focus was is no more; from here a screen reader goes on, and the keys do.
      const first = shown === 'join' ? join.first : (movingTitle ?? byId('room-title', HTMLElement));
      first.focus({ preventScroll: true });
    }
    if (state.view !== 'room') return;
    now.render(state);
    queue.render(state);
    settings.render();
  });
}

store.subscribe(async (state, before) => {
  draw();
  if (state.view === 'join' && before.view !== 'join') openDoor();
  if (state.view === 'room' && before.view !== 'room') askToPersist();
  if (state.connection === 'open' && before.connection !== 'open') retryCovers();
  if (state.index !== before.index) {
    judge.judge();
    await followIndex();
  }
});
// What is next by now may go where something else had to stay.
store.subscribe(async ({ room, index }, before) => {
  if (room?.queue === before.room?.queue && room?.queueIndex === before.room?.queueIndex) return;
  const { mayFit } = await shelf;
  judge.retry((trackId) => mayFit(index.get(trackId)?.size ?? Infinity));
  // What sounded until now may be of an old version.
  await followIndex();
});
store.subscribe((state) => {
  if (state.trialDelayMs !== null && ownDelay({ ...state, trialDelayMs: null }) === state.trialDelayMs) {
    store.update({ trialDelayMs: null });
  }
});
createAcks(store);
createTuner({ store, player });
createSecure({
  offer: getOffer,
  move: (origin) =>
    moveTo(origin, {
      open: openBack,
      settings: () => store.get().settings,
      onFollowed: (total) => {
        store.update({ moving: total > 0 ? { brought: 0, total } : null });
        session.moved();
      },
      onDone: () => store.update({ moving: null }),
    }),
});
createMeasure({ store, chirp: () => attempt(sound('chirp')), tune: (delays) => attempt(tune(delays)) });
createReporter({
  store,
  report: () => {
    const { clock, sound } = store.get();
    const { latencyMs } = figures.all();
    return (
      clock && {
        offMs: figures.offMs(),
        roundTripMs: clock.roundTripMs,
        latencyMs,
        needsMs: clock.slowTripMs + latencyMs + RESERVE_MS,
        waitsForTap: sound.locked,
      }
    );
  },
});
shelf.then((opened) =>
  createDownloads({
    store,
    shelf: opened,
    onOutdated: session.refreshIndex,
    onNoRoom: (trackId) => judge.fail(trackId, 'room'),
    onAside: judge.putAside,
  }),
);
store.subscribe(conductor.look);
store.subscribe(now.retitle);

// After a reload nobody has touched the page, and browsers refuse sound until somebody does: any
// touch will do, the button only says so.
for (const name of ['click', 'pointerup']) document.addEventListener(name, touched, { capture: true });

function touched() {
  const { view, settings } = store.get();
  if (view === 'room' && !settings.remote && !player.allowed()) conductor.gesture();
}

// Whoever is in the room is waited for, and a phone whose music is still on its way from the other tab cannot sound yet.
if (movingIn) shelf.then(session.start, session.start);
else session.start();
// A browser that keeps nothing has nothing to follow.
follow().catch(() => {});
install(() => !player.allowed());
