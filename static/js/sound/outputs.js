// PURE: tells the sound outputs of a phone apart. Browsers name them only to pages that may use the microphone, so an output is
// known by its latency too: Bluetooth is later than a loudspeaker by a hundred milliseconds and more.

/**
 * An output, and the speaker delay that was set while it was in use; `label` is empty if the browser does not name outputs.
 * @typedef {{label: string, latencyMs: number, delayMs: number}} KnownOutput
 */

/** @typedef {Pick<KnownOutput, 'label' | 'latencyMs'>} Output */

/** The output in use at a comparison of the speaker with others. @typedef {Output & {atMs: number}} ComparedOutput */

/** Latencies that differ by less are those of one output. */
const SAME_OUTPUT_MS = 60;

const MAX_KNOWN_OUTPUTS = 8;

/**
 * An empty label may be that of any output: the browser names an output later, when the page may use the microphone.
 * @param {Output} output
 * @param {Output} other
 */
export function isSameOutput(output, other) {
  if (output.label !== '' && other.label !== '') return output.label === other.label;
  return Math.abs(output.latencyMs - other.latencyMs) < SAME_OUTPUT_MS;
}

/** The known output that is in use; `undefined` for a new one. @param {readonly KnownOutput[]} outputs @param {Output} output */
export function findOutput(outputs, output) {
  const otherLabel = (/** @type {Output} */ { label }) => Number(label !== output.label);
  const distance = (/** @type {Output} */ { latencyMs }) => Math.abs(latencyMs - output.latencyMs);
  return outputs.filter((known) => isSameOutput(known, output)).sort((a, b) => otherLabel(a) - otherLabel(b) || distance(a) - distance(b))[0];
}

/** Sets the delay of an output; the one that was used least recently may be forgotten. @param {readonly KnownOutput[]} outputs @param {KnownOutput} output */
export function withOutput(outputs, output) {
  const known = findOutput(outputs, output);
  const label = output.label || (known?.label ?? '');
  return [{ ...output, label }, ...outputs.filter((other) => other !== known)].slice(0, MAX_KNOWN_OUTPUTS);
}

/** @param {any} value */
const isOutput = (value) => typeof value?.label === 'string' && Number.isFinite(value.latencyMs);

/** Reads outputs as they were stored; invalid ones are left out. @param {unknown} value @returns {KnownOutput[]} */
export function parseOutputs(value) {
  return Array.isArray(value) ? value.filter((output) => isOutput(output) && Number.isFinite(output.delayMs)) : [];
}

/** Reads an output as it was stored; `null` if it is invalid. @param {any} value @returns {ComparedOutput | null} */
export function parseComparedOutput(value) {
  return isOutput(value) && Number.isFinite(value.atMs) ? value : null;
}
