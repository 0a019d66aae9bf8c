// The import of settings and tracks from the insecure page.

import assert from 'node:assert/strict';
import test from 'node:test';
import { importStorage } from '../../../static/js/app/storage-import.js';
import { migrateFrom } from '../../../static/js/net/migration-target.js';
import { parseSettings } from '../../../static/js/settings.js';
import { createStore } from '../../../static/js/store.js';
import { openMemoryStorage } from '../../../static/js/tracks/memory-storage.js';

const ORIGIN = 'http://party.lan';
const TRACK = 'a'.repeat(16);
const ENTRY = { trackId: TRACK, version: 'v', mime: 'audio/flac', size: 4, receivedBytes: 4, partCount: 1, usedAtMs: 1 };
const SOUND_DEFAULTS = { volume: 1, isMuted: false, isLevelling: true, language: 'auto' };
const SETTINGS = { name: 'Ada', isRemoteControl: true, storageMb: 700, ...SOUND_DEFAULTS };

/** Makes this process a page that was opened by a page with the given responses, by request type. */
function openFromOldPage(t, responses) {
  const requests = [];
  const opener = {
    postMessage: ({ type }, origin, [port]) => {
      requests.push(type);
      assert.equal(origin, ORIGIN);
      port.postMessage(responses[type] ?? {});
      port.close();
    },
  };
  Object.assign(globalThis, { window: { opener }, history: { replaceState: () => {} }, location: { pathname: '/' } });
  t.after(() => {
    for (const name of ['window', 'history', 'location']) delete globalThis[name];
  });
  return requests;
}

async function importFrom(t, responses) {
  const requests = openFromOldPage(t, responses);
  const store = createStore({ view: 'starting', migration: null });
  const storage = openMemoryStorage();
  const changes = [];
  await importStorage({
    store,
    runMigration: (onProgress) => migrateFrom(ORIGIN, storage, onProgress),
    changeSettings: (settings) => changes.push(settings),
  });
  const trackIds = (await storage.list()).map(({ trackId }) => trackId);
  return { requests, changes, trackIds, state: store.get() };
}

test('an import copies settings and tracks, then reports its end', async (t) => {
  const list = { settings: SETTINGS, entries: [ENTRY] };
  const { requests, changes, trackIds, state } = await importFrom(t, { list, part: { bytes: new ArrayBuffer(4) } });
  assert.deepEqual([requests, changes, trackIds], [['list', 'part', 'done'], [SETTINGS], [TRACK]]);
  assert.deepEqual([state.view, state.migration], ['starting', null]);
});

for (const [name, list] of [
  ['without settings and entries', {}],
  ['without entries', { settings: SETTINGS }],
  ['without settings', { entries: [ENTRY] }],
]) {
  test(`a list ${name} changes no settings and leaves the old page’s tracks`, async (t) => {
    const { requests, changes, trackIds, state } = await importFrom(t, { list });
    assert.deepEqual([requests, changes, trackIds], [['list'], [], []]);
    assert.equal(state.view, 'starting');
  });
}

test('entries of an earlier version of the page are copied', async (t) => {
  const { partCount, ...oldEntry } = { ...ENTRY, parts: 1 };
  const list = { settings: SETTINGS, entries: [oldEntry] };
  const { trackIds } = await importFrom(t, { list, part: { bytes: new ArrayBuffer(4) } });
  assert.deepEqual(trackIds, [TRACK]);
});

for (const [name, value, expected] of [
  ['current settings', SETTINGS, SETTINGS],
  ['settings of an earlier version', { name: 'Ada', remote: true, storageMb: 700 }, SETTINGS],
  ['nothing', undefined, { name: '', isRemoteControl: false, storageMb: 500, ...SOUND_DEFAULTS }],
  ['values of other types', { name: 7, isRemoteControl: 'yes', storageMb: 'much', volume: 1.5, isMuted: 1 }, { name: '', isRemoteControl: false, storageMb: 500, ...SOUND_DEFAULTS }],
  ['a volume and a muted phone', { ...SETTINGS, volume: 0, isMuted: true, isLevelling: false }, { ...SETTINGS, volume: 0, isMuted: true, isLevelling: false }],
]) {
  test(`${name} are read as valid settings`, () => assert.deepEqual(parseSettings(value), expected));
}
