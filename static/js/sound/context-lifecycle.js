// The lifecycle of an AudioContext: resumes the context for playback, suspends an idle context, restarts a context
// whose clock stands still, and detects that the browser or the system requires a gesture before the context plays.

import { after } from '../timer.js';

/** An AudioContext with nothing to play is suspended after this time to save the battery. */
const IDLE_TIMEOUT_MS = 60_000;

/** A running context whose clock has not moved for this long is restarted. */
const STALLED_CLOCK_MS = 1_000;

/** A context that does not run after this time is assumed to require a gesture. */
const RESUME_TIMEOUT_MS = 1_500;
const RESUME_POLL_INTERVAL_MS = 30;

/**
 * @param {AudioContext} context
 * @param {import('./output-clock-meter.js').OutputClockMeter} clockMeter
 * @param {object} options
 * @param {() => boolean} options.isPlaying whether a track is being played or about to start
 * @param {() => boolean} options.isNeeded whether the context must not be suspended
 * @param {() => void} options.onInterrupted the system stopped the context, for instance at a phone call, or its clock
 *   stands still despite a restart; called before `onLocked`
 * @param {() => void} options.onLocked
 * @param {() => void} options.onRunning the context has begun to run
 */
export function createContextLifecycle(context, clockMeter, { isPlaying, isNeeded, onInterrupted, onLocked, onRunning }) {
  /**
   * Whether the context is silent until a gesture: it was interrupted, or did not start in time (a browser that requires a
   * gesture reports no error).
   */
  let isLocked = false;
  let isInterrupted = false;
  /** Whether it was locked because its clock stood still, although it is reported as running. */
  let isClockStopped = false;
  let isSuspendedAsIdle = false;
  /** Whether a restart is under way, which suspends the context for a moment. */
  let isRestarting = false;
  let cancelSuspend = () => {};
  /** The context time at the last check, the page time since which it has been the same, and whether a restart was tried. */
  let clockCheck = { atSec: -1, sinceMs: 0, wasRestarted: false };

  function resume() {
    isSuspendedAsIdle = false;
    context.resume().catch(() => {});
    clockMeter.sampleFast();
  }

  function suspendWhenIdle() {
    cancelSuspend();
    cancelSuspend = after(IDLE_TIMEOUT_MS, () => {
      if (isNeeded() || context.state !== 'running') return;
      isSuspendedAsIdle = true;
      context.suspend();
    });
  }

  /** Whether the context runs and its output clock has been measured often enough. */
  function isReady() {
    return context.state === 'running' && Boolean(clockMeter.estimate()?.isSettled);
  }

  function lock() {
    isLocked = true;
    onLocked();
  }

  /** Requires a gesture to resume playback: the user may be in a phone call or have unplugged a headset. */
  function handleInterruption() {
    isInterrupted = true;
    onInterrupted();
    lock();
  }

  function clearLock() {
    isLocked = false;
    isInterrupted = false;
    isClockStopped = false;
    isRestarting = false;
  }

  context.onstatechange = () => {
    clockMeter.reset();
    if (context.state === 'running') {
      clockMeter.sampleFast();
      // A locked context is resumed only after `unlock`. So the browser has started it late, or the system has resumed it
      // after an interruption, and what the system resumes needs no tap.
      clearLock();
      onRunning();
    } else if (isSuspendedAsIdle && isNeeded()) {
      // A start was scheduled while the browser was suspending the context.
      resume();
    } else if (isPlaying() && !isSuspendedAsIdle && !isRestarting) {
      handleInterruption();
    }
  };

  return {
    isLocked: () => isLocked,
    /** Whether it is locked because the system has stopped it. */
    isInterrupted: () => isInterrupted,
    isReady,
    resume,
    suspendWhenIdle,
    end: () => cancelSuspend(),

    /** Must be called within a gesture. */
    unlock: () => {
      clearLock();
      resume();
      suspendWhenIdle();
    },

    /**
     * Resumes the context and waits, for at most `RESUME_TIMEOUT_MS`, until `isReady()`.
     * @param {() => boolean} isCurrent whether the caller still waits for the context
     * @returns {Promise<boolean>} whether the context runs and the caller still waits; `true` even if the
     *   output clock has not been measured often enough in time
     */
    waitUntilReady: async (isCurrent) => {
      const endMs = performance.now() + RESUME_TIMEOUT_MS;
      resume();
      while (isCurrent() && !isReady() && performance.now() < endMs) {
        await new Promise((resolve) => void after(RESUME_POLL_INTERVAL_MS, () => resolve(null)));
      }
      if (!isCurrent()) return false;
      if (context.state === 'running') return true;
      lock();
      return false;
    },

    /**
     * Restarts a context whose clock stands still. On iOS a context may report `running` after a phone call although
     * its clock does not move. One restart is tried; if it fails, the context is silent until a gesture, or until its clock
     * moves again, as after a stall of the machine.
     */
    restartIfStalled: () => {
      const nowMs = performance.now();
      const isMoving = context.currentTime !== clockCheck.atSec;
      if (isMoving && isClockStopped) {
        clearLock();
        clockMeter.reset();
        clockMeter.sampleFast();
        onRunning();
      }
      if (!isPlaying() || isMoving) {
        clockCheck = { atSec: context.currentTime, sinceMs: nowMs, wasRestarted: false };
        return;
      }
      if (nowMs - clockCheck.sinceMs < STALLED_CLOCK_MS) return;
      if (clockCheck.wasRestarted) {
        isClockStopped = true;
        return handleInterruption();
      }
      clockCheck = { ...clockCheck, sinceMs: nowMs, wasRestarted: true };
      clockMeter.reset();
      isRestarting = true;
      context.suspend().then(() => context.resume(), () => {});
    },
  };
}
