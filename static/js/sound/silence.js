// Makes silent WAV files: 8 bits, mono, 8 kHz.

const SAMPLE_RATE_HZ = 8_000;

/** One second of silence. A Blob is built from repetitions of it, so that no array of the whole length is allocated. */
const SECOND_OF_SILENCE = new Uint8Array(SAMPLE_RATE_HZ).fill(128);

/** @param {number} seconds duration @returns {Blob} */
export function silentWav(seconds) {
  const sampleCount = Math.round(SAMPLE_RATE_HZ * seconds);
  const header = new DataView(new ArrayBuffer(44));
  const writeText = (/** @type {number} */ offset, /** @type {string} */ chars) => {
    for (let i = 0; i < chars.length; i += 1) header.setUint8(offset + i, chars.charCodeAt(i));
  };
  writeText(0, 'RIFF');
  header.setUint32(4, 36 + sampleCount, true);
  writeText(8, 'WAVEfmt ');
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, SAMPLE_RATE_HZ, true);
  header.setUint32(28, SAMPLE_RATE_HZ, true);
  header.setUint16(32, 1, true);
  header.setUint16(34, 8, true);
  writeText(36, 'data');
  header.setUint32(40, sampleCount, true);
  const wholeSeconds = Array.from({ length: Math.floor(sampleCount / SAMPLE_RATE_HZ) }, () => SECOND_OF_SILENCE);
  return new Blob([header, ...wholeSeconds, SECOND_OF_SILENCE.subarray(0, sampleCount % SAMPLE_RATE_HZ)], { type: 'audio/wav' });
}
