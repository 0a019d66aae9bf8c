// A fake <audio> element on the sound card of sound-card.mjs. It loads, seeks and starts with the delays of a real element and
// dispatches the same events.

/** Delays of a real element. */
const LOAD_MS = 15;
const BUFFERING_MS = 5;
const SEEK_MS = 20;

/** Without an audio output, playback fails this long after its start, as in Firefox. */
const NO_OUTPUT_ERROR_MS = 8;

/** Time from `play()` to audible sound. */
const START_LATENCY_MS = 70;

/** Blobs by object URL. @type {Map<string, Blob>} */
const blobs = new Map();

/** Replaces `URL.createObjectURL` and `revokeObjectURL`. @param {import('node:test').TestContext} t */
export function mockObjectUrls(t) {
  let lastId = 0;
  t.mock.method(URL, 'createObjectURL', (/** @type {Blob} */ blob) => {
    lastId += 1;
    blobs.set(`blob:${lastId}`, blob);
    return `blob:${lastId}`;
  });
  t.mock.method(URL, 'revokeObjectURL', (/** @type {string} */ url) => void blobs.delete(url));
}

export class FakeElement extends EventTarget {
  readyState = 0;
  duration = NaN;
  paused = true;
  ended = false;
  seeking = false;
  loop = false;
  /** @type {{code: number} | null} */
  error = null;
  /** Audible passages: from `fromMs` to `toMs`, beginning at the position `fromSec`. */
  /** @type {{song: string | null, fromMs: number, toMs: number, fromSec: number}[]} */
  passages = [];
  #src = '';
  #content = { song: /** @type {string | null} */ (null), seconds: 0 };
  #positionSec = 0;
  /** @type {{resolve: () => void, reject: (error: Error) => void}[]} */
  #pendingPlays = [];
  #isSounding = false;
  /** Sequence numbers of the latest delayed steps. A superseded step does not run. */
  #latestStep = { load: 0, sound: 0 };

  /**
   * @param {import('./virtual-time.mjs').Time} time
   * @param {import('./sound-card.mjs').Card} card
   */
  constructor(time, card) {
    super();
    this.time = time;
    this.card = card;
  }

  get src() {
    return this.#src;
  }
  set src(url) {
    this.#halt();
    this.paused = true;
    this.#rejectPlays('AbortError');
    Object.assign(this, { readyState: 0, duration: NaN, ended: false, seeking: false, error: null });
    this.#src = url;
    this.#positionSec = 0;
    this.#delay('load', LOAD_MS, () => this.#handleLoaded());
  }

  #handleLoaded() {
    const blob = blobs.get(this.#src);
    const silence = blob?.type === 'audio/wav' ? { song: null, seconds: (blob.size - 44) / 8_000, playable: true } : null;
    const content = blob?.content ?? silence;
    if (!content?.playable) return this.#fail(4);
    this.#content = content;
    this.duration = content.seconds;
    this.readyState = 1;
    this.#dispatch('loadedmetadata');
    this.#delay('load', BUFFERING_MS, () => {
      this.readyState = 4;
      this.#dispatch('canplay');
      this.#startSound();
    });
  }

  /** @param {number} code of the MediaError */
  #fail(code) {
    this.error = { code };
    this.#rejectPlays('NotSupportedError');
    this.#dispatch('error');
  }

  get currentTime() {
    const passage = this.#isSounding ? this.passages.at(-1) : undefined;
    return passage ? passage.fromSec + (this.time.now() - passage.fromMs) / 1000 : this.#positionSec;
  }
  set currentTime(sec) {
    this.#halt();
    this.ended = false;
    this.#positionSec = sec;
    // Before the metadata has loaded, this is the default playback start position.
    if (this.readyState === 0) return;
    this.seeking = true;
    this.#delay('load', SEEK_MS, () => {
      this.seeking = false;
      this.readyState = 4;
      for (const name of ['seeked', 'canplay']) this.#dispatch(name);
      this.#startSound();
    });
  }

  async play() {
    if (!this.card.allowed) throw new DOMException('a gesture is required', 'NotAllowedError');
    if (this.error) throw new DOMException('unsupported format', 'NotSupportedError');
    if (!this.paused) return;
    this.paused = false;
    if (this.ended) this.#positionSec = 0;
    this.ended = false;
    await new Promise((resolve, reject) => {
      this.#pendingPlays.push({ resolve: () => resolve(null), reject });
      if (!this.seeking) this.#startSound();
    });
  }

  pause() {
    if (this.paused) return;
    this.#halt();
    this.paused = true;
    this.#rejectPlays('AbortError');
    this.time.after(1, () => ['timeupdate', 'pause'].forEach((name) => this.#dispatch(name)));
  }

  canPlayType() {
    return 'maybe';
  }

  #startSound() {
    if (this.paused || this.readyState < 3) return;
    for (const { resolve } of this.#pendingPlays.splice(0)) resolve();
    this.#dispatch('playing');
    if (!this.card.present) return this.#delay('sound', NO_OUTPUT_ERROR_MS, () => this.#fail(3));
    this.#delay('sound', START_LATENCY_MS, () => {
      this.#isSounding = true;
      const { song } = this.#content;
      this.passages.push({ song, fromMs: this.time.now(), toMs: Infinity, fromSec: this.#positionSec });
      this.#delay('sound', (this.duration - this.#positionSec) * 1000, () => this.#handleEnd());
    });
  }

  #handleEnd() {
    this.#halt();
    if (this.loop) {
      this.#positionSec = 0;
      return this.#startSound();
    }
    this.#positionSec = this.duration;
    Object.assign(this, { ended: true, paused: true });
    for (const name of ['timeupdate', 'pause', 'ended']) this.#dispatch(name);
  }

  /** Ends the audible sound, and cancels a sound that is about to start. */
  #halt() {
    this.#positionSec = this.currentTime;
    this.#latestStep.sound += 1;
    const passage = this.passages.at(-1);
    if (this.#isSounding && passage) passage.toMs = this.time.now();
    this.#isSounding = false;
  }

  /** @param {'load' | 'sound'} kind @param {number} ms @param {() => void} step */
  #delay(kind, ms, step) {
    this.#latestStep[kind] += 1;
    const number = this.#latestStep[kind];
    this.time.after(ms, () => number === this.#latestStep[kind] && step());
  }

  /** @param {string} name */
  #rejectPlays(name) {
    for (const { reject } of this.#pendingPlays.splice(0)) reject(new DOMException('', name));
  }

  /** @param {string} name */
  #dispatch(name) {
    this.dispatchEvent(new Event(name));
  }

  /** The audible sound at a time of the page's clock. @param {number} ms @returns {import('./sound-card.mjs').Sound[]} */
  heardAt(ms) {
    return this.passages
      .filter(({ song, fromMs, toMs }) => song !== null && fromMs <= ms && ms < toMs)
      .map(({ song, fromMs, fromSec }) => ({ song: String(song), positionSec: fromSec + (ms - fromMs) / 1000, level: 1 }));
  }
}
