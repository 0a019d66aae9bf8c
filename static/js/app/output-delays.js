// What belongs to a sound output of this phone: the speaker delay that was set for it, and whether the phone's speaker was
// compared with others on it. When another output is used, its delay is sent to the room without a comparison.

import { formatMs } from '../format.js';
import { text } from '../language/texts.js';
import { outputKind } from './device-kind.js';
import { comparisonOf } from '../room/comparisons.js';
import { ownDelayMs } from '../room/selectors.js';
import { findOutput, isSameOutput, parseComparedOutput, parseOutputs, withOutput } from '../sound/outputs.js';

/** @typedef {import('../sound/outputs.js').Output} Output */

const DELAYS_KEY = 'lockstep.outputs';
const COMPARED_KEY = 'lockstep.comparedOutput';
const KIND_KEY = 'lockstep.outputKind';

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {(delays: Record<string, number>) => Promise<boolean>} options.setDelays resolves to whether the server accepted them
 * @param {(message: string) => void} options.showMessage
 * @returns {(output: Output) => void} must be called with the output in use, when it is known first and when it changes
 */
export function createOutputDelays({ store, setDelays, showMessage }) {
  let knownOutputs = parseOutputs(load(DELAYS_KEY));
  /** The output in use at the last comparison. */
  let comparedOutput = parseComparedOutput(load(COMPARED_KEY));
  /** The output in use; `null` until it is known. @type {Output | null} */
  let output = null;
  /** The delay of the output in use, until the room has it. @type {{delayMs: number, isKnown: boolean} | null} */
  let pending = null;
  /** Whether the room's delay may be that of an earlier output, which this page did not see because it was opened later. */
  let isDelayDoubtful = false;
  let isSending = false;

  // Until the output in use is known, it is likely the one that was used last.
  if (load(KIND_KEY) === 'late') store.update({ outputKind: 'late' });

  const roomDelayMs = (state = store.get()) => ownDelayMs({ ...state, trialDelayMs: null });

  /** @param {number} delayMs */
  function remember(delayMs) {
    if (!output) return;
    isDelayDoubtful = false;
    knownOutputs = withOutput(knownOutputs, { ...output, delayMs });
    save(DELAYS_KEY, knownOutputs);
  }

  /** @param {import('./device-kind.js').OutputKind} newKind */
  function updateKind(newKind) {
    if (newKind === store.get().outputKind) return;
    save(KIND_KEY, newKind);
    store.update({ outputKind: newKind });
  }

  function updateComparison() {
    const { room, memberId, hasOtherOutput } = store.get();
    const comparison = room && memberId !== null ? comparisonOf(room, memberId) : null;
    if (!output || !comparison) return;
    const atMs = Date.parse(comparison.at);
    // An older comparison, as the one of another phone by ear, does not hold for the output in use now.
    if (!comparedOutput || atMs > comparedOutput.atMs) {
      comparedOutput = { ...output, atMs };
      save(COMPARED_KEY, comparedOutput);
    }
    const isOther = !isSameOutput(comparedOutput, output);
    if (isOther !== hasOtherOutput) store.update({ hasOtherOutput: isOther });
  }

  /** Sends the delay of the output in use, unless the room has it already and no comparison on another output. */
  async function send() {
    const { room, memberId, connection, hasOtherOutput } = store.get();
    if (isSending || !room || memberId === null || connection !== 'open') return;
    const delayMs = pending?.delayMs ?? roomDelayMs();
    if (delayMs !== roomDelayMs() || (hasOtherOutput && room.clients[memberId]?.compared)) {
      const sentPending = pending;
      isSending = true;
      const isAccepted = await setDelays({ [memberId]: delayMs });
      isSending = false;
      if (pending !== sentPending) return send();
      if (!isAccepted) return;
    }
    if (!pending) return;
    if (pending.isKnown) showMessage(text('message.outputKnown', { delay: formatMs(delayMs) }));
    pending = null;
    remember(delayMs);
  }

  store.subscribe((state, previous) => {
    if (state.room === previous.room) return;
    if (state.room && previous.room && !isSending && roomDelayMs(state) !== roomDelayMs(previous)) {
      pending = null;
      remember(roomDelayMs(state));
    }
    updateComparison();
  });
  store.subscribe((state, previous) => {
    if (state.connection === 'open' && previous.connection !== 'open') send();
  });

  return (newOutput) => {
    const isOther = output !== null && !isSameOutput(output, newOutput);
    const known = findOutput(knownOutputs, newOutput);
    if (output === null) isDelayDoubtful = known !== undefined && known.delayMs !== roomDelayMs();
    // While a delay is pending, the room has the delay of an earlier output.
    else if (isOther && !pending && !isDelayDoubtful) remember(roomDelayMs());
    output = newOutput;
    updateKind(outputKind(newOutput.latencyMs));
    updateComparison();
    if (isOther) {
      isDelayDoubtful = false;
      pending = { delayMs: known?.delayMs ?? roomDelayMs(), isKnown: known !== undefined };
      if (!known) showMessage(text('message.outputUnknown'));
    }
    send();
  };
}

/** @param {string} key @returns {unknown} */
function load(key) {
  try {
    return JSON.parse(localStorage.getItem(key) ?? 'null');
  } catch {
    return null;
  }
}

/** @param {string} key @param {unknown} value */
function save(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Without storage the outputs are known until the page is closed.
  }
}
