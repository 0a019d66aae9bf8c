// Uploads of this phone, against a simulated server.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { MAX_SLICE_BYTES, MIN_SLICE_BYTES, nextSliceBytes, nextStep, titleOfFile } from '../../../static/js/app/upload-rules.js';
import { seemsTitled } from '../../../static/js/app/upload-titles.js';
import { createUploads, isBroughtByThisPage } from '../../../static/js/app/uploads.js';
import { ApiError } from '../../../static/js/net/http.js';
import { base64, uploadIdIn } from '../../../static/js/net/uploads-api.js';
import { createStore } from '../../../static/js/store.js';
import { openMemoryStorage } from '../../../static/js/tracks/memory-storage.js';
import { PART_BYTES } from '../../../static/js/tracks/storage.js';
import { storeFile } from '../../../static/js/tracks/store-file.js';
import { createTrackCache } from '../../../static/js/tracks/track-cache.js';
import { FIXTURES } from '../support/server.mjs';

const problem = (/** @type {number} */ status, code = '', retryAfterSec = 0) => new ApiError(status, 'a sentence', retryAfterSec, code);
const begun = { name: 'a.mp3', isBegun: true, failureCount: 0 };

test('slices grow on a fast connection, and shrink on a slow one', () => {
  assert.equal(nextSliceBytes(MIN_SLICE_BYTES, 100), 2 * MIN_SLICE_BYTES);
  assert.equal(nextSliceBytes(MAX_SLICE_BYTES, 10), MAX_SLICE_BYTES);
  assert.equal(nextSliceBytes(MAX_SLICE_BYTES, 4_000), MAX_SLICE_BYTES / 4);
  assert.equal(nextSliceBytes(MIN_SLICE_BYTES, 30_000), MIN_SLICE_BYTES);
  assert.equal(nextSliceBytes(MIN_SLICE_BYTES, 0), 2 * MIN_SLICE_BYTES);
});

test('a lost connection is retried with growing delays', () => {
  const delays = [0, 1, 2, 3, 9].map((failureCount) => nextStep(new TypeError('failed'), { ...begun, failureCount }).delayMs);
  assert.deepEqual(delays, [500, 1_000, 2_000, 5_000, 5_000]);
});

test('a rate limit is waited for, with a sentence', () => {
  const step = nextStep(problem(429, 'too-many-uploads', 37), begun);
  assert.deepEqual([step.kind, step.delayMs, step.message.values.count], ['retry', 37_000, 37]);
});

test('another offset is asked for at once, and an ended upload begins anew', () => {
  for (const status of [409, 423]) assert.deepEqual(nextStep(problem(status), begun), { kind: 'retry', delayMs: 0 });
  assert.equal(nextStep(problem(409), { ...begun, failureCount: 1 }).delayMs, 1_000);
  for (const status of [404, 410]) assert.equal(nextStep(problem(status), begun).kind, 'restart');
});

test('a refused file ends with a sentence that names it', () => {
  for (const [status, code] of [[415, 'not-music'], [413, 'file-too-large'], [507, 'no-room']]) {
    const step = nextStep(problem(status, code), begun);
    assert.deepEqual([step.kind, step.message.key, step.message.values.name, step.isOff], ['end', `problem.${code}`, 'a.mp3', false]);
  }
  assert.equal(nextStep(problem(403, 'uploads-off'), begun).isOff, true);
  assert.equal(nextStep(problem(404), { ...begun, isBegun: false }).kind, 'end');
});

test('only the id of an upload is taken from its address', () => {
  assert.equal(uploadIdIn('/music/uploads/ab-12'), 'ab-12');
  assert.equal(uploadIdIn('https://party.lan/uploads/ab_12'), 'ab_12');
  assert.equal(uploadIdIn(null), null);
});

test('file names are sent as UTF-8', () => {
  assert.equal(Buffer.from(base64('Größe 音.mp3'), 'base64').toString(), 'Größe 音.mp3');
});

test('the title of a file has no extension', () => {
  assert.deepEqual(['Song.mp3', 'No. 5', '.flac', 'a.b.flac'].map(titleOfFile), ['Song', 'No. 5', '.flac', 'a.b']);
});

/** A server that keeps uploads in memory. `fail` may throw in place of an answer. */
function simulatedServer({ fail = (/** @type {string} */ _request) => {} } = {}) {
  /** @type {Map<string, {size: number, bytes: number}>} */
  const uploads = new Map();
  /** @type {string[]} */
  const requests = [];
  /** @type {Map<string, string>} */
  const titles = new Map();
  const receive = (/** @type {string} */ name) => {
    requests.push(name);
    fail(name);
  };
  const find = (/** @type {string} */ id) => {
    const upload = uploads.get(id);
    if (!upload) throw problem(410, 'upload-ended');
    return upload;
  };
  return {
    uploads,
    requests,
    titles,
    api: {
      createUpload: async ({ name, size, title }) => {
        receive(title ? `create ${title}` : 'create');
        const id = `${name}-${requests.length}`;
        uploads.set(id, { size, bytes: 0 });
        return id;
      },
      getUploadOffset: async (id) => {
        receive('offset');
        return find(id).bytes;
      },
      sendUploadSlice: async (id, offset, slice) => {
        const upload = find(id);
        if (upload.bytes !== offset) throw problem(409, 'upload-offset');
        upload.bytes += slice.size;
        receive('send');
        return { offset: upload.bytes, trackId: upload.bytes === upload.size ? `track of ${id}` : null };
      },
      cancelUpload: async (id) => {
        receive('cancel');
        uploads.delete(id);
      },
      getUploads: async () => (receive('list'), []),
      setUploadTitle: async (trackId, title) => {
        receive(`title ${title}`);
        titles.set(trackId, title);
      },
    },
  };
}

function openUploads(server, { stored = [], hasTitleTag = true } = {}) {
  const index = { has: () => true, get: (/** @type {string} */ trackId) => ({ uploadedBy: 'm1', hasTitleTag, tags: { title: server.titles.get(trackId) ?? 'a' } }) };
  const store = createStore({ view: 'room', connection: 'open', memberId: 'm1', index, uploads: [], cachedTrackIds: new Set(), areUploadsOff: false });
  /** @type {Map<string, any>} */
  const saved = new Map(stored.map((record) => [record.key, record]));
  const kept = [];
  const uploads = createUploads({
    store,
    api: server.api,
    records: { load: async () => [...saved.values()], save: async (record) => void saved.set(record.key, record), remove: async (key) => void saved.delete(key) },
    withoutOtherTabs: async (keys) => keys,
    storeFile: async (trackId, file) => void kept.push([trackId, file.name]),
  });
  const finished = () => store.waitFor(({ uploads: shown }) => shown.length === 0, 5_000);
  return { store, uploads, saved, kept, finished };
}

const file = (/** @type {string} */ name, size = 600_000) => new File([new Uint8Array(size)], name);

test('files are sent in slices, stored here, and forgotten', async () => {
  const server = simulatedServer();
  const { uploads, saved, kept, finished } = openUploads(server);
  uploads.add([file('a.mp3')]);
  assert.ok(await finished());
  assert.deepEqual(server.requests, ['create', 'send', 'send']);
  assert.deepEqual(kept, [['track of a.mp3-1', 'a.mp3']]);
  assert.equal(saved.size, 0);
});

test('at most three uploads run at the same time', async () => {
  const server = simulatedServer();
  const { store, uploads, finished } = openUploads(server);
  uploads.add(['a', 'b', 'c', 'd'].map((name) => file(name)));
  assert.deepEqual(store.get().uploads.map(({ status }) => status), ['sending', 'sending', 'sending', 'waiting']);
  assert.ok(await finished());
});

test('a lost answer is followed by the offset that the server has', async () => {
  let isLost = true;
  const server = simulatedServer({ fail: (name) => {
    if (name === 'send' && isLost) {
      isLost = false;
      throw new TypeError('connection lost');
    }
  } });
  const { uploads, finished } = openUploads(server);
  uploads.add([file('a')]);
  assert.ok(await finished());
  assert.deepEqual(server.requests, ['create', 'send', 'offset', 'send', 'send']);
});

test('an upload that the server has forgotten begins anew', async () => {
  const server = simulatedServer();
  const stored = { key: 'k', id: 'forgotten', name: 'a', size: 600_000, lastModified: 1, file: file('a') };
  const { store, finished } = openUploads(server, { stored: [stored] });
  store.update({ view: 'starting' });
  store.update({ view: 'room' });
  assert.ok(await store.waitFor(({ uploads: shown }) => shown.length === 1, 5_000));
  assert.ok(await finished());
  assert.deepEqual(server.requests.slice(0, 2), ['offset', 'create']);
});

test('an upload without its file continues when the file is chosen again', async () => {
  const server = simulatedServer();
  server.uploads.set('half', { size: 600_000, bytes: 400_000 });
  const { store, uploads, finished } = openUploads(server, { stored: [{ key: 'k', id: 'half', name: 'a', size: 600_000, lastModified: 1 }] });
  store.update({ view: 'starting' });
  store.update({ view: 'room' });
  assert.ok(await store.waitFor(({ uploads: shown }) => shown[0]?.status === 'needs-file', 5_000));
  uploads.add([file('a')]);
  assert.equal(store.get().uploads.length, 1);
  assert.ok(await finished());
  assert.deepEqual(server.requests, ['offset', 'send']);
});

test('a refused file shows a sentence until it is dismissed', async () => {
  const server = simulatedServer({ fail: (name) => {
    if (name === 'create') throw problem(403, 'uploads-off');
  } });
  const { store, uploads } = openUploads(server);
  uploads.add([file('a')]);
  assert.ok(await store.waitFor(({ uploads: shown }) => shown[0]?.status === 'failed', 5_000));
  assert.equal(store.get().uploads[0].error.key, 'problem.uploads-off');
  assert.equal(store.get().areUploadsOff, true);
  uploads.cancel(uploads.keys()[0]);
  assert.equal(store.get().uploads.length, 0);
});

test('a title that is typed before the upload begins goes with it', async () => {
  const server = simulatedServer();
  const stored = { key: 'k', id: null, name: 'a', size: 600_000, lastModified: 1, title: 'Lullaby', file: file('a') };
  const { store, finished } = openUploads(server, { stored: [stored], hasTitleTag: false });
  server.titles.set('track of a-1', 'Lullaby');
  store.update({ view: 'starting' });
  store.update({ view: 'room' });
  assert.ok(await store.waitFor(({ uploads: shown }) => shown[0]?.canName, 5_000));
  assert.ok(await finished());
  assert.deepEqual(server.requests, ['create Lullaby', 'send', 'send']);
});

test('a title that is typed while the file is sent follows it', async () => {
  const server = simulatedServer();
  const { store, uploads, saved, finished } = openUploads(server, { hasTitleTag: false });
  uploads.add([file('a')]);
  assert.ok(await store.waitFor(({ uploads: shown }) => shown[0]?.sentBytes > 0, 5_000));
  uploads.setTitle(uploads.keys()[0], '  Our \n song ');
  assert.equal(saved.get(uploads.keys()[0]).title, 'Our song');
  assert.ok(await finished());
  assert.deepEqual(server.requests, ['create', 'send', 'send', 'title Our song']);
  assert.equal(saved.size, 0);
});

test('a listed track without a title waits for one, and a lost answer is repeated', async () => {
  let failures = 1;
  const server = simulatedServer({ fail: (name) => {
    if (name.startsWith('title') && failures > 0) {
      failures -= 1;
      throw new TypeError('connection lost');
    }
  } });
  const { store, uploads, saved, finished } = openUploads(server, { hasTitleTag: false });
  uploads.add([file('a')]);
  assert.ok(await store.waitFor(({ uploads: shown }) => shown[0]?.status === 'untitled', 5_000));
  assert.deepEqual([store.get().uploads[0].canName, saved.size], [true, 0]);
  uploads.setTitle(uploads.keys()[0], 'Late');
  assert.ok(await finished());
  assert.deepEqual(server.requests.slice(-2), ['title Late', 'title Late']);
});

test('the field for a title stays while somebody types in it', async (t) => {
  const { store, uploads } = openUploads(simulatedServer(), { hasTitleTag: false });
  uploads.add([file('a')]);
  assert.ok(await store.waitFor(({ uploads: shown }) => shown[0]?.status === 'untitled', 5_000));
  const [key] = uploads.keys();
  uploads.setTyping(key, true);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  t.mock.timers.tick(600_000);
  assert.equal(store.get().uploads.length, 1);
  uploads.setTyping(key, false);
  t.mock.timers.tick(119_000);
  assert.equal(store.get().uploads.length, 1);
  t.mock.timers.tick(1_000);
  assert.equal(store.get().uploads.length, 0);
});

test('a refused title shows a sentence, and dismissing it cancels nothing', async () => {
  const server = simulatedServer({ fail: (name) => {
    if (name.startsWith('title')) throw problem(422, 'title-in-tags');
  } });
  const { store, uploads, finished } = openUploads(server, { hasTitleTag: false });
  uploads.add([file('a')]);
  assert.ok(await store.waitFor(({ uploads: shown }) => shown[0]?.status === 'untitled', 5_000));
  const [key] = uploads.keys();
  uploads.setTitle(key, 'Late');
  assert.ok(await store.waitFor(({ uploads: shown }) => shown[0]?.error !== null, 5_000));
  assert.equal(store.get().uploads[0].status, 'untitled');
  uploads.cancel(key);
  assert.ok(await finished());
  assert.equal(server.requests.includes('cancel'), false);
});

test('a title in the tags of a file is found without reading all of it', async () => {
  const fixture = async (/** @type {string} */ name) => new File([await readFile(join(FIXTURES, name))], name);
  for (const name of ['fixture.mp3', 'fixture.flac', 'fixture.ogg', 'fixture.opus', 'fixture.m4a', 'fixture.wav', 'fixture.aiff']) {
    assert.equal(await seemsTitled(await fixture(name)), true, name);
  }
  assert.equal(await seemsTitled(await fixture('untagged_song-name.mp3')), false);
  assert.equal(await seemsTitled(file('a', 5_000_000)), false);
  const id3v1 = `TAG${'Song'.padEnd(125, '\0')}`;
  assert.equal(await seemsTitled(new File(['x'.repeat(400_000), id3v1], 'a')), true);
  assert.equal(await seemsTitled(new File(['x', `TAG${'\0'.repeat(125)}`], 'a')), false);
});

test('a cancelled upload ends on the server', async () => {
  const server = simulatedServer();
  const { store, uploads, saved } = openUploads(server);
  uploads.add([file('a', 5_000_000)]);
  assert.ok(await store.waitFor(({ uploads: shown }) => shown[0]?.sentBytes > 0, 5_000));
  uploads.cancel(uploads.keys()[0]);
  assert.equal(store.get().uploads.length, 0);
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(server.requests.includes('cancel'));
  assert.deepEqual([server.uploads.size, saved.size], [0, 0]);
});

test('a track from this page is not downloaded while it is stored', () => {
  const state = { memberId: 'm1', uploads: [{ size: 7, status: 'finishing' }, { size: 8, status: 'failed' }] };
  const isBrought = (/** @type {number} */ size, /** @type {string | undefined} */ uploadedBy) => isBroughtByThisPage(/** @type {any} */ (state), /** @type {any} */ ({ size, uploadedBy }));
  assert.deepEqual([isBrought(7, 'm1'), isBrought(7, 'm2'), isBrought(7, undefined), isBrought(8, 'm1')], [true, false, false, false]);
});

test('a file is stored in parts, if it has the size of the track', async () => {
  const cache = await createTrackCache(openMemoryStorage(), { rankFunction: () => () => 0, isUrgent: () => true, settingsLimitBytes: () => 1e9, onRemoved: () => {}, onFallback: () => {} });
  const content = file('a', PART_BYTES + 3);
  const track = /** @type {any} */ ({ trackId: 'a', version: 'v', mime: 'audio/wav', size: content.size });
  await storeFile(cache, track, content);
  assert.equal((await cache.read('a'))?.size, content.size);
  await assert.rejects(storeFile(cache, { ...track, trackId: 'b', size: 5 }, content));
});
