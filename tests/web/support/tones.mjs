// Tracks of any length for tests, as plain WAV files: a tone each, so that they differ by ear too.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * @param {number} seconds
 * @param {{hz?: number, rate?: number, channels?: number}} [options]
 */
export function tone(seconds, { hz = 220, rate = 22_050, channels = 1 } = {}) {
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
  for (let i = 0; i < frames; i += 1) {
    const level = Math.round(6_000 * Math.sin((2 * Math.PI * hz * i) / rate));
    for (let c = 0; c < channels; c += 1) wav.writeInt16LE(level, 44 + (i * channels + c) * 2);
  }
  return wav;
}

/**
 * Fills a folder with tones: name → seconds.
 * @param {Record<string, number>} tracks
 * @param {Parameters<typeof tone>[1]} [options]
 */
export const tones = (tracks, options) => (folder) =>
  Promise.all(
    Object.entries(tracks).map(([name, seconds], i) =>
      writeFile(join(folder, `${name}.wav`), tone(seconds, { hz: 180 + 60 * i, ...options })),
    ),
  );
