// The uploads of this phone: sends files to the server slice by slice, continues after lost connections and reloads, and stores each
// uploaded file as the track that it has become. upload-rules.js decides what follows a failure.

import { ApiError, problemMessage } from '../net/http.js';
import { MIN_SLICE_BYTES, nextSliceBytes, nextStep } from './upload-rules.js';
import { isReadable } from './upload-records.js';
import { cleanTitle, mayName, seemsTitled, sendTitle } from './upload-titles.js';
import { after } from '../timer.js';

/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {import('../types.js').Upload} Upload */

/**
 * One upload. `trackId`: the track that waits for a title. `sentTitle`: the
 * title with which the upload began. `isTyping`: its title is being typed. `request` ends the pending request; `wake` ends the pause before a retry, `stopNaming` the time for a title.
 * @typedef {{shown: Upload, id: string | null, trackId: TrackId | null, sentTitle: string, lastModified: number, file: File | null, isTyping: boolean, isCancelled: boolean, hasSentAll: boolean, request: AbortController, wake: () => void, stopNaming: () => void}} Entry
 */

/**
 * Uploads at the same time: as many as the server allows. Browsers open six connections to a server, of which the event stream needs one,
 * and other requests must not wait for a slice.
 */
const MAX_ACTIVE = 3;

/** How long a title can be typed for a track that has become listed without one. */
const NAMING_MS = 120_000;

/** How long the index may take to contain a new track. */
const INDEX_TIMEOUT_MS = 15_000;

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {Pick<typeof import('../net/uploads-api.js'), 'createUpload' | 'getUploadOffset' | 'sendUploadSlice' | 'cancelUpload' | 'getUploads' | 'setUploadTitle'>} options.api
 * @param {import('./upload-records.js').UploadRecords} options.records
 * @param {(keys: string[]) => Promise<string[]>} options.withoutOtherTabs returns those keys that no other tab uploads
 * @param {(trackId: TrackId, file: File) => Promise<void>} options.storeFile
 */
export function createUploads({ store, api, records, withoutOtherTabs, storeFile }) {
  /** @type {Map<string, Entry>} */
  const entries = new Map();
  let activeCount = 0;
  let isRestored = false;

  const publish = () => store.update({ uploads: [...entries.values()].map(({ shown }) => shown) });

  /** @param {Entry} entry @param {Partial<Upload>} change */
  function show(entry, change) {
    entry.shown = { ...entry.shown, ...change };
    if (entries.get(entry.shown.key) === entry) publish();
  }

  /** @param {Entry} entry */
  function save({ shown: { key, name, size, title }, id, lastModified, file }) {
    return records.save({ key, name, size, title, lastModified, id, ...(file && { file }) });
  }

  /** @param {{key: string, name: string, size: number, lastModified: number, title?: string, id: string | null, file: File | null}} values */
  function addEntry({ key, name, size, lastModified, title = '', id, file }) {
    /** @type {Upload} */
    const shown = { key, name, size, sentBytes: 0, title, canName: title !== '', status: file ? 'waiting' : 'needs-file', error: null };
    /** @type {Entry} */
    const entry = { shown, id, trackId: null, sentTitle: '', lastModified, file, isTyping: false, isCancelled: false, hasSentAll: false, request: new AbortController(), wake: () => {}, stopNaming: () => {} };
    entries.set(key, entry);
    return entry;
  }

  /** Removes the upload from the list and from the browser's storage. @param {Entry} entry */
  function forget(entry) {
    entry.stopNaming();
    entries.delete(entry.shown.key);
    records.remove(entry.shown.key);
    publish();
  }

  /** Starts waiting uploads, as many as may run. */
  function startWaiting() {
    if (store.get().view !== 'room') return;
    for (const entry of entries.values()) {
      if (activeCount >= MAX_ACTIVE) return;
      if (entry.shown.status === 'waiting' && entry.file) run(entry, entry.file);
    }
  }

  /** @param {Entry} entry @param {File} file */
  async function run(entry, file) {
    activeCount += 1;
    show(entry, { status: 'sending', error: null });
    try {
      const trackId = await send(entry, file);
      if (trackId === null) return;
      show(entry, { status: 'finishing', sentBytes: file.size });
      finish(entry, trackId, file);
    } finally {
      activeCount -= 1;
      startWaiting();
    }
  }

  /** @param {Entry} entry @param {TrackId} trackId @param {File} file */
  async function finish(entry, trackId, file) {
    try {
      // The library may have a better copy, of another size, which is downloaded.
      if (await store.waitFor(({ index }) => index.has(trackId), INDEX_TIMEOUT_MS)) await storeFile(trackId, file);
    } catch {
      // The track is downloaded.
    }
    await name(entry, trackId);
    // The choice of the next download depends on the uploads.
    store.update({ cachedTrackIds: new Set(store.get().cachedTrackIds) });
  }

  /** Gives the track the typed title, and forgets the upload unless a title can still be typed. @param {Entry} entry @param {TrackId} trackId */
  async function name(entry, trackId) {
    const { index, memberId } = store.get();
    const track = index.get(trackId);
    const { key, title } = entry.shown;
    if (!track && title !== entry.sentTitle) return show(entry, { status: 'failed', error: { key: 'upload.titleLost' } });
    if (!track || !mayName(track, memberId)) return forget(entry);
    try {
      if (title !== '' && title !== track.tags.title) await sendTitle(() => api.setUploadTitle(trackId, title));
    } catch (error) {
      show(entry, { error: problemMessage(error) });
    }
    if (entry.isCancelled) return;
    // Another title was typed meanwhile.
    if (entry.shown.title !== title) return void (await name(entry, trackId));
    if (title !== '' && entry.shown.error === null) return forget(entry);
    records.remove(key);
    entry.trackId = trackId;
    show(entry, { status: 'untitled', canName: true });
    awaitTitle(entry);
  }

  /** Forgets the upload of a track without a title if none is typed for some time. @param {Entry} entry */
  function awaitTitle(entry) {
    entry.stopNaming();
    if (entry.trackId !== null && !entry.isTyping) entry.stopNaming = after(NAMING_MS, () => forget(entry));
  }

  /** @param {Entry} entry @param {File} file */
  async function findTitle(entry, file) {
    if (!(await seemsTitled(file))) show(entry, { canName: true });
  }

  /**
   * Sends the file until the server has all of it.
   * @param {Entry} entry
   * @param {File} file
   * @returns {Promise<TrackId | null>} `null` if the upload has ended without a track, or waits for its file
   */
  async function send(entry, file) {
    let sliceBytes = MIN_SLICE_BYTES;
    let failureCount = 0;
    /** How many bytes the server has; `null` if unknown. @type {number | null} */
    let offset = null;
    while (!entry.isCancelled) {
      entry.request = new AbortController();
      const { signal } = entry.request;
      try {
        if (entry.id === null) {
          const { title } = entry.shown;
          const id = await api.createUpload({ name: file.name, size: file.size, title }, signal);
          entry.sentTitle = title;
          if (entry.isCancelled) {
            api.cancelUpload(id).catch(() => {});
            return null;
          }
          entry.id = id;
          save(entry);
          offset = 0;
        }
        offset ??= await api.getUploadOffset(entry.id, signal);
        show(entry, { sentBytes: offset });
        const slice = file.slice(offset, offset + sliceBytes);
        entry.hasSentAll = offset + slice.size === file.size;
        const startedMs = performance.now();
        const response = await api.sendUploadSlice(entry.id, offset, slice, signal);
        if (response.trackId !== null) return response.trackId;
        // The last slice of a file is shorter and says nothing about the connection.
        if (slice.size === sliceBytes) sliceBytes = nextSliceBytes(sliceBytes, performance.now() - startedMs);
        failureCount = 0;
        offset = response.offset;
        show(entry, { sentBytes: offset });
      } catch (error) {
        if (entry.isCancelled) return null;
        if (!(error instanceof ApiError) && !(await isReadable(file))) return askForFile(entry);
        offset = null;
        const step = nextStep(error, { name: file.name, isBegun: entry.id !== null, failureCount });
        failureCount += 1;
        if (step.kind === 'end') {
          if (step.isOff) store.update({ areUploadsOff: true });
          records.remove(entry.shown.key);
          show(entry, { status: 'failed', error: step.message });
          return null;
        }
        if (step.kind === 'restart') {
          const trackId = entry.hasSentAll ? await findTrack(file).catch(() => null) : null;
          if (trackId !== null) return trackId;
          entry.id = null;
          entry.hasSentAll = false;
          show(entry, { sentBytes: 0 });
        }
        if (step.kind === 'retry' && step.message) show(entry, { error: step.message });
        await pause(entry, step.delayMs);
        show(entry, { error: null });
      }
    }
    return null;
  }

  /** The track of a file whose last response was lost. @param {File} file */
  async function findTrack({ size }) {
    const { memberId } = store.get();
    return (await api.getUploads()).find((upload) => upload.size === size && upload.by === memberId)?.trackId ?? null;
  }

  /** @param {Entry} entry */
  function askForFile(entry) {
    entry.file = null;
    save(entry);
    show(entry, { status: 'needs-file' });
    return null;
  }

  /** Waits before a retry. Ends early when the connection is open again. @param {Entry} entry @param {number} ms @returns {Promise<void>} */
  function pause(entry, ms) {
    return new Promise((resolve) => {
      const cancel = after(ms, resolve);
      entry.wake = () => {
        cancel();
        resolve();
      };
    });
  }

  /** Continues the uploads of an earlier page. */
  async function restore() {
    isRestored = true;
    const stored = await records.load();
    const keys = stored.length === 0 ? [] : await withoutOtherTabs(stored.map(({ key }) => key));
    for (const { file, ...record } of stored) {
      if (!keys.includes(record.key) || entries.has(record.key)) continue;
      const readable = file instanceof File && (await isReadable(file)) ? file : null;
      const entry = addEntry({ ...record, file: readable });
      if (readable) findTitle(entry, readable);
    }
    publish();
    startWaiting();
  }

  store.subscribe((state, previous) => {
    if (state.view !== previous.view && state.view === 'join') {
      for (const entry of [...entries.values()]) end(entry);
    }
    if (state.view === 'room' && previous.view !== 'room') {
      if (isRestored) startWaiting();
      else restore();
    }
    if (state.connection === previous.connection) return;
    // A request on the lost connection might stay pending for a minute.
    if (previous.connection === 'open') for (const { request } of entries.values()) request.abort();
    if (state.connection === 'open') for (const { wake } of entries.values()) wake();
  });

  /** @param {Entry} entry */
  function end(entry) {
    entry.isCancelled = true;
    entry.request.abort();
    entry.wake();
    if (entry.id !== null && !['failed', 'untitled'].includes(entry.shown.status)) api.cancelUpload(entry.id).catch(() => {});
    forget(entry);
  }

  return {
    /** Uploads files. A file that an upload has asked for continues that upload. @param {readonly File[]} files */
    add: (files) => {
      for (const file of files) {
        const { name, size, lastModified } = file;
        const asking = [...entries.values()].find(({ shown }) => shown.status === 'needs-file' && shown.name === name && shown.size === size);
        const key = `${Date.now()}-${Math.random().toString(36).slice(2)}`;
        const entry = asking ?? addEntry({ key, name, size, lastModified, id: null, file });
        entry.file = file;
        entry.shown = { ...entry.shown, status: 'waiting' };
        save(entry);
        findTitle(entry, file);
      }
      publish();
      startWaiting();
    },

    /** Sets the title of a file that has none in its tags. @param {string} key @param {string} title */
    setTitle: (key, title) => {
      const entry = entries.get(key);
      if (!entry) return;
      show(entry, { title: cleanTitle(title), error: entry.trackId === null ? entry.shown.error : null });
      if (entry.trackId !== null) name(entry, entry.trackId);
      else save(entry);
    },

    /** To be called when the user begins and stops typing a title. @param {string} key @param {boolean} isTyping */
    setTyping: (key, isTyping) => {
      const entry = entries.get(key);
      if (!entry) return;
      entry.isTyping = isTyping;
      awaitTitle(entry);
    },

    /** Cancels an upload, or removes one that has failed from the list. @param {string} key */
    cancel: (key) => {
      const entry = entries.get(key);
      if (entry) end(entry);
    },

    /** The keys of all uploads of this page. */
    keys: () => [...entries.keys()],
  };
}

/**
 * Whether a track is a file that this phone is about to store itself, so that the track must not be downloaded.
 * @param {import('../types.js').AppState} state
 * @param {import('../types.js').Track} track
 */
export function isBroughtByThisPage({ uploads, memberId }, { size, uploadedBy }) {
  return uploadedBy !== undefined && uploadedBy === memberId && uploads.some((upload) => upload.size === size && (upload.status === 'sending' || upload.status === 'finishing'));
}
