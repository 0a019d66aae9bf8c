// What a phone keeps of the music: both backs alike, large tracks, little room, and what outlives the page.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { journey, openBrowser, openPhone } from '../support/phones.mjs';
import { startServer } from '../support/server.mjs';
import { tone, tones } from '../support/tones.mjs';

/** @typedef {import('../support/phones.mjs').Phone} Phone */

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

/** @param {import('node:test').TestContext} t @param {(folder: string) => Promise<unknown>} fill */
async function open(t, fill, host = 'party.lan') {
  const server = await startServer({ fill });
  t.after(server.end);
  const ada = await openPhone(browser, server.url(host));
  t.after(ada.close);
  return { server, ada };
}

const BACKS = [
  { kind: 'Cache Storage', file: 'cache-storage', open: 'openCacheStorage', host: 'localhost' },
  { kind: 'IndexedDB', file: 'indexed-db', open: 'openIndexedDb', host: 'party.lan' },
];

/** In the page: opens the back anew, so that only what was written is there. */
async function reopen(/** @type {string} */ file, /** @type {string} */ name) {
  globalThis.back = await (await import(`/js/cache/${file}.js`))[name]();
  globalThis.entryOf = (trackId, bytes, parts) => ({ trackId, version: 'v1', mime: 'audio/wav', size: bytes, receivedBytes: bytes, parts, usedAtMs: 1 });
  globalThis.write = async (trackId, ...texts) => {
    let entry = globalThis.entryOf(trackId, 0, 0);
    for (const text of texts) {
      const part = new TextEncoder().encode(text).buffer;
      entry = globalThis.entryOf(trackId, entry.size + part.byteLength, entry.parts + 1);
      await globalThis.back.append(entry, part);
    }
    return entry;
  };
  return globalThis.back.kind;
}

for (const { kind, file, open: name, host } of BACKS) {
  test(`${kind} gives back what was written, in order, after a reload too, and lets go of what is removed`, async (t) => {
    const { ada } = await open(t, tones({ Alpha: 1 }), host);
    assert.equal(await ada.read(reopen, file, name), kind);
    await ada.read(async () => {
      await globalThis.write('a', 'one, ', 'two, ', 'three');
      await globalThis.write('ab', 'another');
      await globalThis.back.put({ ...globalThis.entryOf('ab', 7, 1), usedAtMs: 99 });
    });
    await ada.page.reload();
    await ada.read(reopen, file, name);
    const found = await ada.read(async () => {
      const list = (await globalThis.back.list()).sort((x, y) => x.trackId.localeCompare(y.trackId));
      const blobs = await Promise.all(list.map((entry) => globalThis.back.read(entry)));
      return { list, types: blobs.map(({ type }) => type), texts: await Promise.all(blobs.map((blob) => blob.text())) };
    });
    assert.deepEqual(found.list.map(({ trackId, size, parts, usedAtMs }) => [trackId, size, parts, usedAtMs]), [['a', 15, 3, 1], ['ab', 7, 1, 99]]);
    assert.deepEqual(found.texts, ['one, two, three', 'another']);
    assert.deepEqual(found.types, ['audio/wav', 'audio/wav']);

    const left = await ada.read(async () => {
      const entry = (await globalThis.back.list()).find(({ trackId }) => trackId === 'a');
      await globalThis.back.remove('a');
      const gone = await globalThis.back.read(entry).then(() => 'read', () => 'refused');
      // Written anew and shorter, no part of the old one is left.
      const anew = await globalThis.write('a', 'four');
      return { gone, text: await (await globalThis.back.read(anew)).text(), other: (await globalThis.back.list()).length };
    });
    assert.deepEqual(left, { gone: 'refused', text: 'four', other: 2 });

    // A track with a hole is refused, not given out shorter.
    assert.equal(await ada.read(() => globalThis.back.read(globalThis.entryOf('ab', 14, 2)).then(() => 'read', () => 'refused')), 'refused');
    assert.equal(await ada.read(async () => {
      await globalThis.back.clear();
      return (await globalThis.back.list()).length;
    }), 0);
  });

  test(`${kind} keeps a track of 200 MB and gives it out without holding it in memory`, async (t) => {
    const { ada } = await open(t, tones({ Alpha: 1 }), host);
    await ada.read(reopen, file, name);
    const memory = await watchMemory(ada);
    const seen = await ada.read(async () => {
      const [parts, bytes] = [50, 4 * 1024 * 1024];
      for (let i = 0; i < parts; i += 1) {
        // Noise, which nobody can keep in less.
        const part = new Uint8Array(bytes);
        for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(part.subarray(at, at + 65_536));
        part[0] = part[bytes - 1] = i;
        await globalThis.back.append(globalThis.entryOf('large', (i + 1) * bytes, i + 1), part.buffer);
      }
      const blob = await globalThis.back.read(globalThis.entryOf('large', parts * bytes, parts));
      const edges = [];
      for (let i = 0; i < parts; i += 1) {
        for (const at of [i * bytes, (i + 1) * bytes - 1]) edges.push(new Uint8Array(await blob.slice(at, at + 1).arrayBuffer())[0]);
      }
      return { size: blob.size, edges };
    });
    const grownMb = await memory.end();
    assert.equal(seen.size, 200 * 1024 * 1024);
    assert.deepEqual(seen.edges, Array.from({ length: 100 }, (_, i) => i >> 1));
    t.diagnostic(`the page's process grew by ${grownMb} MB at most`);
    assert.ok(grownMb < 100, `${grownMb} MB`);
    await ada.read(() => globalThis.back.clear());
  });
}

/** Watches how much the renderers hold, all together, at their largest; garbage does not count. @param {Phone} phone */
async function watchMemory({ cdp }) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  const ids = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
  const heldMb = async () => {
    await cdp.send('HeapProfiler.collectGarbage');
    const texts = await Promise.all(ids.map((id) => readFile(`/proc/${id}/status`, 'utf8').catch(() => '')));
    return texts.reduce((sum, text) => sum + Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1024, 0);
  };
  const before = await heldMb();
  let most = before;
  let over = false;
  const watching = (async () => {
    while (!over) most = Math.max(most, await heldMb());
  })();
  return {
    end: async () => {
      over = true;
      await watching;
      return Math.round(most - before);
    },
  };
}

/** In the page: how much it may keep, as Settings would have it. */
const budget = (/** @type {number} */ storageMb) => localStorage.setItem('lockstep.settings', JSON.stringify({ storageMb }));

test('the ring is fetched ahead as far as there is room, and a nudged track at once, in the place of what is least needed', async (t) => {
  const names = ['Alpha', 'Beta', 'Gamma', 'Delta', 'Epsilon', 'Zeta', 'Eta', 'Theta'];
  const lengths = Object.fromEntries(names.map((name, i) => [`${i} ${name}`, 65]));
  const { ada } = await open(t, tones(lengths, { rate: 48_000, channels: 2 }));
  // Four of 12.5 MB each, and not a fifth.
  await ada.read(budget, 50);
  await ada.page.reload();
  await journey(t.name, () => [ada], async () => {
    /** @type {string[]} */
    const asked = [];
    const settled = (/** @type {number} */ count) => ada.until(`${count} whole tracks and no download`, async (wanted) => {
      const { openBack } = await import('/js/cache/back.js');
      globalThis.backOfTests ??= await openBack();
      const entries = await globalThis.backOfTests.list();
      return entries.length === wanted && entries.every(({ size, receivedBytes }) => size === receivedBytes);
    }, count);
    ada.page.on('request', (request) => {
      const found = /\/file\/([0-9a-f]{16})/.exec(request.url());
      if (found) asked.push(found[1]);
    });
    await ada.join('Ada');
    await settled(4);
    const { queue } = (await ada.read(async () => (await fetch('/snapshot')).json()));
    assert.deepEqual(asked, queue.slice(0, 4), 'in the order of the ring');
    await ada.open('Queue');
    const nudged = queue[4];
    const title = await ada.read((trackId) => document.querySelector(`.row[data-track="${trackId}"] .title`).textContent, nudged);
    await ada.press(`Play ${title} next`);
    await ada.until('the nudged track', async (trackId) => {
      const entries = await globalThis.backOfTests.list();
      return entries.some((entry) => entry.trackId === trackId && entry.size === entry.receivedBytes);
    }, nudged);
    assert.equal(asked[4], nudged);
    const held = await ada.read(async () => (await globalThis.backOfTests.list()).map(({ trackId }) => trackId));
    assert.deepEqual(held.toSorted(), [...queue.slice(0, 3), nudged].toSorted());
    assert.deepEqual(ada.errors, []);
  });
});

test('on a secure page the browser is asked to keep the music', async (t) => {
  const { ada } = await open(t, tones({ Alpha: 20 }), 'localhost');
  await ada.page.addInitScript(() => {
    globalThis.asked = 0;
    navigator.storage.persist = async () => {
      globalThis.asked += 1;
      return false;
    };
  });
  await ada.page.reload();
  await ada.join('Ada');
  await ada.until('the question', () => globalThis.asked === 1);
});

test('how long a track is, is learned by loading it where the index does not say, and remembered', async (t) => {
  const { ada } = await open(t, tones({ Alpha: 21, Beta: 22 }));
  await ada.page.route('**/index', async (route) => {
    const answer = await route.fetch({ url: route.request().url().replace('party.lan', '127.0.0.1') });
    const tracks = await answer.json();
    await route.fulfill({ json: tracks.map(({ duration: _, ...track }) => track) });
  });
  await ada.join('Ada');
  await ada.until('the length', () => document.querySelector('#position').max === '21');
  // From here on nothing can be loaded, so only what was remembered can tell.
  await ada.page.addInitScript(() => Object.defineProperty(HTMLMediaElement.prototype, 'src', { set: () => {} }));
  await ada.page.reload();
  await ada.until('the length', () => document.querySelector('#position').max === '21');
  await ada.page.unrouteAll({ behavior: 'ignoreErrors' });
});

test('storage cleared in mid-song keeps what sounds and nothing else, and fetches the others again', async (t) => {
  const { ada } = await open(t, tones({ Alpha: 60, Beta: 60, Gamma: 60 }));
  await journey(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.holds(3);
    await ada.press('Play');
    await ada.status('in step');
    let go = () => {};
    const gone = new Promise((resolve) => (go = () => resolve(undefined)));
    await ada.page.route('**/file/**', async (route) => {
      await gone;
      await route.continue();
    });
    await ada.read(() => {
      const audio = document.querySelector('audio');
      globalThis.disturbed = [];
      for (const name of ['pause', 'seeking', 'emptied']) audio.addEventListener(name, () => globalThis.disturbed.push(name));
    });
    const refetched = ada.page.waitForRequest('**/file/**');
    await ada.press('Settings');
    await ada.press('Clear storage');
    await refetched;
    const current = await ada.read(() => document.querySelector('#queue-pinned .row').dataset.track);
    await ada.until('just what sounds', async (trackId) => {
      const entries = await (await globalThis.backOfTests).list();
      return entries.length === 1 && entries[0].trackId === trackId;
    }, current);
    await ada.status('in step');
    await ada.sounds();
    go();
    await ada.holds(2);
    await ada.status('in step');
    assert.deepEqual(await ada.read(() => globalThis.disturbed), []);
    assert.deepEqual(ada.errors, []);
  });
});

test('a download that is answered from the start where its rest was asked for begins anew', async (t) => {
  const { server, ada } = await open(t, (folder) => writeFile(join(folder, 'Long.wav'), tone(120, { rate: 48_000, channels: 2 })));
  await journey(t.name, () => [ada], async () => {
    /** @type {(string | undefined)[]} */
    const ranges = [];
    await ada.page.route('**/file/**', async (route) => {
      const { range, ...headers } = await route.request().allHeaders();
      ranges.push(range);
      if (range === undefined) return route.continue();
      const whole = await route.fetch({ url: route.request().url().replace('party.lan', '127.0.0.1'), headers });
      await route.fulfill({ response: whole });
    });
    await ada.cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: 3_000_000, uploadThroughput: -1 });
    await ada.join('Ada');
    await ada.until('a part of it', () => Number(/downloading (\d+)/.exec(document.querySelector('[role=status]').textContent)?.[1]) > 40);
    await server.kill();
    await ada.status('reconnecting…');
    await ada.cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
    await server.start();
    await ada.holds(1);
    assert.equal(ranges.length, 2, ranges.join());
    assert.match(ranges[1] ?? '', /^bytes=\d{7,}-$/);
    await ada.press('Play');
    await ada.sounds();
    await ada.page.unrouteAll({ behavior: 'ignoreErrors' });
  });
});
