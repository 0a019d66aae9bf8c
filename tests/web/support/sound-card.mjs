// A fake of the parts of the Web Audio API that the player uses. Its AudioContext renders bursts of 128-frame blocks on its own clock,
// and each block becomes audible after a latency. Instead of samples it records song, position and level for each block, so that tests
// can query the audible sound at any time.

import { seededRandom } from './seeded-random.mjs';

const QUANTUM_FRAMES = 128;

/** Number of blocks rendered at once. */
const BURST_BLOCKS = 4;

/** Largest error of an output timestamp. */
const MAX_TIMESTAMP_ERROR_MS = 0.1;

/** Rounding tolerance for times, in frames. */
const FRAME_TOLERANCE = 1e-4;

/** Levels below this one count as inaudible. */
const MIN_AUDIBLE_LEVEL = 0.001;

/**
 * @typedef {object} Card
 * @property {number} latencyMs from rendering a block until it is audible
 * @property {number} decodeMs duration of `decodeAudioData`
 * @property {number} resumeMs duration of `resume`
 * @property {number} suspendMs duration of `suspend`
 * @property {boolean} allowed whether the browser's autoplay policy allows sound
 * @property {boolean} present whether the device has an audio output
 * @property {number} sampleRate of the output, which contexts have that are made from then on, in Hz
 * @property {number} ppm rate error of the card's clock in parts per million
 * @property {'complete' | 'cancelling' | 'rendered'} timestamps what output timestamps say: `complete`, as in Chromium, when a frame is
 *   audible; `cancelling`, as in Firefox 153, `outputLatency` is subtracted from both times; `rendered`, as in Safari, when the last burst
 *   was rendered
 */

/** @typedef {{song: string, positionSec: number, level: number}} Sound */

/**
 * @param {import('./virtual-time.mjs').Time} time
 * @param {Partial<Card>} [overrides]
 */
export function openSoundCard(time, overrides = {}) {
  /** @type {Card} */
  const card = { latencyMs: 40, decodeMs: 30, resumeMs: 20, suspendMs: 5, allowed: true, present: true, sampleRate: 48_000, ppm: 0, timestamps: 'complete', ...overrides };
  const random = seededRandom(9);
  /** @type {AudioContext[]} */
  const contexts = [];
  let startedSources = 0;

  class AudioContext {
    sampleRate = card.sampleRate;
    baseLatency = 0.01;
    destination = { isDestination: true };
    state = 'suspended';
    /** @type {(() => void) | null} */
    onstatechange = null;
    /** @type {Set<AudioBufferSourceNode>} */
    sources = new Set();
    /** @type {{audibleAtMs: number, frame: number, sounds: object[]}[]} */
    blocks = [];
    frame = 0;
    /** Time and frame at the last change of state, from which the clock counts. */
    clockStart = { atMs: 0, frame: 0 };
    isClockStopped = false;
    /** Whether `suspend` and `resume` restart a stopped clock. */
    isRestartable = true;

    constructor() {
      contexts.push(this);
    }

    get outputLatency() {
      return card.latencyMs / 1000;
    }

    get currentTime() {
      this.render();
      return this.frame / this.sampleRate;
    }

    /** The time in ms at which a frame is audible. @param {number} frame */
    audibleAtMs(frame) {
      return this.clockStart.atMs + ((frame - this.clockStart.frame) / this.sampleRate / (1 + card.ppm / 1e6)) * 1000 + card.latencyMs;
    }

    getOutputTimestamp() {
      this.render();
      const audibleFrame = this.clockStart.frame + ((time.now() - this.clockStart.atMs - card.latencyMs) / 1000) * this.sampleRate * (1 + card.ppm / 1e6);
      if (this.state !== 'running' || audibleFrame <= this.clockStart.frame) return { contextTime: 0, performanceTime: 0 };
      const latencySec = card.latencyMs / 1000;
      if (card.timestamps === 'cancelling') return { contextTime: Math.max(0, this.currentTime - latencySec), performanceTime: time.now() - card.latencyMs };
      const burstFrame = this.frame - QUANTUM_FRAMES * BURST_BLOCKS;
      if (card.timestamps === 'rendered') return { contextTime: burstFrame / this.sampleRate, performanceTime: this.audibleAtMs(burstFrame) - card.latencyMs };
      return { contextTime: Math.min(audibleFrame, this.frame) / this.sampleRate, performanceTime: time.now() + MAX_TIMESTAMP_ERROR_MS * random() };
    }

    /** Renders all blocks that are due. Later calls cannot change rendered blocks. */
    render() {
      if (this.state !== 'running' || this.isClockStopped) return;
      const elapsedFrames = ((time.now() - this.clockStart.atMs) / 1000) * this.sampleRate * (1 + card.ppm / 1e6);
      const bursts = Math.floor(elapsedFrames / (QUANTUM_FRAMES * BURST_BLOCKS)) + 1;
      while (this.frame < this.clockStart.frame + bursts * QUANTUM_FRAMES * BURST_BLOCKS) this.renderBlock();
    }

    renderBlock() {
      const { frame } = this;
      const sounds = [...this.sources].map((source) => source.render(frame)).filter((sound) => sound !== null);
      this.blocks.push({ audibleAtMs: this.audibleAtMs(frame), frame, sounds });
      this.frame += QUANTUM_FRAMES;
    }

    tick() {
      this.render();
      if (this.state === 'running') time.after((QUANTUM_FRAMES * BURST_BLOCKS * 1000) / this.sampleRate, () => this.tick());
    }

    /** @param {string} state */
    setState(state) {
      if (this.state === state) return;
      this.render();
      this.state = state;
      this.clockStart = { atMs: time.now(), frame: this.frame };
      this.onstatechange?.();
      if (state === 'running') this.tick();
    }

    resume() {
      return new Promise((resolve) => {
        if (!card.allowed || !card.present) return;
        time.after(card.resumeMs, () => {
          this.isClockStopped &&= !this.isRestartable;
          this.setState('running');
          resolve(undefined);
        });
      });
    }
    close() {
      return new Promise((resolve) => time.after(5, () => resolve(this.setState('closed'))));
    }
    suspend() {
      return new Promise((resolve) => time.after(card.suspendMs, () => resolve(this.setState('suspended'))));
    }

    /** @param {ArrayBuffer} bytes */
    decodeAudioData(bytes) {
      const copy = structuredClone(bytes, { transfer: [bytes] });
      return new Promise((resolve, reject) => {
        time.after(card.decodeMs, () => {
          const content = songIn(copy);
          if (!content?.decodable) reject(new DOMException('Unable to decode audio data', 'EncodingError'));
          else resolve({ song: content.song, numberOfChannels: content.channels ?? 2, duration: Math.round(content.seconds * this.sampleRate) / this.sampleRate });
        });
      });
    }

    /** @param {number} channels @param {number} length @param {number} rate */
    createBuffer(channels, length, rate) {
      return { song: 'a test sound', duration: length / rate, copyToChannel: () => {} };
    }

    /** The audible sounds at a time of the page's clock. @param {number} ms @returns {Sound[]} */
    heardAt(ms) {
      const block = this.blocks[lastBlockAt(this.blocks, ms)];
      const frames = block ? ((ms - block.audibleAtMs) / 1000) * this.sampleRate * (1 + card.ppm / 1e6) : Infinity;
      if (!block || frames >= QUANTUM_FRAMES) return [];
      return block.sounds
        .filter(({ first, last }) => frames >= first && frames < last)
        .map(({ song, positionSec, rate, first, level }) => ({
          song,
          positionSec: positionSec + ((frames - first) * rate) / this.sampleRate,
          level: level((block.frame + frames) / this.sampleRate),
        }));
    }
  }

  class AudioBufferSourceNode {
    playbackRate = new FakeAudioParam(1);
    /** @type {(() => void) | null} */
    onended = null;
    destination = null;
    firstFrame = Infinity;
    stopFrame = Infinity;
    positionSec = 0;
    endSec = 0;

    /** @param {AudioContext} context @param {{buffer: any}} options */
    constructor(context, { buffer }) {
      this.context = context;
      this.buffer = buffer;
    }

    connect(node) {
      this.destination = node;
      return node;
    }

    start(whenSec = 0, offsetSec = 0, durationSec = Infinity) {
      if (this.firstFrame < Infinity) throw new DOMException('start called twice', 'InvalidStateError');
      if (whenSec < 0 || offsetSec < 0 || durationSec < 0) throw new RangeError('negative time');
      this.context.render();
      this.firstFrame = Math.max(this.context.frame, Math.ceil(whenSec * this.context.sampleRate - FRAME_TOLERANCE));
      this.positionSec = offsetSec;
      this.endSec = Math.min(this.buffer.duration, offsetSec + durationSec);
      this.context.sources.add(this);
      startedSources += 1;
    }

    stop(whenSec = 0) {
      if (this.firstFrame === Infinity) throw new DOMException('stop called before start', 'InvalidStateError');
      this.context.render();
      this.stopFrame = Math.max(this.context.frame, Math.ceil(whenSec * this.context.sampleRate - FRAME_TOLERANCE));
    }

    /** The part of the source in the block that begins with `frame`; `null` for none. @param {number} frame */
    render(frame) {
      const rate = this.playbackRate.at(frame / this.context.sampleRate);
      const first = Math.max(0, this.firstFrame - frame);
      if (first >= QUANTUM_FRAMES && this.stopFrame > frame) return null;
      const remaining = Math.ceil(((this.endSec - this.positionSec) * this.context.sampleRate) / rate - FRAME_TOLERANCE);
      const last = Math.min(QUANTUM_FRAMES, this.stopFrame - frame, first + remaining);
      const { positionSec } = this;
      this.positionSec += (Math.max(0, last - first) * rate) / this.context.sampleRate;
      if (last < QUANTUM_FRAMES) {
        this.context.sources.delete(this);
        time.after(0, () => this.onended?.());
      }
      const level = levelOf(this.destination);
      return last > first && level ? { song: this.buffer.song, positionSec, rate, first, last, level } : null;
    }
  }

  class GainNode {
    gain = new FakeAudioParam(1);
    destination = null;
    /** @param {AudioContext} context */
    constructor(context) {
      this.context = context;
    }
    connect(node) {
      this.destination = node;
      return node;
    }
    disconnect() {
      this.context.render();
      this.destination = null;
    }
  }

  const running = () => contexts.filter(({ state }) => state === 'running');
  return {
    card,
    /** The fake classes by the names of the global variables that they replace. */
    classes: { AudioContext, AudioBufferSourceNode, GainNode },
    /** The audible sounds at a time of the page's clock. @param {number} ms @returns {Sound[]} */
    heardAt: (ms) => contexts.flatMap((context) => context.heardAt(ms)).filter(({ level }) => level > MIN_AUDIBLE_LEVEL),
    /** Number of sources that play or are scheduled. */
    activeSources: () => contexts.reduce((sum, { sources }) => sum + sources.size, 0),
    /** Number of sources started since the card was opened. */
    startedSources: () => startedSources,
    isRunning: () => running().length > 0,
    /** The sample rates of the running contexts. */
    runningRates: () => running().map(({ sampleRate }) => sampleRate),
    /** Simulates a machine that stalls for `ms`: blocks not yet rendered are audible that much later. @param {number} ms */
    stall: (ms) => running().forEach((context) => {
      context.render();
      context.clockStart.atMs += ms;
    }),
    /** Simulates an interruption of the output, as by a phone call. */
    interrupt: () => running().forEach((context) => context.setState('interrupted')),
    /** Simulates the end of an interruption after which the system resumes the sound. */
    endInterruption: () => contexts.filter(({ state }) => state === 'interrupted').forEach((context) => context.setState('running')),
    /** Stops the context's clock while its state stays `running`. @param {boolean} isRestartable */
    stopClock: (isRestartable) => running().forEach((context) => {
      context.render();
      Object.assign(context, { isClockStopped: true, isRestartable });
    }),
    /** Lets stopped clocks move again. */
    releaseClock: () => running().forEach((context) => {
      Object.assign(context, { isClockStopped: false, clockStart: { atMs: time.now(), frame: context.frame } });
      context.tick();
    }),
  };
}

/** A fake AudioParam: a value with scheduled changes. */
class FakeAudioParam {
  /** @type {readonly {ramps: boolean, value: number, atSec: number}[]} */
  events = [];
  /** @param {number} value */
  constructor(value) {
    this.value = value;
  }
  /** @param {number} value @param {number} atSec */
  setValueAtTime(value, atSec) {
    this.add({ ramps: false, value, atSec });
  }
  /** @param {number} value @param {number} atSec */
  linearRampToValueAtTime(value, atSec) {
    this.add({ ramps: true, value, atSec });
  }
  /** @param {number} fromSec */
  cancelScheduledValues(fromSec) {
    this.events = this.events.filter(({ atSec }) => atSec < fromSec);
  }
  add(event) {
    const earlier = this.events.filter(({ atSec }) => atSec <= event.atSec).length;
    this.events = this.events.toSpliced(earlier, 0, event);
  }
  /** @param {number} sec */
  at(sec) {
    return valueAt(this.events, this.value, sec);
  }
}

/** The value of a parameter at context time `sec`, from its scheduled changes. */
function valueAt(events, initial, sec) {
  const next = events.findIndex(({ atSec }) => atSec > sec);
  const before = next < 0 ? events.at(-1) : events[next - 1];
  const value = before?.value ?? initial;
  if (next < 0 || !events[next].ramps) return value;
  if (!before) throw new Error('a ramp without a preceding event');
  const { atSec, value: endValue } = events[next];
  return value + ((endValue - value) * (sec - before.atSec)) / (atSec - before.atSec);
}

/** The gain from a node to the destination as a function of context time; `null` if they are not connected. */
function levelOf(node) {
  if (!node) return null;
  if (node.isDestination) return () => 1;
  const downstream = levelOf(node.destination);
  const { events, value } = node.gain;
  return downstream && ((/** @type {number} */ sec) => valueAt(events, value, sec) * downstream(sec));
}

/** The index of the last block that is audible at or before `ms` (binary search). @param {{audibleAtMs: number}[]} blocks @param {number} ms */
function lastBlockAt(blocks, ms) {
  let [low, high] = [0, blocks.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (blocks[middle].audibleAtMs <= ms) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The content of a file made by song.mjs, or `null` for any other file. @param {ArrayBuffer} bytes */
function songIn(bytes) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}
