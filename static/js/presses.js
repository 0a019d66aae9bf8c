// What a press does: it shows at once, goes to the server, and meets a newer state gracefully. What
// becomes of a press that came too late is decided in rebase.js.

import { ApiError, getSnapshot, send } from './api.js';
import { foresee, shownRoom } from './foresee.js';
import { rebase, rebaseWaiting } from './rebase.js';
import { currentTrack, enter } from './state.js';
import { within } from './timer.js';

/** @typedef {import('./store.js').Store} Store */
/** @typedef {import('./types.js').Command} Command */
/** @typedef {import('./types.js').Room} Room */

const OUT_OF_DATE = 'Out of date; refreshed';
const AWAY = 'The server is away. Try again in a moment.';

/** A press that nobody answers for so long is given up: it shows what is not so. */
const ANSWER_MS = 3_000;

/** So long the stream may take to bring what an answer spoke of. */
const STREAM_LIMIT_MS = 400;

/**
 * Waits until this phone knows the state numbered `eventCount`: by the stream, which is about to
 * bring it, or by asking.
 * @param {Store} store
 * @param {number} eventCount
 */
export async function catchUp(store, eventCount) {
  const known = () => (store.get().room?.eventCount ?? 0) >= eventCount;
  if (await store.until(known, STREAM_LIMIT_MS)) return;
  const { snapshot } = await getSnapshot();
  // Whoever has left meanwhile is in no room.
  if (!known() && store.get().room) store.update({ room: enter(snapshot) });
}

/**
 * @param {object} options
 * @param {Store} options.store
 * @param {(text: string) => void} options.say
 * @param {() => void} options.onSilence the server did not answer
 * @returns {(make: (room: Room) => Command | null) => Promise<void>} takes a press: the command, given the
 *   room that it is sent to, or `null` where it means nothing to that room
 */
export function createPresses({ store, say, onSilence }) {
  /** How often the server was found to be away. */
  let losses = 0;

  /**
   * @param {(room: Room) => Command | null} make
   * @param {Command} command
   * @param {Room} pressed
   * @returns {Promise<boolean>} whether the press found a state that it still made sense in
   */
  async function deliver(make, command, pressed) {
    let outcome = await within(ANSWER_MS, send(command, pressed.eventCount));
    for (let again = true; !outcome.accepted; again = false) {
      await catchUp(store, outcome.eventCount);
      const { room } = store.get();
      const verdict = room ? rebase(command, pressed, room) : 'pointless';
      if (verdict === 'pointless') return true;
      if (!room || verdict === 'stale' || !again) return false;
      const anew = make(room);
      if (!anew) return true;
      outcome = await within(ANSWER_MS, send(anew, room.eventCount));
    }
    await catchUp(store, outcome.eventCount);
    return true;
  }

  /**
   * @param {(room: Room) => Command | null} make
   * @param {Room | null} foreseen what presses before it were to make of the room, if it had to wait for any
   */
  async function take(make, foreseen) {
    const { room } = store.get();
    const command = room && make(room);
    if (!command) return;
    const verdict = foreseen ? rebaseWaiting(command, foreseen, room) : 'again';
    if (verdict === 'pointless') return;
    try {
      if (verdict === 'stale' || !(await deliver(make, command, room))) say(OUT_OF_DATE);
    } catch (error) {
      if (error instanceof ApiError) return say(error.message);
      losses += 1;
      onSilence();
      say(AWAY);
    }
  }

  /**
   * Shows the press until it has been seen to.
   * @param {Room} room as its presser saw it
   * @param {Command} command
   * @returns {() => void} to be called then
   */
  function show(room, command) {
    // The event may come before the answer: what is foreseen must know the track that it began with.
    const press = { ...command, trackId: command.trackId ?? currentTrack(room) ?? '' };
    store.update({ presses: [...store.get().presses, press] });
    return () => store.update({ presses: store.get().presses.filter((other) => other !== press) });
  }

  /** Presses in a row go out in a row, each meant for the state that the one before led to. */
  let last = Promise.resolve();

  return (make) => {
    const { room, presses, connection, trouble } = store.get();
    const seen = shownRoom(store.get());
    const command = seen && make(seen);
    if (!room || !command) return last;
    if (connection === 'reconnecting') {
      say(trouble ?? AWAY);
      return last;
    }
    const foreseen = presses.length > 0 ? foresee(room, presses) : null;
    const before = losses;
    const done = show(seen, command);
    // What waited until a server was found to be away is no longer meant when it is back.
    last = last.then(() => (losses === before ? take(make, foreseen) : undefined)).finally(done);
    return last;
  };
}
