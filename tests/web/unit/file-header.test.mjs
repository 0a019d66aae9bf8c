// What the first bytes of real files say: the number of channels, and where the music begins.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { channelCount, id3Length, readHeader } from '../../../static/js/sound/file-header.js';

const fixture = (/** @type {string} */ name) => readFile(fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url)));
const bytes = (/** @type {(string | number | number[])[]} */ ...parts) => Uint8Array.from(parts.flatMap((part) => (typeof part === 'string' ? [...part].map((c) => c.charCodeAt(0)) : part)));
const zeros = (/** @type {number} */ count) => new Array(count).fill(0);

/** An ID3v2 tag of the given size, in front of other bytes. */
const withTag = (/** @type {Uint8Array} */ music, size = 300) => new Blob([bytes('ID3', [4, 0, 0, 0, 0, size >> 7, size & 127], zeros(size)), music]);

for (const name of ['aiff', 'flac', 'm4a', 'ogg', 'opus', 'wav']) {
  test(`one channel is found in a mono file: ${name}`, async () => {
    assert.equal((await readHeader(new Blob([await fixture(`fixture.${name}`)]))).channels, 1);
  });
}

/** @type {[string, Uint8Array, number][]} */
const surround = [
  ['FLAC', bytes('fLaC', zeros(16), (7 << 1) | 1), 8],
  ['WAV', bytes('RIFF', zeros(4), 'WAVEfmt ', [16, 0, 0, 0, 1, 0, 6, 0]), 6],
  ['AIFF', bytes('FORM', zeros(4), 'AIFFCOMM', [0, 0, 0, 18, 0, 6]), 6],
  ['Opus', bytes('OggS', zeros(24), 'OpusHead', 1, 6), 6],
  ['Vorbis', bytes('OggS', zeros(24), '\x01vorbis', [0, 0, 0, 0, 6]), 6],
  ['ADTS', bytes([0xff, 0xf1, 0x4d, 0xc0]), 8],
  ['AAC in MP4', bytes(zeros(4), 'ftyp', zeros(40), 'esds', zeros(4), [3, 0x80, 0x80, 0x80, 37, 0, 1, 0, 4, 23], zeros(10), [5, 0x34, 8, 5, 2, 0x12, 0x30]), 6],
];
for (const [format, head, expected] of surround) {
  test(`all channels of surround sound are found: ${format}`, () => assert.equal(channelCount(head), expected));
}

test('two channels are assumed for what is unknown', () => assert.equal(channelCount(bytes('what is this?')), 2));

test('a tag in front of FLAC is removed, and the channels are found', async () => {
  const flac = await fixture('fixture.flac');
  const { music, channels } = await readHeader(withTag(flac));
  assert.deepEqual(new Uint8Array(await music.arrayBuffer()), new Uint8Array(flac));
  assert.equal(channels, 1);
});

test('other files keep the tag in front of their music', async () => {
  const mp3 = new Blob([await fixture('fixture.mp3')]);
  assert.ok(id3Length(new Uint8Array(await mp3.arrayBuffer())) > 0);
  assert.equal((await readHeader(mp3)).music, mp3);
});

test('the description at the end of a long MP4 file is found', async () => {
  const head = bytes(zeros(4), 'ftyp', zeros(100));
  const description = bytes('esds', zeros(4), [3, 37, 0, 1, 0, 4, 23], zeros(13), [5, 2, 0x12, 0x30], zeros(50));
  assert.equal((await readHeader(new Blob([head, new Uint8Array(300_000), description]))).channels, 6);
});
