// WAV files of any duration for tests. Each file holds one sine tone, at a different frequency for each track.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * A WAV file with 16-bit samples. The frequency is a whole number of Hz, so that every second of the tone is the same.
 * @param {number} seconds
 * @param {{hz?: number, rate?: number, channels?: number, amplitude?: number}} [options] `amplitude`: at most 32,767
 */
export function tone(seconds, { hz = 220, rate = 22_050, channels = 1, amplitude = 6_000 } = {}) {
  const frames = Math.round(seconds * rate);
  const bytes = frames * channels * 2;
  const wav = Buffer.alloc(44 + bytes);
  wav.write('RIFF', 0);
  wav.writeUInt32LE(36 + bytes, 4);
  wav.write('WAVEfmt ', 8);
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20);
  wav.writeUInt16LE(channels, 22);
  wav.writeUInt32LE(rate, 24);
  wav.writeUInt32LE(rate * channels * 2, 28);
  wav.writeUInt16LE(channels * 2, 32);
  wav.writeUInt16LE(16, 34);
  wav.write('data', 36);
  wav.writeUInt32LE(bytes, 40);
  const second = Buffer.alloc(rate * channels * 2);
  for (let i = 0; i < rate; i += 1) {
    const sample = Math.round(amplitude * Math.sin((2 * Math.PI * hz * i) / rate));
    for (let c = 0; c < channels; c += 1) second.writeInt16LE(sample, (i * channels + c) * 2);
  }
  for (let offset = 44; offset < wav.length; offset += second.length) second.copy(wav, offset);
  return wav;
}

/**
 * A `fill` function for `startServer` that writes one tone for each track.
 * @param {Record<string, number>} tracks title → seconds
 * @param {Parameters<typeof tone>[1]} [options]
 */
export const tones = (tracks, options) => (folder) =>
  Promise.all(
    Object.entries(tracks).map(([name, seconds], i) =>
      writeFile(join(folder, `${name}.wav`), tone(seconds, { hz: 180 + 60 * i, ...options })),
    ),
  );
