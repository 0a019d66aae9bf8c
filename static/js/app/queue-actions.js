// What people do to the queue: each action is confirmed by a bubble that can take it back.

import { ordinal } from '../language/ordinals.js';
import { text } from '../language/texts.js';
import { shownRoom } from '../room/optimistic.js';
import { freePickCount, objection } from '../room/permissions.js';
import { moveTarget, movesToFront, pickOf, pickableIds, picksOf } from '../room/picks.js';
import { currentTrackId } from '../room/selectors.js';

/** @typedef {import('../types.js').Command} Command */
/** @typedef {import('../types.js').Room} Room */
/** @typedef {import('../types.js').SortOrder} SortOrder */
/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {import('../net/commands.js').MakeCommand} MakeCommand */
/** @typedef {import('../net/commands.js').Outcome} Outcome */
/** @typedef {(makeCommand: MakeCommand) => Promise<Outcome>} SendCommand */

/**
 * Commands with the effect of an undo, for when the queue has changed since, which `/undo` does not accept. `place`: is sent
 * after `takeBack`.
 * @typedef {{takeBack: MakeCommand, place?: MakeCommand}} Inverse
 */

/** Whether the command is a press of Next or Previous, and not the report of a track's end. @param {Command | undefined} command */
function isPress(command) {
  return command?.name === 'previous' || (command?.name === 'next' && command.ended === undefined);
}

/**
 * Moves a pick to before the first of `followers` that is still a pick.
 * @param {TrackId} trackId
 * @param {readonly TrackId[]} followers
 * @returns {MakeCommand}
 */
function moveTo(trackId, followers) {
  return (latest) => (pickOf(latest, trackId) ? { name: 'move', trackId, before: moveTarget(latest, followers) } : null);
}

/** The server accepts at most this many tracks in one command. */
const MAX_TRACKS = 500;

/** Each move is a command of its own. Further tracks of “Play next” stay behind the other picks. */
const MAX_MOVES = 30;

/** @typedef {ReturnType<typeof createQueueActions>} QueueActions */

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {SendCommand} options.sendCommand
 * @param {import('../ui/bubble.js').ShowBubble} options.showBubble
 */
export function createQueueActions({ store, sendCommand, showBubble }) {
  const displayedRoom = () => shownRoom(store.get());

  /** The place in line of a pick, as in `3rd`. @param {Room | null} room @param {TrackId} trackId */
  const placeOf = (room, trackId) => ordinal((room ? picksOf(room).findIndex((pick) => pick.trackId === trackId) : 0) + 1);

  /** The event count right after the last change of the queue, by anybody. */
  let lastChange = 0;
  /** Hides the bubble that is shown, and is `null` without one that can take something back. @type {(() => void) | null} */
  let hideShown = null;

  store.subscribe(({ room, roomId, pendingCommands }, previous) => {
    // An Undo would be for the queue of the other room.
    if (roomId !== previous.roomId) hideShown?.();
    if (room && (room.queue !== previous.room?.queue || room.queueIndex !== previous.room.queueIndex || room.picks !== previous.room.picks)) {
      lastChange = room.eventCount;
    }
    const latest = pendingCommands.at(-1);
    // After this phone's own Next, an Undo would be understood as that of Next.
    if (latest !== previous.pendingCommands.at(-1) && isPress(latest)) hideShown?.();
  });

  /**
   * Sends commands, and shows the bubble at once. The bubble disappears if a command fails.
   * @param {() => string} message evaluated when the commands show
   * @param {readonly MakeCommand[]} commands Only a single one can be taken back by `/undo`.
   * @param {Inverse | null} inverse
   */
  async function act(message, commands, inverse = null) {
    const before = displayedRoom();
    const [first] = commands;
    if (!before || store.get().connection === 'reconnecting') return void (first && sendCommand(first));
    /** @type {Outcome | null} */
    let outcome = null;
    const sent = commands.map((makeCommand) => sendCommand(makeCommand));
    const canUndo = commands.length === 1 || inverse !== null;
    const run = () => {
      hideShown = null;
      takeBack(before, inverse, () => outcome, commands.length === 1);
    };
    const hideBubble = showBubble(message(), canUndo ? { label: text('bubble.undo'), run } : undefined);
    hideShown = hideBubble;
    outcome = combined(await Promise.all(sent));
    if (!outcome.isDone) return hideBubble();
    // Somebody else has done the same.
    if (outcome.eventCount === null && hideShown === hideBubble) hideShown = showBubble(message());
  }

  /** @param {readonly Outcome[]} outcomes @returns {Outcome} */
  function combined(outcomes) {
    const eventCounts = outcomes.flatMap(({ eventCount }) => eventCount ?? []);
    return { isDone: outcomes.every(({ isDone }) => isDone), eventCount: eventCounts.at(-1) ?? null };
  }

  /**
   * @param {Room} before the queue to which to return
   * @param {Inverse | null} inverse
   * @param {() => Outcome | null} outcomeOf what is taken back; `null` while the response is pending
   * @param {boolean} isSingle
   */
  async function takeBack({ queue, queueIndex, picks, pickedBy }, inverse, outcomeOf, isSingle) {
    let isInverse = false;
    /** @type {MakeCommand} */
    const makeCommand = (latest) => {
      const outcome = outcomeOf();
      if (outcome && outcome.eventCount === null) return null;
      isInverse = !isSingle || (outcome !== null && lastChange > (outcome.eventCount ?? 0));
      return isInverse ? (inverse?.takeBack(latest) ?? null) : { name: 'undo', restores: { queue, queueIndex, picks, pickedBy } };
    };
    const room = displayedRoom();
    const isPossible = room !== null && makeCommand(room) !== null;
    const { isDone, eventCount } = isPossible ? await sendCommand(makeCommand) : { isDone: true, eventCount: null };
    if (isDone && eventCount === null && outcomeOf()?.isDone !== false) showBubble(text('problem.nothing-to-undo'));
    else if (eventCount !== null && isInverse && inverse?.place) sendCommand(inverse.place);
  }

  /** Adds those of the tracks that can become picks. @param {readonly TrackId[]} trackIds @returns {MakeCommand} */
  const addition = (trackIds) => (latest) => {
    const pickable = pickableIds(latest, trackIds);
    return pickable.length > 0 ? { name: 'pick', trackIds: pickable } : null;
  };

  /** Removes those of the tracks that are picks. @param {readonly TrackId[]} trackIds @returns {MakeCommand} */
  const removal = (trackIds) => (latest) => {
    const remaining = trackIds.filter((trackId) => pickOf(latest, trackId));
    return remaining.length > 0 ? { name: 'unpick', trackIds: remaining } : null;
  };

  /** Moves a pick to where it is in the displayed room. @param {TrackId} trackId @returns {MakeCommand} */
  function returnToPlace(trackId) {
    const room = displayedRoom();
    const order = room ? picksOf(room).map((pick) => pick.trackId) : [];
    const followers = order.slice(order.indexOf(trackId) + 1);
    return (latest) => (pickOf(latest, trackId) ? { name: 'move', trackId, before: moveTarget(latest, followers) } : null);
  }

  /** @param {readonly TrackId[]} trackIds */
  function add(trackIds) {
    const room = displayedRoom();
    if (!room) return;
    const pickable = pickableIds(room, trackIds).slice(0, MAX_TRACKS);
    const [first] = pickable;
    if (first === undefined) return explain(room, trackIds);
    const added = asManyAsFit(room, pickable);
    const message = () => {
      const position = placeOf(displayedRoom(), first);
      if (added.length < pickable.length) return text('bubble.addedSome', { count: added.length, total: pickable.length, position });
      return trackIds.length === 1 ? text('bubble.added', { position }) : text('bubble.addedTracks', { count: added.length, position });
    };
    act(message, [addition(added)], { takeBack: removal(added) });
  }

  /** Those that this phone may still have waiting. If there are none, all, so that the reason is shown. @param {Room} room @param {readonly TrackId[]} trackIds */
  function asManyAsFit(room, trackIds) {
    const free = freePickCount(room, store.get().memberId);
    return free > 0 ? trackIds.slice(0, free) : trackIds;
  }

  /** Says why none of the tracks can be added. @param {Room} room @param {readonly TrackId[]} trackIds */
  function explain(room, trackIds) {
    const [only] = trackIds;
    if (only === undefined) return;
    if (trackIds.length > 1) showBubble(text('bubble.allPicked'));
    else if (only === currentTrackId(room)) showBubble(text('bubble.isPlaying'));
    else if (pickOf(room, only)) showBubble(text('bubble.alreadyPicked', { position: placeOf(room, only) }));
  }

  /** @param {TrackId} trackId @param {readonly TrackId[]} followers the picks that are to follow it, in order */
  function move(trackId, followers) {
    act(
      () => text('bubble.moved', { position: placeOf(displayedRoom(), trackId) }),
      [(latest) => (pickOf(latest, trackId) ? { name: 'move', trackId, before: moveTarget(latest, followers) } : null)],
      { takeBack: returnToPlace(trackId) },
    );
  }

  /** @param {TrackId} trackId */
  function playNext(trackId) {
    const room = displayedRoom();
    const isPick = room !== null && pickOf(room, trackId) !== undefined;
    act(() => text('bubble.playsNext'), [() => ({ name: 'nudge', trackId })], { takeBack: isPick ? returnToPlace(trackId) : removal([trackId]) });
  }

  return {
    add,
    move,
    playNext,
    /** Makes the tracks the first picks, in this order. @param {readonly TrackId[]} trackIds */
    playAllNext: (trackIds) => {
      const room = displayedRoom();
      if (!room) return;
      const known = new Set(room.queue);
      const wanted = [...new Set(trackIds)].filter((trackId) => trackId !== currentTrackId(room) && known.has(trackId)).slice(0, MAX_TRACKS);
      const pickable = pickableIds(room, wanted);
      const added = asManyAsFit(room, pickable);
      const first = wanted.filter((trackId) => !pickable.includes(trackId) || added.includes(trackId));
      const [only] = first;
      if (only === undefined) return;
      if (first.length === 1) return playNext(only);
      const picked = picksOf(room).map((pick) => pick.trackId);
      const moves = movesToFront(picked, first, MAX_MOVES, objection(room, store.get().memberId, 'move') === null).map(({ trackId, followers }) => {
        const makeMove = moveTo(trackId, followers);
        // Without the added tracks there is nothing to move.
        return (/** @type {Room} */ latest) => (added.every((id) => pickOf(latest, id)) ? makeMove(latest) : null);
      });
      const message = () =>
        added.length < pickable.length
          ? text('bubble.addedSome', { count: added.length, total: pickable.length, position: placeOf(displayedRoom(), only) })
          : text('bubble.playsNext');
      act(message, added.length > 0 ? [addition(added), ...moves] : moves, added.length > 0 ? { takeBack: removal(added) } : null);
    },
    /** @param {TrackId} trackId */
    playNow: (trackId) => act(() => text('bubble.playsNow'), [() => ({ name: 'play-now', trackId })]),
    /** @param {TrackId} trackId */
    remove: (trackId) => {
      const place = returnToPlace(trackId);
      // Where votes or turns decide the order, it cannot be moved back.
      const placeIfPermitted = (/** @type {Room} */ latest) => (objection(latest, store.get().memberId, 'move', [trackId]) ? null : place(latest));
      act(() => text('bubble.removed'), [removal([trackId])], { takeBack: addition([trackId]), place: placeIfPermitted });
    },
    /** Moves a pick by a number of places. @param {TrackId} trackId @param {number} places negative: to the front */
    moveBy: (trackId, places) => {
      const room = displayedRoom();
      if (!room) return;
      const order = picksOf(room).map((pick) => pick.trackId);
      const from = order.indexOf(trackId);
      const to = Math.max(0, Math.min(order.length - 1, from + places));
      if (from < 0 || to === from) return;
      const others = order.filter((other) => other !== trackId);
      move(trackId, others.slice(to));
    },
    /** Votes for a pick, or takes the vote back. @param {TrackId} trackId @param {boolean} up */
    vote: (trackId, up) => void sendCommand((latest) => (pickOf(latest, trackId) ? { name: 'vote-pick', trackId, up } : null)),
    shuffle: () => act(() => text('bubble.shuffled'), [() => ({ name: 'shuffle' })]),
    /** @param {SortOrder} order */
    sort: (order) => act(() => text('bubble.inOrder'), [() => ({ name: 'sort', order })]),
  };
}
