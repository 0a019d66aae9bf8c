// Decides which tab sounds if this page is open in several tabs of one phone: two would be heard as an echo, and iOS stops
// one when the other starts. The tab that sounds answers the questions of new tabs, and a tab that starts to sound, or is
// asked for sound, takes over from the others. A pause of this phone alone holds in all tabs. A tab in another room than the one
// that sounds follows its room as a remote control, because the server lets a phone listen in one room at a time.

import { isSoundElsewhere } from '../room/own-silence.js';
import { after } from '../timer.js';

/** An unanswered question means that no other tab sounds: it was closed, or the system has ended it. */
const ANSWER_TIMEOUT_MS = 1_000;

/** After the tab that sounded has been closed, another one waits for this time, in which a reloaded tab is back. */
const RELOAD_GRACE_MS = 5_000;

/**
 * `ask`: does another tab sound? `held`: the answer. `claim`: the sender sounds from now on. `released`: the sender was
 * closed. With `isPausedHere`, the sender does not sound because this phone is paused. With `isWaiting`, the sender is
 * silent, and takes the sound if no other tab answers.
 * @typedef {object} TabMessage
 * @property {'ask' | 'held' | 'claim' | 'released'} type
 * @property {string} tabId
 * @property {import('../net/room-address.js').RoomId} roomId
 * @property {number} atMs
 * @property {boolean} isPausedHere
 * @property {boolean} isWaiting
 */

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {() => boolean} options.isSoundAllowed whether the browser is known to allow sound
 * @param {typeof import('./tab-channel.js').openTabChannel} options.openChannel
 */
export function createSoundingTab({ store, isSoundAllowed, openChannel }) {
  const tabId = `${Math.random()}`;
  let claimedAtMs = 0;
  /** Cancels the wait of a silent tab for another one. */
  let cancelWait = () => {};

  /** @param {TabMessage['type']} type */
  function send(type, atMs = Date.now()) {
    const { roomId, isPausedHere, isOtherTabSounding: isWaiting } = store.get();
    post({ type, tabId, roomId, atMs, isPausedHere, isWaiting });
  }

  /** Whether no other tab has the sound. This tab may still need a tap. */
  function mayHoldSound() {
    const { view, settings } = store.get();
    return view === 'room' && !settings.isRemoteControl && !isSoundElsewhere(store.get());
  }

  /** @param {TabMessage} message */
  function receive({ type, tabId: senderId, roomId, atMs, isPausedHere, isWaiting }) {
    // If two tabs start at the same moment, the later one sounds.
    const isOverruled = atMs < claimedAtMs || (atMs === claimedAtMs && senderId < tabId);
    // Two waiting tabs ask at about the same time. If each ended the other's wait, both would stay silent.
    if (type !== 'ask' || !isWaiting || senderId < tabId) cancelWait();
    if (type === 'ask') {
      if (mayHoldSound() && (store.get().isPausedHere || isSoundAllowed())) send('held');
    } else if (type === 'released') {
      const { isOtherTabSounding, movedTo } = store.get();
      if (!isOtherTabSounding && movedTo !== roomId) return;
      if (isPausedHere) store.update({ isPausedHere });
      cancelWait = after(RELOAD_GRACE_MS, isOtherTabSounding ? ask : askOtherRoom);
    } else if (type === 'held' || !isOverruled) {
      const isSounding = !isPausedHere;
      const isInOtherRoom = roomId !== store.get().roomId;
      store.update({ isPausedHere, isOtherTabSounding: isSounding && !isInOtherRoom, movedTo: isSounding && isInOtherRoom ? roomId : null });
    }
  }

  function ask() {
    send('ask');
    if (!store.get().isOtherTabSounding) return;
    cancelWait();
    cancelWait = after(ANSWER_TIMEOUT_MS, () => store.update({ isOtherTabSounding: false }));
  }

  /** After the tab that sounded in another room has been closed: this page does not begin to sound by itself, but offers to. */
  function askOtherRoom() {
    send('ask');
    cancelWait = after(ANSWER_TIMEOUT_MS, () => store.update({ movedTo: null, isPausedHere: true }));
  }

  const post = openChannel(receive);
  ask();
  addEventListener('pagehide', () => {
    if (mayHoldSound()) send('released');
  });
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible' && !store.get().sound.isSounding) ask();
  });

  /** Makes this tab the one that sounds, or the one in which this phone was paused. */
  function claim() {
    cancelWait();
    store.update({ isOtherTabSounding: false, movedTo: null });
    if (store.get().settings.isRemoteControl) return;
    claimedAtMs = Date.now();
    send('claim', claimedAtMs);
  }

  store.subscribe((state, previous) => {
    if (state.sound.isSounding && !previous.sound.isSounding) claim();
  });

  return { claim };
}
