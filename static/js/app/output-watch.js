// Notices when this phone's sound comes from another output, such as Bluetooth headphones: measures the output anew, so that the
// phone is in step again, and uses what belongs to that output (output-delays.js).

import { isSilencedHere } from '../room/own-silence.js';
import { isSameOutput } from '../sound/outputs.js';
import { every } from '../timer.js';

/** @typedef {import('../sound/outputs.js').Output} Output */

const CHECK_INTERVAL_MS = 400;

/** A latency must be measured this often in a row: a stalled machine reports a wrong one for a second. */
const CONFIRMATIONS = 5;

/**
 * Whether the output may be judged. While the phone records or plays test sounds, systems route the sound otherwise, and a
 * changed delay would spoil the comparison.
 * @param {import('../types.js').AppState} state
 */
function isWatching(state) {
  return state.view === 'room' && !state.settings.isRemoteControl && !isSilencedHere(state) && !state.testSoundSchedule && !state.isMeasuring;
}

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {Pick<import('../sound/player.js').Player, 'outputLatencyMs' | 'resetOutputClock'>} options.player
 * @param {(output: Output) => void} options.useOutput
 */
export function watchOutput({ store, player, useOutput }) {
  /** The output in use; `null` until its latency is confirmed. @type {Output | null} */
  let output = null;
  /** The output that the last measurements show. @type {Output | null} */
  let candidate = null;
  let confirmationCount = 0;
  let label = '';
  let outputCount = 0;

  function check() {
    const latencyMs = isWatching(store.get()) ? player.outputLatencyMs() : null;
    const measured = latencyMs === null ? null : { label, latencyMs };
    const isSame = candidate && measured && isSameOutput(candidate, measured);
    if (!isSame) {
      candidate = measured;
      confirmationCount = 0;
    }
    confirmationCount += 1;
    if (!candidate || confirmationCount < CONFIRMATIONS) return;
    if (!output || !isSameOutput(output, candidate)) switchTo(candidate);
    // The browser names its outputs once the page may use the microphone.
    else if (output.label === '' && label !== '') switchTo({ ...output, label });
  }

  /** @param {Output} newOutput */
  function switchTo(newOutput) {
    if (output && !isSameOutput(output, newOutput)) player.resetOutputClock();
    output = newOutput;
    candidate = null;
    useOutput(newOutput);
  }

  /** Reads the outputs of the device, which browsers show on secure pages. Returns whether other outputs are listed. */
  async function readDevices() {
    const devices = (await navigator.mediaDevices.enumerateDevices().catch(() => [])).filter(({ kind }) => kind === 'audiooutput');
    const newLabel = (devices.find(({ deviceId }) => deviceId === 'default') ?? devices[0])?.label ?? '';
    const isRevealed = (label === '') !== (newLabel === '');
    const hasChanged = !isRevealed && (newLabel !== label || devices.length !== outputCount);
    outputCount = devices.length;
    label = newLabel;
    return hasChanged;
  }

  every(CHECK_INTERVAL_MS, check);
  if (!navigator.mediaDevices?.enumerateDevices) return;
  readDevices();
  navigator.mediaDevices.addEventListener('devicechange', async () => {
    if (!(await readDevices()) || !isWatching(store.get())) return;
    // The sound may already come from the new output, so that the measurements of the old one are wrong.
    player.resetOutputClock();
    candidate = null;
    if (output && output.label !== '' && output.label !== label) switchTo({ label, latencyMs: output.latencyMs });
  });
}
