// The big screen: shows the room on a television, a tablet on the wall or a laptop. It follows the room as a remote control unless
// sound is switched on. Back and Escape leave it. The address has `?screen` while it is open, so that a reload opens it again.

import { claimBack, releaseBack } from '../back-button.js';
import { elementById, lineDirection, setAttribute, setCssVariable, setHidden } from '../dom.js';
import { enterFullScreen, exitFullScreen, hasFullScreen, isFullScreen, watchFullScreen } from '../full-screen.js';
import { driftAt } from './drift.js';
import { createReactionLayer } from '../talk/reaction-layer.js';
import { createScreenGuests } from './screen-guests.js';
import { isHeardHere } from './screen-note.js';
import { createScreenTalk } from './screen-talk.js';
import { createScreenView } from './screen-view.js';
import { createWakeLock } from './wake-lock.js';

/** @typedef {import('../../types.js').AppState} AppState */

const QUERY_NAME = 'screen';
const PROGRESS_INTERVAL_MS = 500;
/** Steps this short move the content by less than two pixels on a display of 1080 lines. */
const DRIFT_INTERVAL_MS = 4_000;
/** How long the buttons stay after the pointer or a key was used. */
const BUTTONS_TIMEOUT_MS = 4_000;

const isInAddress = () => new URLSearchParams(location.search).has(QUERY_NAME);

/** @param {boolean} isOpen */
function markAddress(isOpen) {
  if (isOpen === isInAddress()) return;
  history.replaceState(history.state, '', location.pathname + (isOpen ? `?${QUERY_NAME}` : ''));
}

/**
 * @param {object} options
 * @param {import('../../store.js').Store} options.store
 * @param {() => Promise<string | null>} options.getPairingCode
 * @param {(isRemoteControl: boolean | null) => void} options.overrideRole
 * @param {() => void} options.unlockSound makes this page sound; must run synchronously in a gesture
 * @param {() => void} options.closeSheets
 */
export function createBigScreen({ store, getPairingCode, overrideRole, unlockSound, closeSheets }) {
  const screen = elementById('big-screen', HTMLElement);
  const stage = elementById('screen-stage', HTMLElement);
  const buttons = elementById('screen-buttons', HTMLElement);
  const soundButton = elementById('screen-sound', HTMLButtonElement);
  const fullScreenButton = elementById('screen-full', HTMLButtonElement);
  const leaveButton = elementById('screen-leave', HTMLButtonElement);
  const view = createScreenView();
  const renderTalk = createScreenTalk();
  const guests = createScreenGuests(store.get, getPairingCode);
  const wakeLock = createWakeLock();
  /** The room whose code is shown. @type {string | null} */
  let invitedRoomId = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let buttonsTimer;
  /** Whether the buttons were seen when the latest press of the pointer began. */
  let wasInUse = true;
  /** @type {ReturnType<typeof setInterval>[]} */
  let timers = [];

  const isVisible = () => !screen.hidden;

  function open() {
    if (store.get().isScreenOpen) return;
    closeSheets();
    markAddress(true);
    // Before the role: a phone that alone is paused stays so behind the screen.
    store.update({ isScreenOpen: true });
    overrideRole(true);
  }

  function close() {
    if (!store.get().isScreenOpen) return;
    overrideRole(null);
    store.update({ isScreenOpen: false });
    markAddress(false);
    exitFullScreen();
    elementById('settings-button', HTMLElement).focus({ preventScroll: true });
  }

  /** Shows or hides the screen: it waits until this device has joined. */
  function update() {
    const { isScreenOpen, view: pageView } = store.get();
    const shouldBeVisible = isScreenOpen && pageView === 'room';
    if (shouldBeVisible === isVisible()) return;
    setHidden(screen, !shouldBeVisible);
    document.body.toggleAttribute('data-screen', shouldBeVisible);
    timers.forEach(clearInterval);
    timers = [];
    if (!shouldBeVisible) {
      releaseBack(close);
      wakeLock.release();
      guests.hide();
      return;
    }
    claimBack(close);
    wakeLock.hold();
    inviteTo(store.get().roomId);
    move();
    showButtons();
    timers = [setInterval(move, DRIFT_INTERVAL_MS), setInterval(renderProgress, PROGRESS_INTERVAL_MS)];
    elementById('screen-title', HTMLElement).focus({ preventScroll: true });
  }

  /** @param {string} roomId */
  function inviteTo(roomId) {
    invitedRoomId = roomId;
    guests.show();
  }

  function renderProgress() {
    if (document.visibilityState === 'visible') view.renderProgress(store.get());
  }

  function move() {
    const { x, y } = driftAt(Date.now() / 1_000);
    setCssVariable(stage, '--drift-x', `${x.toFixed(3)}vmin`);
    setCssVariable(stage, '--drift-y', `${y.toFixed(3)}vmin`);
  }

  function showButtons() {
    screen.classList.add('in-use');
    clearTimeout(buttonsTimer);
    buttonsTimer = setTimeout(hideButtons, BUTTONS_TIMEOUT_MS);
  }

  function hideButtons() {
    screen.classList.remove('in-use');
    // Enter would press a button that is not seen.
    const { activeElement } = document;
    if (activeElement instanceof HTMLElement && buttons.contains(activeElement)) activeElement.blur();
  }

  /** Remote controls of televisions send arrow keys. @param {KeyboardEvent} event */
  function moveFocus({ key }) {
    const step = { ArrowRight: lineDirection(buttons), ArrowDown: 1, ArrowLeft: -lineDirection(buttons), ArrowUp: -1 }[key];
    if (!step) return;
    const shown = [...buttons.querySelectorAll('button')].filter((button) => !button.hidden);
    const index = shown.findIndex((button) => button === document.activeElement);
    shown[index < 0 ? 0 : (index + step + shown.length) % shown.length]?.focus();
  }

  screen.addEventListener('pointerdown', () => (wasInUse = screen.classList.contains('in-use')), { capture: true });
  buttons.addEventListener('click', (event) => {
    // The tap that shows the buttons presses none. `detail` is 0 for a click by key or by a screen reader.
    if (event.detail > 0 && !wasInUse) event.stopPropagation();
  }, { capture: true });
  for (const name of ['pointermove', 'pointerdown', 'keydown', 'focusin']) screen.addEventListener(name, showButtons);
  document.addEventListener('keydown', (event) => {
    if (!isVisible()) return;
    showButtons();
    if (event.key === 'Escape') {
      event.preventDefault();
      close();
    } else moveFocus(event);
  });
  elementById('screen-open', HTMLButtonElement).addEventListener('click', () => {
    enterFullScreen();
    open();
  });
  leaveButton.addEventListener('click', close);
  soundButton.addEventListener('click', () => {
    const wasHeard = isHeardHere(store.get());
    overrideRole(wasHeard);
    if (!wasHeard) unlockSound();
  });
  fullScreenButton.hidden = !hasFullScreen;
  fullScreenButton.addEventListener('click', () => (isFullScreen() ? exitFullScreen() : enterFullScreen()));
  watchFullScreen(() => setAttribute(fullScreenButton, 'aria-pressed', String(isFullScreen())));
  // Where Back has a history entry, leaving returns to the entry that was marked when the screen was opened.
  addEventListener('popstate', () => markAddress(store.get().isScreenOpen));

  store.subscribe(update);

  return {
    /** Opens the screen if the address asks for it. To be called before the session starts: this page is never a listener then. */
    openFromAddress: () => {
      if (isInAddress()) open();
    },
    /** @param {AppState} state */
    render: (state) => {
      if (!isVisible()) return;
      // Each room has an address and a code of its own.
      if (state.roomId !== invitedRoomId) inviteTo(state.roomId);
      setAttribute(soundButton, 'aria-pressed', String(isHeardHere(state)));
      guests.update(state);
      view.render(state);
      renderTalk(state);
    },
    showReactions: createReactionLayer({ frame: elementById('screen-cover', HTMLElement), isVisible }),
  };
}
