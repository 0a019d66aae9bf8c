// Controls that the rules reserve for others. They stay focusable: they are shown as disabled, screen readers read the reason, and a
// press shows it.

import { messageText } from '../../language/texts.js';
import { HOUSE } from '../../net/room-address.js';
import { shownRoom } from '../../room/optimistic.js';
import { RIGHTS, objection } from '../../room/permissions.js';
import { setAttribute, setText } from '../dom.js';

/** @typedef {import('../../room/permissions.js').Right} Right */
/** @typedef {import('../../types.js').AppState} AppState */

/** The element with the reason for a right, which controls refer to. @param {Right} right */
const reasonId = (right) => `reason-${right}`;

/**
 * Shows a control as disabled, or not.
 * @param {Element} control
 * @param {string | null} describedBy id of the element with the reason; `null`: the control can be used
 */
export function setDisabledBecause(control, describedBy) {
  setAttribute(control, 'aria-disabled', describedBy === null ? null : 'true');
  setAttribute(control, 'aria-describedby', describedBy);
}

/** @param {Element} control @param {Right} right that the control needs @param {boolean} isPermitted */
export function setPermitted(control, right, isPermitted) {
  setDisabledBecause(control, isPermitted ? null : reasonId(right));
}

/** Whether this phone may do something that the rules can reserve. @param {AppState} state @param {Right} right */
export function isPermitted(state, right) {
  // Uploads and damaged rooms follow the house room's rules, which are not known in other rooms: there the server says why it refuses.
  if ((right === 'upload' || right === 'removeRoom') && state.roomId !== HOUSE) return true;
  const room = shownRoom(state);
  return room === null || objection(room, state.memberId, right) === null;
}

/**
 * The reason why a control is disabled; '' if it is not.
 * @param {Element} control
 */
export function reasonOf(control) {
  if (control.getAttribute('aria-disabled') !== 'true') return '';
  return document.getElementById(control.getAttribute('aria-describedby') ?? '')?.textContent ?? '';
}

/** @param {(text: string) => void} showMessage */
export function createReasons(showMessage) {
  const container = document.createElement('div');
  container.hidden = true;
  const elements = RIGHTS.map((right) => Object.assign(document.createElement('p'), { id: reasonId(right) }));
  container.append(...elements);
  document.body.append(container);

  document.addEventListener(
    'click',
    (event) => {
      const control = event.target instanceof Element ? event.target.closest('[aria-disabled="true"]') : null;
      const reason = control ? reasonOf(control) : '';
      if (reason === '') return;
      event.preventDefault();
      event.stopPropagation();
      showMessage(reason);
    },
    true,
  );

  return {
    /** @param {AppState} state */
    render: (state) => {
      const room = shownRoom(state);
      RIGHTS.forEach((right, i) => {
        const reason = room && objection(room, state.memberId, right);
        setText(/** @type {Element} */ (elements[i]), reason ? messageText(reason) : '');
      });
    },
  };
}
