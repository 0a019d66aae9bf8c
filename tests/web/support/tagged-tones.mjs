// Tones with tags (ID3v2.3 in a chunk of the WAV file) and covers, for tests of albums and artists.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateSync, crc32 } from 'node:zlib';
import { tone } from './tones.mjs';

/** @typedef {{title: string, artist?: string, album?: string, albumArtist?: string, track?: number, disc?: number, year?: number, compilation?: boolean, seconds?: number, coverHue?: number}} TaggedTone */

const FRAMES = /** @type {const} */ ({ title: 'TIT2', artist: 'TPE1', album: 'TALB', albumArtist: 'TPE2', track: 'TRCK', disc: 'TPOS', year: 'TYER' });

/** An ID3v2.3 frame. */
function frame(/** @type {string} */ id, /** @type {Buffer} */ content) {
  const header = Buffer.alloc(10);
  header.write(id, 0);
  header.writeUInt32BE(content.length, 4);
  return Buffer.concat([header, content]);
}

/** A text in UTF-16 with its byte order mark. */
const utf16 = (/** @type {string} */ text) => Buffer.concat([Buffer.from([1, 0xff, 0xfe]), Buffer.from(text, 'utf16le')]);

/** A PNG of two colours. */
export function coverPicture(/** @type {number} */ hue, side = 96) {
  const rows = Buffer.alloc(side * (1 + 3 * side));
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const lightness = (x - side / 2) ** 2 + (y - side / 2) ** 2 < (side * 0.3) ** 2 ? 0.75 : 0.2 + (0.25 * y) / side;
      const channel = (/** @type {number} */ shift) => Math.round(255 * lightness * (0.6 + 0.4 * Math.cos(((hue + shift) * Math.PI) / 180)));
      rows.set([channel(0), channel(240), channel(120)], y * (1 + 3 * side) + 1 + 3 * x);
    }
  }
  const chunk = (/** @type {string} */ type, /** @type {Buffer} */ data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2], 8);
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

/** An ID3v2.3 tag. */
export function id3(/** @type {TaggedTone} */ { coverHue, compilation, ...tags }) {
  const frames = Object.entries(FRAMES).flatMap(([name, id]) => (tags[name] === undefined ? [] : [frame(id, utf16(String(tags[name])))]));
  if (compilation) frames.push(frame('TCMP', utf16('1')));
  if (coverHue !== undefined) frames.push(frame('APIC', Buffer.concat([Buffer.from('\0image/png\0\x03\0', 'latin1'), coverPicture(coverHue)])));
  const body = Buffer.concat(frames);
  const size = [21, 14, 7, 0].map((shift) => (body.length >> shift) & 0x7f);
  return Buffer.concat([Buffer.from([0x49, 0x44, 0x33, 3, 0, 0, ...size]), body]);
}

/** A WAV file with tags. */
function taggedTone(/** @type {TaggedTone} */ tags, /** @type {number} */ hz) {
  const wav = tone(tags.seconds ?? 60, { hz, rate: 8_000 });
  const tag = id3(tags);
  const chunk = Buffer.concat([Buffer.from('id3 '), Buffer.alloc(4), tag, Buffer.alloc(tag.length % 2)]);
  chunk.writeUInt32LE(tag.length, 4);
  const file = Buffer.concat([wav, chunk]);
  file.writeUInt32LE(file.length - 8, 4);
  return file;
}

/**
 * A `fill` function for `startServer` that writes one file for each tone, into a folder for each album.
 * @param {TaggedTone[]} list
 */
export const taggedTones = (list) => async (/** @type {string} */ folder) => {
  for (const [i, tags] of list.entries()) {
    const path = join(folder, (tags.album ?? '').replaceAll('/', '-'));
    await mkdir(path, { recursive: true });
    await writeFile(join(path, `${String(i + 1).padStart(3, '0')}.wav`), taggedTone(tags, 150 + 3 * i));
  }
};

/** An album of `titles`. @param {Omit<TaggedTone, 'title'> & {album: string}} tags @param {string[]} titles @returns {TaggedTone[]} */
export const album = (tags, titles) => titles.map((title, i) => ({ ...tags, title, track: i + 1 }));
