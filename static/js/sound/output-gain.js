// The gain of all tracks on an AudioContext: the volume of this phone. Test sounds bypass it, so that phones can be compared
// whatever their volumes are.

/** Duration of a change: a step in the signal would be heard as a click. */
const RAMP_SEC = 0.03;

/** @param {AudioContext} context */
export function createOutputGain(context) {
  const node = new GainNode(context);
  node.connect(context.destination);
  let gain = 1;

  return {
    node,
    /** @param {number} newGain a factor */
    set: (newGain) => {
      if (newGain === gain) return;
      const nowSec = context.currentTime;
      // A change during the ramp of another one begins at that one's end value; within 30 ms this is inaudible.
      node.gain.cancelScheduledValues(0);
      node.gain.setValueAtTime(gain, nowSec);
      node.gain.linearRampToValueAtTime(newGain, nowSec + (context.state === 'running' ? RAMP_SEC : 0));
      gain = newGain;
    },
  };
}
