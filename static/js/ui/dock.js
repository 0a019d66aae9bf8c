// The dock below both tab panels: the status line, the seek bar, the buttons, and the current track (in the Queue tab).

import { text } from '../language/texts.js';
import { roomPositionSec } from '../sound/goal.js';
import { offsetAt } from '../sound/clock.js';
import { shownRoom } from '../room/optimistic.js';
import { currentTrackId, isPlayingOrStarting, awaitedMemberIds } from '../room/selectors.js';
import { renderCover } from './cover.js';
import { shownTrack } from './current-track.js';
import { elementById, queryElement, setAttribute, setText } from './dom.js';
import { isPermitted, setPermitted } from './rules/reasons.js';
import { createSeekBar } from './seek-bar.js';
import { rejoinLabel } from './status-line.js';
import { createStatusView } from './status-view.js';

/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').Command} Command */
/** @typedef {import('../types.js').Room} Room */

const SEEK_BAR_INTERVAL_MS = 250;

/**
 * @param {object} options
 * @param {() => AppState} options.getState
 * @param {(makeCommand: (room: Room) => Command | null) => unknown} options.sendCommand sends the command that
 *   `makeCommand` returns for the latest room; `null` sends nothing
 * @param {() => void} options.goToPrevious
 * @param {() => void} options.rejoin ends the pause of this phone alone
 */
export function createDock({ getState, sendCommand, goToPrevious, rejoin }) {
  const roomView = elementById('room-view', HTMLElement);
  const titleText = elementById('dock-title', HTMLElement);
  const artistText = elementById('dock-artist', HTMLElement);
  const coverFrame = elementById('dock-cover', HTMLElement);
  const playButton = elementById('play', HTMLButtonElement);
  const previousButton = elementById('previous', HTMLButtonElement);
  const nextButton = elementById('next', HTMLButtonElement);
  const startNowButton = elementById('start-now', HTMLButtonElement);
  const unlockSoundButton = elementById('unlock-sound', HTMLButtonElement);
  const unlockSoundText = queryElement(unlockSoundButton, 'span', HTMLElement);
  const renderStatus = createStatusView();
  const seekBar = createSeekBar((positionSec, trackId) =>
    sendCommand((room) => (currentTrackId(room) === trackId ? { name: 'seek', positionSec } : null)),
  );

  playButton.addEventListener('click', () => {
    const room = shownRoom(getState());
    if (!room) return;
    const name = canPause(getState()) ? 'pause' : 'play';
    // Who presses Play on this phone wants to hear it, too.
    if (name === 'play') rejoin();
    if (name === 'play' && isPlayingOrStarting(room)) return;
    sendCommand((latestRoom) => ({ name, positionSec: positionSecOf(latestRoom) }));
  });
  unlockSoundButton.addEventListener('click', rejoin);
  previousButton.addEventListener('click', goToPrevious);
  nextButton.addEventListener('click', () => sendCommand(() => ({ name: 'next' })));
  startNowButton.addEventListener('click', () => sendCommand(() => ({ name: 'start-now' })));
  setInterval(() => {
    if (document.visibilityState === 'visible') renderSeekBar();
  }, SEEK_BAR_INTERVAL_MS);

  /**
   * Whether the play button is Pause. The button controls the room, and while the server is away this phone alone.
   * @param {AppState} state
   */
  function canPause(state) {
    const room = shownRoom(state);
    return room !== null && isPlayingOrStarting(room) && !(state.isPausedHere && state.connection === 'reconnecting');
  }

  /** @param {Room} room */
  function durationSecOf(room) {
    return getState().index.get(currentTrackId(room) ?? '')?.duration ?? 0;
  }

  /** @param {Room} room */
  function positionSecOf(room) {
    const nowMs = performance.now();
    return roomPositionSec(room, offsetAt(getState().clock, nowMs), nowMs, durationSecOf(room));
  }

  function renderSeekBar() {
    const room = shownRoom(getState());
    if (!room) return;
    const isPlaying = room.playState.mode === 'playing';
    seekBar.render({ trackId: currentTrackId(room), positionSec: positionSecOf(room), isPlaying }, durationSecOf(room));
  }

  /** @param {HTMLButtonElement} button @param {boolean} isVisible */
  function setVisible(button, isVisible) {
    // Hiding the focused button would lose the focus.
    if (!isVisible && document.activeElement === button) playButton.focus({ preventScroll: true });
    button.hidden = !isVisible;
  }

  return {
    cover: coverFrame,
    /** @param {AppState} state */
    render: (state) => {
      const room = shownRoom(state);
      const track = shownTrack(state);
      const isPause = canPause(state);
      setText(titleText, track?.tags.title ?? '');
      setText(artistText, track?.tags.artist ?? '');
      renderCover(coverFrame, track);
      setAttribute(roomView, 'data-playing', String(isPause));
      setAttribute(playButton, 'aria-label', text(isPause ? 'dock.pause' : 'dock.play'));
      playButton.disabled = nextButton.disabled = previousButton.disabled = !track;
      // Without the server, the buttons control this phone alone.
      const mayControl = state.connection === 'reconnecting' || isPermitted(state, 'control');
      for (const button of [playButton, nextButton, previousButton]) setPermitted(button, 'control', mayControl);
      seekBar.setPermitted(mayControl);
      setVisible(startNowButton, room !== null && awaitedMemberIds(room).length > 0);
      const label = rejoinLabel(state, isPause);
      if (label !== null) setText(unlockSoundText, label);
      setVisible(unlockSoundButton, label !== null);
      renderStatus(state);
      renderSeekBar();
    },
  };
}
