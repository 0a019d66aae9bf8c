// Renders the visible view from the state, at most once per frame, and moves the focus when the view changes.

import { messageText } from '../language/texts.js';
import { elementById, setText } from './dom.js';

/** @typedef {import('../types.js').AppState} AppState */

/**
 * @param {object} options
 * @param {() => AppState} options.getState
 * @param {{firstField: HTMLElement}} options.joinView
 * @param {{render: (state: AppState) => HTMLElement | null}} options.migrationView returns the heading of its visible
 *   view
 * @param {readonly {render: (state: AppState) => void}[]} options.roomViews rendered while this phone is in the room
 * @returns {() => void} requests a render in the next frame
 */
export function createRenderer({ getState, joinView, migrationView, roomViews }) {
  const startErrorElement = elementById('start-error-view', HTMLElement);
  const startErrorText = elementById('start-error', HTMLElement);
  const joinElement = elementById('join-view', HTMLElement);
  const roomElement = elementById('room-view', HTMLElement);
  const roomTitle = elementById('room-title', HTMLElement);
  let isFrameRequested = false;
  /** @type {AppState['view']} */
  let lastView = 'starting';

  /** @param {AppState} state */
  function render(state) {
    document.body.dataset['view'] = state.view;
    startErrorElement.hidden = state.view !== 'starting' || state.disconnectReason === null;
    setText(startErrorText, messageText(state.disconnectReason ?? ''));
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
