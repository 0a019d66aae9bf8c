// Uploads by a client of the protocol tus that is not ours, against a real server.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Upload } from 'tus-js-client';

import { FIXTURES, PAIRING_CODE, copyMusicFrom, startServer } from '../support/server.mjs';

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Record<string, string>} */
let headers = {};

before(async () => {
  server = await startServer({ fill: copyMusicFrom(FIXTURES), flags: ['--no-mdns'] });
  const response = await fetch(new URL('/pair', server.url('127.0.0.1')), { method: 'POST', body: JSON.stringify({ code: PAIRING_CODE }) });
  headers = { Authorization: `Bearer ${(await response.json()).clientId}` };
});

after(async () => {
  await server?.remove();
});

/** A WAV file of half a second of noise, which no other file has. @param {number} seed */
function noise(seed) {
  const samples = 22_050;
  const file = Buffer.alloc(44 + samples * 2);
  file.write('RIFF');
  file.writeUInt32LE(file.length - 8, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(44_100, 24);
  file.writeUInt32LE(88_200, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write('data', 36);
  file.writeUInt32LE(samples * 2, 40);
  let state = seed;
  for (let n = 0; n < samples; n += 1) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    file.writeInt16LE((state >> 15) - 2 ** 15, 44 + n * 2);
  }
  return file;
}

/**
 * @param {Buffer} file
 * @param {string} filename
 * @param {import('tus-js-client').UploadOptions} [options]
 * @returns {Promise<string | undefined>} the header `Lockstep-Track` of the last response
 */
function uploadFile(file, filename, options = {}) {
  return new Promise((resolve, reject) => {
    /** @type {string | undefined} */
    let track;
    new Upload(file, {
      endpoint: new URL('/uploads', server.url('127.0.0.1')).href,
      headers,
      metadata: { filename },
      chunkSize: 10_000,
      retryDelays: null,
      onAfterResponse: (request, response) => {
        track = response.getHeader('Lockstep-Track') ?? track;
      },
      onSuccess: () => resolve(track),
      onError: reject,
      ...options,
    }).start();
  });
}

/** @param {Buffer} file */
const trackIdOf = (file) => createHash('sha256').update(file).digest('hex').slice(0, 16);

/** @param {Buffer} file */
async function assertServed(file) {
  const response = await fetch(new URL(`/file/${trackIdOf(file)}`, server.url('127.0.0.1')), { headers });
  assert.equal(response.status, 200);
  assert.ok(Buffer.from(await response.arrayBuffer()).equals(file));
}

test('a file in several pieces becomes a track', async () => {
  const file = noise(1);
  assert.equal(await uploadFile(file, 'Noise.wav'), trackIdOf(file));
  await assertServed(file);
});

test('an upload resumes on a server that was killed meanwhile', async () => {
  const file = noise(2);
  /** @type {Upload} */
  let upload;
  const url = await new Promise((resolve, reject) => {
    upload = new Upload(file, {
      endpoint: new URL('/uploads', server.url('127.0.0.1')).href,
      headers,
      metadata: { filename: 'Noise.wav' },
      chunkSize: 10_000,
      retryDelays: null,
      onChunkComplete: () => upload.abort().then(() => resolve(upload.url), reject),
      onError: reject,
    });
    upload.start();
  });
  await server.kill();
  await server.start();
  /** @type {number[]} */
  const offsets = [];
  const track = await uploadFile(file, 'Noise.wav', { uploadUrl: url, onProgress: (sent) => offsets.push(sent) });
  assert.equal(track, trackIdOf(file));
  assert.ok((offsets[0] ?? 0) >= 10_000, `resumed at ${offsets[0]}`);
  await assertServed(file);
});

test('a text file is refused with a reason', async () => {
  const refused = uploadFile(Buffer.from('no music'), 'Text.mp3');
  await assert.rejects(refused, /415/);
});

test('the music of the fixtures is recognised as known', async () => {
  const file = await readFile(join(FIXTURES, 'fixture.flac'));
  const index = await (await fetch(new URL('/index', server.url('127.0.0.1')), { headers })).json();
  const known = index.find((/** @type {any} */ row) => row.fileName === 'fixture.flac');
  assert.equal(await uploadFile(file, 'Mine.flac'), known.trackId);
});
