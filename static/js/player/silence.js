// Nothing, as a WAV file: 8 bits, mono, 8 kHz.

const RATE = 8_000;

/** The same second is used again and again, so that an hour of nothing takes no memory while it is made. */
const SECOND = new Uint8Array(RATE).fill(128);

/**
 * @param {number} seconds
 */
export function silence(seconds) {
  const samples = Math.round(RATE * seconds);
  const view = new DataView(new ArrayBuffer(44));
  const text = (/** @type {number} */ at, /** @type {string} */ chars) => {
    for (let i = 0; i < chars.length; i += 1) view.setUint8(at + i, chars.charCodeAt(i));
  };
  text(0, 'RIFF');
  view.setUint32(4, 36 + samples, true);
  text(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, RATE, true);
  view.setUint16(32, 1, true);
  view.setUint16(34, 8, true);
  text(36, 'data');
  view.setUint32(40, samples, true);
  const whole = Array.from({ length: Math.floor(samples / RATE) }, () => SECOND);
  return new Blob([view, ...whole, SECOND.subarray(0, samples % RATE)], { type: 'audio/wav' });
}
