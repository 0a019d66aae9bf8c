// PURE: what becomes of a press that met a newer state than the one it was made for.

import { currentTrack, nextUp, wantsToPlay } from './state.js';

/** @typedef {import('./types.js').Command} Command */
/** @typedef {import('./types.js').Snapshot} Snapshot */

/**
 * `again`: nothing that it was about has changed, so it may be sent once more. `pointless`: the
 * room is already as it was to become. `stale`: it meant something that is no more.
 * @typedef {'again' | 'pointless' | 'stale'} Verdict
 */

/**
 * @param {Command} command
 * @param {Snapshot} pressed what its presser saw
 * @param {Snapshot} now
 * @returns {Verdict}
 */
export function rebase(command, pressed, now) {
  switch (command.name) {
    case 'next':
      // Two people who skip the same song mean one skip.
      return currentTrack(pressed) === currentTrack(now) ? 'again' : 'pointless';
    case 'nudge':
      if (!now.queue.includes(command.trackId ?? '')) return 'stale';
      if (command.trackId === currentTrack(now) || command.trackId === nextUp(now)) return 'pointless';
      return 'again';
    case 'start-now':
      if (now.barrier === null && now.playState.mode === 'playing') return 'pointless';
      return now.barrier && sameBarrier(pressed, now) ? 'again' : 'stale';
    case 'play':
      if (sameScene(pressed, now)) return 'again';
      return currentTrack(pressed) === currentTrack(now) && wantsToPlay(now) ? 'pointless' : 'stale';
    case 'pause':
      if (!wantsToPlay(now)) return 'pointless';
      // The end of a barrier is not the end of the wish for silence.
      return currentTrack(pressed) === currentTrack(now) ? 'again' : 'stale';
    case 'seek':
      return sameScene(pressed, now) && sameAnchor(pressed, now) ? 'again' : 'stale';
  }
}

/**
 * What becomes of a press that had to wait behind others of this phone. The room should be as these were
 * to leave it, but for what could not be foreseen: that it waits for somebody before it plays, and where
 * exactly they met the music.
 * @param {Command} command
 * @param {Snapshot} foreseen what its presser saw
 * @param {Snapshot} now
 * @returns {Verdict}
 */
export function rebaseWaiting(command, foreseen, now) {
  const waits = now.barrier !== null && foreseen.barrier === null;
  const { anchorPositionSec } = foreseen.playState;
  return rebase(command, foreseen, {
    ...now,
    barrier: waits ? null : now.barrier,
    playState: { mode: waits ? 'playing' : now.playState.mode, anchorPositionSec },
  });
}

/**
 * @param {Snapshot} a
 * @param {Snapshot} b
 */
function sameScene(a, b) {
  return (
    currentTrack(a) === currentTrack(b) && a.playState.mode === b.playState.mode && sameBarrier(a, b)
  );
}

/**
 * Who is ready, and who left, does not make it another barrier.
 * @param {Snapshot} a
 * @param {Snapshot} b
 */
function sameBarrier(a, b) {
  return a.barrier?.type === b.barrier?.type && a.barrier?.trackId === b.barrier?.trackId;
}

/**
 * @param {Snapshot} a
 * @param {Snapshot} b
 */
function sameAnchor(a, b) {
  return a.playState.anchorPositionSec === b.playState.anchorPositionSec;
}
