// Actions that follow a change of the app state and that no other module performs.

import { messageText } from '../language/texts.js';
import { isRuling } from '../room/happenings.js';
import { requestPersistence } from '../tracks/storage.js';
import { retryFailedCovers } from '../ui/cover.js';

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {(text: string) => void} options.showMessage
 * @param {() => boolean} options.areHappeningsVisible whether the user sees the line that says what others have just done
 */
export function startStateReactions({ store, showMessage, areHappeningsVisible }) {
  store.subscribe((state, previous) => {
    if (state.view === 'room' && previous.view !== 'room') requestPersistence();
    const { happening } = state;
    if (happening && happening !== previous.happening && isRuling(happening.message) && !areHappeningsVisible()) showMessage(messageText(happening.message));
    if (state.connection === 'open' && previous.connection !== 'open') retryFailedCovers();
  });
}
