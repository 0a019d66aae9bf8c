// An <audio> element that is made up, beside sound-card.mjs: it loads, seeks and begins with the delays of a real one,
// and says so by the same events.

const LOAD_MS = 15;
const BUFFER_MS = 5;
const SEEK_MS = 20;

/** So long after it began an element without anything to sound from gives up, as Firefox does. */
const GIVE_UP_MS = 8;

/** From the call to the sound. */
const BEGIN_MS = 70;

/** What lies behind the URLs of blobs. @type {Map<string, Blob>} */
const files = new Map();

/** @param {import('node:test').TestContext} t */
export function keepFiles(t) {
  let last = 0;
  t.mock.method(URL, 'createObjectURL', (/** @type {Blob} */ file) => {
    last += 1;
    files.set(`blob:${last}`, file);
    return `blob:${last}`;
  });
  t.mock.method(URL, 'revokeObjectURL', (/** @type {string} */ url) => void files.delete(url));
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
  /** What has been heard of it: from when to when, and from where on. */
  /** @type {{song: string | null, fromMs: number, toMs: number, fromSec: number}[]} */
  passages = [];
  #src = '';
  #says = { song: /** @type {string | null} */ (null), seconds: 0 };
  #positionSec = 0;
  /** @type {{resolve: () => void, reject: (error: Error) => void}[]} */
  #plays = [];
  #sounding = false;
  /** Whatever is on its way comes only while it is still that one's turn. */
  #turns = { load: 0, sound: 0 };

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
    this.#refuse('AbortError');
    Object.assign(this, { readyState: 0, duration: NaN, ended: false, seeking: false, error: null });
    this.#src = url;
    this.#positionSec = 0;
    this.#later('load', LOAD_MS, () => this.#loaded());
  }

  #loaded() {
    const file = files.get(this.#src);
    const says = file?.says ?? (file?.type === 'audio/wav' ? { song: null, seconds: (file.size - 44) / 8_000, playable: true } : null);
    if (!says?.playable) {
      return this.#fail(4);
    }
    this.#says = says;
    this.duration = says.seconds;
    this.readyState = 1;
    this.#tell('loadedmetadata');
    this.#later('load', BUFFER_MS, () => {
      this.readyState = 4;
      this.#tell('canplay');
      this.#begin();
    });
  }

  /** @param {number} code */
  #fail(code) {
    this.error = { code };
    this.#refuse('NotSupportedError');
    this.#tell('error');
  }

  get currentTime() {
    const passage = this.#sounding ? this.passages.at(-1) : undefined;
    return passage ? passage.fromSec + (this.time.now() - passage.fromMs) / 1000 : this.#positionSec;
  }
  set currentTime(sec) {
    this.#halt();
    this.ended = false;
    this.#positionSec = sec;
    // Before it has loaded, this is where it is to begin.
    if (this.readyState === 0) return;
    this.seeking = true;
    this.#later('load', SEEK_MS, () => {
      this.seeking = false;
      this.readyState = 4;
      for (const name of ['seeked', 'canplay']) this.#tell(name);
      this.#begin();
    });
  }

  async play() {
    if (!this.card.allowed) throw new DOMException('not by itself', 'NotAllowedError');
    if (this.error) throw new DOMException('no such format', 'NotSupportedError');
    if (!this.paused) return;
    this.paused = false;
    if (this.ended) this.#positionSec = 0;
    this.ended = false;
    await new Promise((resolve, reject) => {
      this.#plays.push({ resolve: () => resolve(null), reject });
      if (!this.seeking) this.#begin();
    });
  }

  pause() {
    if (this.paused) return;
    this.#halt();
    this.paused = true;
    this.#refuse('AbortError');
    this.time.in(1, () => ['timeupdate', 'pause'].forEach((name) => this.#tell(name)));
  }

  canPlayType() {
    return 'maybe';
  }

  #begin() {
    if (this.paused || this.readyState < 3) return;
    for (const { resolve } of this.#plays.splice(0)) resolve();
    if (!this.card.present) return this.#later('sound', GIVE_UP_MS, () => this.#fail(3));
    this.#later('sound', BEGIN_MS, () => {
      this.#sounding = true;
      const { song } = this.#says;
      this.passages.push({ song, fromMs: this.time.now(), toMs: Infinity, fromSec: this.#positionSec });
      this.#later('sound', (this.duration - this.#positionSec) * 1000, () => this.#end());
    });
  }

  #end() {
    this.#halt();
    if (this.loop) {
      this.#positionSec = 0;
      return this.#begin();
    }
    this.#positionSec = this.duration;
    Object.assign(this, { ended: true, paused: true });
    for (const name of ['timeupdate', 'pause', 'ended']) this.#tell(name);
  }

  /** What sounds is cut off, and what is about to does not. */
  #halt() {
    this.#positionSec = this.currentTime;
    this.#turns.sound += 1;
    const passage = this.passages.at(-1);
    if (this.#sounding && passage) passage.toMs = this.time.now();
    this.#sounding = false;
  }

  /** @param {'load' | 'sound'} what @param {number} ms @param {() => void} then */
  #later(what, ms, then) {
    this.#turns[what] += 1;
    const own = this.#turns[what];
    this.time.in(ms, () => own === this.#turns[what] && then());
  }

  /** @param {string} name */
  #refuse(name) {
    for (const { reject } of this.#plays.splice(0)) reject(new DOMException('', name));
  }

  /** @param {string} name */
  #tell(name) {
    this.dispatchEvent(new Event(name));
  }

  /** @param {number} ms @returns {import('./sound-card.mjs').Sound[]} */
  heardAt(ms) {
    return this.passages
      .filter(({ song, fromMs, toMs }) => song !== null && fromMs <= ms && ms < toMs)
      .map(({ song, fromMs, fromSec }) => ({ song: String(song), positionSec: fromSec + (ms - fromMs) / 1000, level: 1 }));
  }
}
