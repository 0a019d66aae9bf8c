// Track storage: both backends, large tracks, the storage limit, and persistence across reloads.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBrowser, openPhone, screenshotOnFailure } from '../support/phones.mjs';
import { startServer } from '../support/server.mjs';
import { tone, tones } from '../support/tones.mjs';

/** @typedef {import('../support/phones.mjs').Phone} Phone */

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

/** @param {import('node:test').TestContext} t @param {(folder: string) => Promise<unknown>} fill */
async function openRoom(t, fill, host = 'party.lan') {
  const server = await startServer({ fill });
  t.after(server.remove);
  const ada = await openPhone(browser, server.url(host));
  t.after(ada.close);
  return { server, ada };
}

const BACKENDS = [
  { kind: 'Cache Storage', file: 'cache-storage', opener: 'openCacheStorage', host: 'localhost' },
  { kind: 'IndexedDB', file: 'indexed-db', opener: 'openIndexedDb', host: 'party.lan' },
];

/** Runs in the page: reopens the backend, so that only written data is visible, and defines helpers for its entries. */
async function reopen(/** @type {string} */ file, /** @type {string} */ opener) {
  globalThis.backend = await (await import(`/js/tracks/${file}.js`))[opener]();
  globalThis.makeEntry = (trackId, bytes, parts) => ({ trackId, version: 'v1', mime: 'audio/wav', size: bytes, receivedBytes: bytes, partCount: parts, usedAtMs: 1 });
  globalThis.writeTrack = async (trackId, ...texts) => {
    let entry = globalThis.makeEntry(trackId, 0, 0);
    for (const text of texts) {
      const part = new TextEncoder().encode(text).buffer;
      entry = globalThis.makeEntry(trackId, entry.size + part.byteLength, entry.partCount + 1);
      await globalThis.backend.append(entry, part);
    }
    return entry;
  };
  return globalThis.backend.kind;
}

for (const { kind, file, opener, host } of BACKENDS) {
  test(`${kind} keeps parts in order across reloads and removes tracks`, async (t) => {
    const { ada } = await openRoom(t, tones({ Alpha: 1 }), host);
    assert.equal(await ada.evaluate(reopen, file, opener), kind);
    await ada.evaluate(async () => {
      await globalThis.writeTrack('a', 'one, ', 'two, ', 'three');
      await globalThis.writeTrack('ab', 'another');
      await globalThis.backend.putEntry({ ...globalThis.makeEntry('ab', 7, 1), usedAtMs: 99 });
    });
    await ada.page.reload();
    await ada.evaluate(reopen, file, opener);
    const stored = await ada.evaluate(async () => {
      const list = (await globalThis.backend.list()).sort((x, y) => x.trackId.localeCompare(y.trackId));
      const blobs = await Promise.all(list.map((entry) => globalThis.backend.read(entry)));
      return { list, types: blobs.map(({ type }) => type), texts: await Promise.all(blobs.map((blob) => blob.text())) };
    });
    assert.deepEqual(stored.list.map(({ trackId, size, partCount, usedAtMs }) => [trackId, size, partCount, usedAtMs]), [['a', 15, 3, 1], ['ab', 7, 1, 99]]);
    assert.deepEqual(stored.texts, ['one, two, three', 'another']);
    assert.deepEqual(stored.types, ['audio/wav', 'audio/wav']);

    const rewritten = await ada.evaluate(async () => {
      const entry = (await globalThis.backend.list()).find(({ trackId }) => trackId === 'a');
      await globalThis.backend.remove('a');
      const removed = await globalThis.backend.read(entry).then(() => 'read', () => 'refused');
      // A shorter rewrite leaves no part of the old track.
      const newEntry = await globalThis.writeTrack('a', 'four');
      return { removed, text: await (await globalThis.backend.read(newEntry)).text(), trackCount: (await globalThis.backend.list()).length };
    });
    assert.deepEqual(rewritten, { removed: 'refused', text: 'four', trackCount: 2 });

    // A track with a missing part is refused instead of returned shorter.
    assert.equal(await ada.evaluate(() => globalThis.backend.read(globalThis.makeEntry('ab', 14, 2)).then(() => 'read', () => 'refused')), 'refused');
    assert.equal(await ada.evaluate(async () => {
      await globalThis.backend.clear();
      return (await globalThis.backend.list()).length;
    }), 0);
  });

  test(`${kind} stores a track of 200 MB with little memory`, async (t) => {
    const { ada } = await openRoom(t, tones({ Alpha: 1 }), host);
    await ada.evaluate(reopen, file, opener);
    const memory = await recordPeakMemory(ada);
    const result = await ada.evaluate(async () => {
      const [parts, bytes] = [50, 4 * 1024 * 1024];
      for (let i = 0; i < parts; i += 1) {
        // Random data, which cannot be compressed.
        const part = new Uint8Array(bytes);
        for (let offset = 0; offset < bytes; offset += 65_536) crypto.getRandomValues(part.subarray(offset, offset + 65_536));
        part[0] = part[bytes - 1] = i;
        await globalThis.backend.append(globalThis.makeEntry('large', (i + 1) * bytes, i + 1), part.buffer);
      }
      const blob = await globalThis.backend.read(globalThis.makeEntry('large', parts * bytes, parts));
      const edges = [];
      for (let i = 0; i < parts; i += 1) {
        for (const offset of [i * bytes, (i + 1) * bytes - 1]) edges.push(new Uint8Array(await blob.slice(offset, offset + 1).arrayBuffer())[0]);
      }
      return { size: blob.size, edges };
    });
    const grownMb = await memory.end();
    assert.equal(result.size, 200 * 1024 * 1024);
    assert.deepEqual(result.edges, Array.from({ length: 100 }, (_, i) => i >> 1));
    t.diagnostic(`the memory of the page's process grew by at most ${grownMb} MB`);
    assert.ok(grownMb < 100, `the memory grew by ${grownMb} MB`);
    await ada.evaluate(() => globalThis.backend.clear());
  });
}

/** Memory is sampled this often; each sample collects garbage, which takes CPU time. */
const SAMPLE_INTERVAL_MS = 50;

/** Samples the resident memory of all renderer processes after garbage collection. @param {Phone} phone */
async function recordPeakMemory({ cdp }) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  const ids = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
  const residentMb = async () => {
    await cdp.send('HeapProfiler.collectGarbage');
    const texts = await Promise.all(ids.map((id) => readFile(`/proc/${id}/status`, 'utf8').catch(() => '')));
    return texts.reduce((sum, text) => sum + Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1024, 0);
  };
  const initialMb = await residentMb();
  let peakMb = initialMb;
  let isStopped = false;
  const sampling = (async () => {
    while (!isStopped) {
      await sleep(SAMPLE_INTERVAL_MS);
      peakMb = Math.max(peakMb, await residentMb());
    }
  })();
  return {
    end: async () => {
      isStopped = true;
      await sampling;
      return Math.round(peakMb - initialMb);
    },
  };
}

/** Runs in the page: stores a storage limit in MB, as Settings does. */
const setStorageLimit = (/** @type {number} */ storageMb) => localStorage.setItem('lockstep.settings', JSON.stringify({ storageMb }));

test('prefetching stops at the limit; a nudge evicts the least needed track', async (t) => {
  const names = ['Alpha', 'Beta', 'Gamma', 'Delta', 'Epsilon', 'Zeta', 'Eta', 'Theta'];
  const durations = Object.fromEntries(names.map((name, i) => [`${i} ${name}`, 65]));
  const { ada } = await openRoom(t, tones(durations, { rate: 48_000, channels: 2 }));
  // Room for four tracks of 12.5 MB each.
  await ada.evaluate(setStorageLimit, 50);
  await ada.page.reload();
  await screenshotOnFailure(t.name, () => [ada], async () => {
    /** @type {string[]} */
    const requestedIds = [];
    const waitForExactly = (/** @type {number} */ count) => ada.waitFor(`exactly ${count} complete tracks in storage`, async (expectedCount) => {
      const { openStorage } = await import('/js/tracks/storage.js');
      globalThis.trackStorage ??= await openStorage();
      const entries = await globalThis.trackStorage.list();
      return entries.length === expectedCount && entries.every(({ size, receivedBytes }) => size === receivedBytes);
    }, count);
    ada.page.on('request', (request) => {
      const match = /\/file\/([0-9a-f]{16})/.exec(request.url());
      if (match) requestedIds.push(match[1]);
    });
    await ada.join('Ada');
    await waitForExactly(4);
    const { queue } = (await ada.evaluate(async () => (await fetch('/snapshot')).json()));
    assert.deepEqual(requestedIds, queue.slice(0, 4), 'downloads must follow the queue order');
    await ada.openTab('Queue');
    const nudgedTrackId = queue[4];
    const title = await ada.waitFor('the row of the track', (trackId) => document.querySelector(`.row[data-track="${trackId}"] .title`)?.textContent, nudgedTrackId);
    await ada.press(`Play ${title} next`);
    await ada.waitFor('the nudged track in storage', async (trackId) => {
      const entries = await globalThis.trackStorage.list();
      return entries.some((entry) => entry.trackId === trackId && entry.size === entry.receivedBytes);
    }, nudgedTrackId);
    assert.equal(requestedIds[4], nudgedTrackId);
    const storedIds = await ada.evaluate(async () => (await globalThis.trackStorage.list()).map(({ trackId }) => trackId));
    assert.deepEqual(storedIds.toSorted(), [...queue.slice(0, 3), nudgedTrackId].toSorted());
    assert.deepEqual(ada.errors, []);
  });
});

test('a secure page requests persistent storage', async (t) => {
  const { ada } = await openRoom(t, tones({ Alpha: 20 }), 'localhost');
  await ada.page.addInitScript(() => {
    globalThis.persistCalls = 0;
    navigator.storage.persist = async () => {
      globalThis.persistCalls += 1;
      return false;
    };
  });
  await ada.page.reload();
  await ada.join('Ada');
  await ada.waitFor('one call of navigator.storage.persist', () => globalThis.persistCalls === 1);
});

test('an unknown duration is read from the loaded track and stored', async (t) => {
  const { ada } = await openRoom(t, tones({ Alpha: 21, Beta: 22 }));
  await ada.page.route('**/index', async (route) => {
    const response = await route.fetch({ url: route.request().url().replace('party.lan', '127.0.0.1') });
    const tracks = await response.json();
    await route.fulfill({ json: tracks.map(({ duration: _, ...track }) => track) });
  });
  await ada.join('Ada');
  await ada.waitFor('the track duration', () => document.querySelector('#position').max === '21');
  // From here on nothing can be loaded, so the duration can only come from storage.
  await ada.page.addInitScript(() => Object.defineProperty(HTMLMediaElement.prototype, 'src', { set: () => {} }));
  await ada.page.reload();
  await ada.waitFor('the track duration', () => document.querySelector('#position').max === '21');
  await ada.page.unrouteAll({ behavior: 'ignoreErrors' });
});

test('Clear storage keeps the playing track and downloads the others again', async (t) => {
  const { ada } = await openRoom(t, tones({ Alpha: 60, Beta: 60, Gamma: 60 }));
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.waitForStoredTracks(3);
    await ada.press('Play');
    await ada.waitForStatus('in step');
    let release = () => {};
    const released = new Promise((resolve) => (release = () => resolve(undefined)));
    await ada.page.route('**/file/**', async (route) => {
      await released;
      await route.continue();
    });
    await ada.evaluate(() => {
      // Not 'seeking': on an overloaded machine the page also corrects underruns by seeking.
      globalThis.stops = [];
      for (const name of ['pause', 'emptied']) document.querySelector('audio').addEventListener(name, () => globalThis.stops.push(name));
    });
    const downloadRequested = ada.page.waitForRequest('**/file/**');
    await ada.press('Settings');
    await ada.press('Clear storage');
    await downloadRequested;
    const playingTrackId = await ada.evaluate(async () => {
      const { queue, queueIndex } = await (await fetch('/snapshot')).json();
      return queue[queueIndex];
    });
    await ada.waitFor('only the playing track in storage', async (trackId) => {
      const entries = await (await globalThis.trackStorage).list();
      return entries.length === 1 && entries[0].trackId === trackId;
    }, playingTrackId);
    await ada.waitForStatus('in step');
    await ada.waitForPlayback();
    release();
    await ada.waitForStoredTracks(2);
    await ada.waitForStatus('in step');
    assert.deepEqual(await ada.evaluate(() => globalThis.stops), []);
    assert.deepEqual(ada.errors, []);
  });
});

test('a resumed download restarts when the response is 200', async (t) => {
  const { server, ada } = await openRoom(t, (folder) => writeFile(join(folder, 'Long.wav'), tone(120, { rate: 48_000, channels: 2 })));
  await screenshotOnFailure(t.name, () => [ada], async () => {
    /** @type {(string | undefined)[]} */
    const ranges = [];
    await ada.page.route('**/file/**', async (route) => {
      const { range, ...headers } = await route.request().allHeaders();
      ranges.push(range);
      if (range === undefined) return route.continue();
      const fullResponse = await route.fetch({ url: route.request().url().replace('party.lan', '127.0.0.1'), headers });
      await route.fulfill({ response: fullResponse });
    });
    await ada.cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: 3_000_000, uploadThroughput: -1 });
    await ada.join('Ada');
    await ada.waitFor('a partial download', () => Number(/downloading (\d+)/.exec(document.querySelector('[role=status]').textContent)?.[1]) > 40);
    await server.kill();
    await ada.waitForStatus('reconnecting…');
    await ada.cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
    await server.start();
    await ada.waitForStoredTracks(1);
    assert.equal(ranges.length, 2, `requested ranges: ${ranges}`);
    assert.match(ranges[1] ?? '', /^bytes=\d{7,}-$/);
    await ada.press('Play');
    await ada.waitForPlayback();
    await ada.page.unrouteAll({ behavior: 'ignoreErrors' });
  });
});
