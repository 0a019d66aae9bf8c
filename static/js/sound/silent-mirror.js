// The silent mirror: while the buffer engine plays, the media element plays silence of the same length at the same
// position. Lock-screen controls, headset keys and the exemption of hidden pages from suspension depend on media
// elements: iOS shows "Now Playing" for media elements only, and Android Chrome for media elements longer than 5 s.

import { after } from '../timer.js';

/**
 * Delay of the silence after the music. Loading the silence and opening an output may disturb the output of the
 * music, which would be audible at the beginning of the music.
 */
const MIRROR_DELAY_MS = 300;

/** @param {import('./element-engine.js').ElementEngine} elementEngine its prepared tracks are silence */
export function createSilentMirror(elementEngine) {
  let cancel = () => {};

  return {
    /**
     * Makes the element engine execute the plan with silence, `MIRROR_DELAY_MS` after the buffer engine.
     * @param {Exclude<import('./align.js').Plan, {kind: 'slew'}>} plan
     */
    schedule: (plan) => {
      cancel();
      const waitMs = plan.kind === 'start' ? Math.max(0, plan.atMs - performance.now()) : 0;
      cancel = after(waitMs + MIRROR_DELAY_MS, () => {
        if (plan.kind === 'hold') return elementEngine.execute(plan);
        const atMs = performance.now();
        const positionSec = plan.positionSec + (atMs - plan.atMs) / 1000;
        elementEngine.execute({ ...plan, positionSec, atMs, isImmediate: true });
      });
    },
    /** Drops a plan that has not been executed yet. */
    cancel: () => cancel(),
  };
}
