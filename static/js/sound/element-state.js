// The state of the element engine: the plan that it executes, its phase, and whether the browser allows sound.

/** @typedef {import('./align.js').Plan} Plan */
/** @typedef {import('./align.js').PlayerReport} PlayerReport */
/** @typedef {ReturnType<typeof createElementState>} ElementState */

/**
 * @param {import('./element-source.js').ElementSource} source
 * @param {() => void} onChange called when the element was locked or has been allowed to play
 */
export function createElementState(source, onChange) {
  /** @type {PlayerReport['phase']} */
  let phase = 'empty';
  /** @type {Plan | null} */
  let plan = null;
  /** Increases with each plan, so that an asynchronous start can detect a later plan. */
  let planNumber = 0;
  let isSoundAllowed = false;
  /**
   * Why the element is silent until a gesture: the browser has refused sound, or the system has stopped it.
   * @type {'refused' | 'stopped' | null}
   */
  let lockReason = null;
  /** Whether the system has stopped the element, and no plan has followed. */
  let isStoppedBySystem = false;

  /** @param {'refused' | 'stopped'} reason */
  function lock(reason) {
    lockReason = reason;
    onChange();
  }

  /** To be called when the element has become silent without a new plan. */
  function markSilent() {
    phase = source.loadedTrackId() === null ? 'empty' : 'held';
    plan = null;
  }

  return {
    phase: () => phase,
    plan: () => plan,
    /** Whether the element is silent until a gesture. */
    isLocked: () => lockReason !== null,
    /** Whether it is so because the system has stopped it. */
    isInterrupted: () => lockReason === 'stopped',
    /** Whether the browser is known to allow sound. */
    isSoundAllowed: () => isSoundAllowed && lockReason === null,
    lock: () => lock('refused'),
    markSilent,

    lockAfterSystemPause: () => {
      isStoppedBySystem = true;
      lock('stopped');
    },
    isStoppedBySystem: () => isStoppedBySystem,

    /** @param {PlayerReport['phase']} newPhase */
    setPhase: (newPhase) => {
      phase = newPhase;
    },

    /** @param {Plan | null} newPlan @returns {() => boolean} whether no later plan has been set */
    setPlan: (newPlan) => {
      plan = newPlan;
      isStoppedBySystem = false;
      planNumber += 1;
      const ownPlanNumber = planNumber;
      return () => ownPlanNumber === planNumber;
    },

    /** To be called when the browser has accepted a call of `play()`. */
    markAllowed: () => {
      isSoundAllowed = true;
      lockReason = null;
      isStoppedBySystem = false;
      onChange();
    },

    /** To be called when `play()` was rejected. @param {unknown} error */
    handlePlayError: (error) => {
      const name = error instanceof DOMException ? error.name : '';
      // A later `pause()` or `src` has cancelled the call of `play()`.
      if (name === 'AbortError') return;
      markSilent();
      if (name === 'NotAllowedError') lock('refused');
    },
  };
}
