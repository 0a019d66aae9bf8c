// Renders the visible view from the state, at most once per frame, and moves the focus when the view changes.

import { messageText, text } from '../language/texts.js';
import { HOUSE } from '../net/room-address.js';
import { houseName } from '../room/room-list.js';
import { elementById, setHidden, setText } from './dom.js';

/** @typedef {import('../types.js').AppState} AppState */

/**
 * @param {object} options
 * @param {() => AppState} options.getState
 * @param {() => void} options.goToHouse called in a gesture
 * @param {{firstField: HTMLElement}} options.joinView
 * @param {{render: (state: AppState) => HTMLElement | null}} options.migrationView returns the heading of its visible
 *   view
 * @param {readonly {render: (state: AppState) => void}[]} options.roomViews rendered while this phone is in the room
 * @returns {() => void} requests a render in the next frame
 */
export function createRenderer({ getState, goToHouse, joinView, migrationView, roomViews }) {
  const startErrorElement = elementById('start-error-view', HTMLElement);
  const startErrorText = elementById('start-error', HTMLElement);
  const houseButton = elementById('start-error-house', HTMLButtonElement);
  const joinElement = elementById('join-view', HTMLElement);
  const roomElement = elementById('room-view', HTMLElement);
  const roomTitle = elementById('room-title', HTMLElement);
  let isFrameRequested = false;
  /** @type {AppState['view']} */
  let lastView = 'starting';
  houseButton.addEventListener('click', goToHouse);

  /** @param {AppState} state */
  function render(state) {
    document.body.dataset['view'] = state.view;
    startErrorElement.hidden = state.view !== 'starting' || state.disconnectReason === null;
    setText(startErrorText, messageText(state.disconnectReason ?? ''));
    setHidden(houseButton, state.roomId === HOUSE);
    setText(houseButton, text('rooms.goTo', { name: houseName(state.rooms) }));
    joinElement.hidden = state.view !== 'join';
    roomElement.hidden = state.view !== 'room';
    const migrationTitle = migrationView.render(state);
    if (state.view !== lastView) {
      lastView = state.view;
      // The focused element is now hidden, so the focus moves to the start of the new view.
      const focusTarget = state.view === 'join' ? joinView.firstField : (migrationTitle ?? roomTitle);
      focusTarget.focus({ preventScroll: true });
    }
    if (state.view !== 'room') return;
    for (const view of roomViews) view.render(state);
  }

  return () => {
    if (isFrameRequested) return;
    isFrameRequested = true;
    requestAnimationFrame(() => {
      isFrameRequested = false;
      render(getState());
    });
  };
}
