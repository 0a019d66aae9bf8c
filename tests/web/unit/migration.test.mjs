// Copying tracks from the insecure page to the secure page.

import assert from 'node:assert/strict';
import test from 'node:test';
import { openMemoryStorage } from '../../../static/js/tracks/memory-storage.js';
import { copyTracks } from '../../../static/js/net/migration-target.js';

const entry = (trackId, usedAtMs, parts = 2) => ({ trackId, version: 'v', mime: 'audio/flac', size: 4 * parts, receivedBytes: 4 * parts, partCount: parts, usedAtMs });
const [A, B, C] = ['a', 'b', 'c'].map((letter) => letter.repeat(16));
const bytesOfPart = (part) => new Uint8Array(4).fill(part).buffer;

test('missing tracks are copied part by part, most recently used first', async () => {
  const storage = openMemoryStorage();
  await storage.append({ ...entry(B, 2), partCount: 1, receivedBytes: 8, size: 8 }, new ArrayBuffer(8));
  const progressLog = [];
  const fetchPart = async ({ trackId }, part) => {
    progressLog.push(`${trackId[0]}${part}`);
    return bytesOfPart(part);
  };
  await copyTracks([entry(A, 1), entry(B, 2), entry(C, 3)], storage, fetchPart, ({ copied, total }) => progressLog.push(`${copied} of ${total}`));
  assert.deepEqual(progressLog, ['0 of 2', 'c0', 'c1', '1 of 2', 'a0', 'a1']);
  const entries = await storage.list();
  assert.deepEqual(entries.map(({ trackId }) => trackId).sort(), [A, B, C]);
  const copied = await storage.read(entries.find(({ trackId }) => trackId === A));
  assert.deepEqual([...new Uint8Array(await copied.arrayBuffer())], [0, 0, 0, 0, 1, 1, 1, 1]);
});

const failures = [
  ['a part that no longer exists', async () => null],
  ['a closed tab', async () => Promise.reject(new Error('timed out'))],
  ['a part with missing bytes', async () => new ArrayBuffer(3)],
];
for (const [name, fetchPart] of failures) {
  test(`${name} ends copying without incomplete tracks`, async () => {
    const storage = openMemoryStorage();
    let calls = 0;
    const failFromFourthPart = async (track, part) => ((calls += 1) > 3 ? fetchPart() : bytesOfPart(part));
    await copyTracks([entry(A, 2), entry(B, 1)], storage, failFromFourthPart, () => {});
    assert.deepEqual((await storage.list()).map(({ trackId }) => trackId), [A]);
  });
}

test('an invalid track id ends the copying without a request for it', async () => {
  const storage = openMemoryStorage();
  const requestedIds = new Set();
  const fetchPart = async ({ trackId }, part) => {
    requestedIds.add(trackId);
    return bytesOfPart(part);
  };
  await copyTracks([entry(A, 3), entry('../../x', 2), entry(B, 1)], storage, fetchPart, () => {});
  assert.deepEqual([...requestedIds], [A]);
  assert.deepEqual((await storage.list()).map(({ trackId }) => trackId), [A]);
});
