// A browser's sound that is made up, as far as the player uses it: an AudioContext that renders blocks of 128 frames
// a few at a time, on a clock of its own, and is heard a while later; and what a person hears of it, moment by
// moment. It plays no samples, but knows at each frame which song is where, and how loud.

import { dice } from './dice.mjs';

const RATE = 48_000;
const FRAMES = 128;

/** So many blocks are rendered at once. */
const BURST = 4;

/** What the browser says of when it is heard is off by up to so much. */
const STAMP_MS = 0.1;

/** Moments that differ by less than this are the same frame, by another rounding. */
const SAME_FRAME = 1e-4;

/** What is quieter than this is silent. */
const AUDIBLE = 0.001;

/**
 * @typedef {object} Card
 * @property {number} latencyMs from rendered to heard
 * @property {number} decodeMs how long it takes to decode a song
 * @property {number} resumeMs
 * @property {boolean} allowed whether the browser lets the page sound
 * @property {boolean} present whether there is anything to sound from
 * @property {number} ppm by which the card's crystal is fast
 */

/** @typedef {{song: string, positionSec: number, level: number}} Sound */

/**
 * @param {import('./virtual-time.mjs').Time} time
 * @param {Partial<Card>} [over]
 */
export function openSoundCard(time, over = {}) {
  /** @type {Card} */
  const card = { latencyMs: 40, decodeMs: 30, resumeMs: 20, allowed: true, present: true, ppm: 0, ...over };
  const roll = dice(9);
  /** @type {AudioContext[]} */
  const contexts = [];
  let starts = 0;

  class AudioContext {
    sampleRate = RATE;
    baseLatency = 0.01;
    outputLatency = card.latencyMs / 1000;
    destination = { isDestination: true };
    state = 'suspended';
    /** @type {(() => void) | null} */
    onstatechange = null;
    /** @type {Set<AudioBufferSourceNode>} */
    sources = new Set();
    /** @type {{heardMs: number, frame: number, sounds: object[]}[]} */
    blocks = [];
    frame = 0;
    /** From when on its clock has run, and which frame it had reached by then. */
    since = { atMs: 0, frame: 0 };
    frozen = false;

    constructor() {
      contexts.push(this);
    }

    get currentTime() {
      this.render();
      return this.frame / RATE;
    }

    /** @param {number} frame */
    heardMs(frame) {
      return this.since.atMs + ((frame - this.since.frame) / RATE / (1 + card.ppm / 1e6)) * 1000 + card.latencyMs;
    }

    getOutputTimestamp() {
      this.render();
      const heardFrame = this.since.frame + ((time.now() - this.since.atMs - card.latencyMs) / 1000) * RATE * (1 + card.ppm / 1e6);
      if (this.state !== 'running' || heardFrame <= this.since.frame) return { contextTime: 0, performanceTime: 0 };
      return { contextTime: Math.min(heardFrame, this.frame) / RATE, performanceTime: time.now() + STAMP_MS * roll() };
    }

    /** Renders all that is due by now: nothing that is asked for after this can change it. */
    render() {
      if (this.state !== 'running' || this.frozen) return;
      const passed = ((time.now() - this.since.atMs) / 1000) * RATE * (1 + card.ppm / 1e6);
      const bursts = Math.floor(passed / (FRAMES * BURST)) + 1;
      while (this.frame < this.since.frame + bursts * FRAMES * BURST) this.block();
    }

    block() {
      const { frame } = this;
      const sounds = [...this.sources].map((source) => source.pass(frame)).filter((sound) => sound !== null);
      this.blocks.push({ heardMs: this.heardMs(frame), frame, sounds });
      this.frame += FRAMES;
    }

    tick() {
      this.render();
      if (this.state === 'running') time.in((FRAMES * BURST * 1000) / RATE, () => this.tick());
    }

    /** @param {string} state */
    become(state) {
      if (this.state === state) return;
      this.render();
      this.state = state;
      this.since = { atMs: time.now(), frame: this.frame };
      this.onstatechange?.();
      if (state === 'running') this.tick();
    }

    resume() {
      return new Promise((resolve) => {
        if (!card.allowed || !card.present) return;
        time.in(card.resumeMs, () => {
          this.frozen &&= !this.curable;
          this.become('running');
          resolve(undefined);
        });
      });
    }
    curable = true;

    suspend() {
      return new Promise((resolve) => time.in(5, () => resolve(this.become('suspended'))));
    }

    /** @param {ArrayBuffer} bytes */
    decodeAudioData(bytes) {
      const copy = structuredClone(bytes, { transfer: [bytes] });
      return new Promise((resolve, reject) => {
        time.in(card.decodeMs, () => {
          const said = songIn(copy);
          if (!said?.decodable) reject(new DOMException('Unable to decode audio data', 'EncodingError'));
          else resolve({ song: said.song, duration: Math.round(said.seconds * RATE) / RATE });
        });
      });
    }

    /** @param {number} channels @param {number} length @param {number} rate */
    createBuffer(channels, length, rate) {
      return { song: 'a signal', duration: length / rate, copyToChannel: () => {} };
    }

    /** @param {number} ms @returns {Sound[]} */
    heardAt(ms) {
      const block = this.blocks[lastBefore(this.blocks, ms)];
      const into = block ? ((ms - block.heardMs) / 1000) * RATE * (1 + card.ppm / 1e6) : Infinity;
      if (!block || into >= FRAMES) return [];
      return block.sounds
        .filter(({ first, last }) => into >= first && into < last)
        .map(({ song, positionSec, rate, first, level }) => ({
          song,
          positionSec: positionSec + ((into - first) * rate) / RATE,
          level: level((block.frame + into) / RATE),
        }));
    }
  }

  class AudioBufferSourceNode {
    playbackRate = new Param(1);
    /** @type {(() => void) | null} */
    onended = null;
    to = null;
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
      this.to = node;
      return node;
    }

    start(whenSec = 0, offsetSec = 0, durationSec = Infinity) {
      if (this.firstFrame < Infinity) throw new DOMException('started before', 'InvalidStateError');
      if (whenSec < 0 || offsetSec < 0 || durationSec < 0) throw new RangeError('before the beginning');
      this.context.render();
      this.firstFrame = Math.max(this.context.frame, Math.ceil(whenSec * RATE - SAME_FRAME));
      this.positionSec = offsetSec;
      this.endSec = Math.min(this.buffer.duration, offsetSec + durationSec);
      this.context.sources.add(this);
      starts += 1;
    }

    stop(whenSec = 0) {
      if (this.firstFrame === Infinity) throw new DOMException('never started', 'InvalidStateError');
      this.context.render();
      this.stopFrame = Math.max(this.context.frame, Math.ceil(whenSec * RATE - SAME_FRAME));
    }

    /** What of it is in the block that begins with `frame`, and `null` for nothing. @param {number} frame */
    pass(frame) {
      const rate = this.playbackRate.at(frame / RATE);
      const first = Math.max(0, this.firstFrame - frame);
      if (first >= FRAMES && this.stopFrame > frame) return null;
      const left = Math.ceil(((this.endSec - this.positionSec) * RATE) / rate - SAME_FRAME);
      const last = Math.min(FRAMES, this.stopFrame - frame, first + left);
      const { positionSec } = this;
      this.positionSec += (Math.max(0, last - first) * rate) / RATE;
      if (last < FRAMES) {
        this.context.sources.delete(this);
        time.in(0, () => this.onended?.());
      }
      const level = levelOf(this.to);
      return last > first && level ? { song: this.buffer.song, positionSec, rate, first, last, level } : null;
    }
  }

  class GainNode {
    gain = new Param(1);
    to = null;
    /** @param {AudioContext} context */
    constructor(context) {
      this.context = context;
    }
    connect(node) {
      this.to = node;
      return node;
    }
    disconnect() {
      this.context.render();
      this.to = null;
    }
  }

  Object.assign(globalThis, { AudioContext, AudioBufferSourceNode, GainNode });

  const running = () => contexts.filter(({ state }) => state === 'running');
  return {
    card,
    /** What is heard at a moment of the page's clock. @param {number} ms @returns {Sound[]} */
    heardAt: (ms) => contexts.flatMap((context) => context.heardAt(ms)).filter(({ level }) => level > AUDIBLE),
    /** How many sources sound, or are to sound. */
    laidDown: () => contexts.reduce((sum, { sources }) => sum + sources.size, 0),
    /** How many have ever been laid down. */
    starts: () => starts,
    isRunning: () => running().length > 0,
    /** The machine does not keep up: all that is not rendered yet is heard so much later. @param {number} ms */
    stall: (ms) => running().forEach((context) => {
      context.render();
      context.since.atMs += ms;
    }),
    /** A call: the system takes the sound away. */
    takeAway: () => running().forEach((context) => context.become('interrupted')),
    /** Its clock stands still, while it says that it runs. @param {boolean} curable by a pause */
    freeze: (curable) => running().forEach((context) => {
      context.render();
      Object.assign(context, { frozen: true, curable });
    }),
  };
}

/** A value on its way through time, as the Web Audio API has it. */
class Param {
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
    const behind = this.events.filter(({ atSec }) => atSec <= event.atSec).length;
    this.events = this.events.toSpliced(behind, 0, event);
  }
  /** @param {number} sec */
  at(sec) {
    return valueOn(this.events, this.value, sec);
  }
}

/** What a value is at a moment, and no longer changed by what is asked for later. */
function valueOn(events, initial, sec) {
  const next = events.findIndex(({ atSec }) => atSec > sec);
  const before = next < 0 ? events.at(-1) : events[next - 1];
  const value = before?.value ?? initial;
  if (next < 0 || !events[next].ramps) return value;
  if (!before) throw new Error('a ramp from nowhere');
  const { atSec, value: end } = events[next];
  return value + ((end - value) * (sec - before.atSec)) / (atSec - before.atSec);
}

/** How loud what goes into a node comes out; `null` if it does not. */
function levelOf(node) {
  if (!node) return null;
  if (node.isDestination) return () => 1;
  const behind = levelOf(node.to);
  const { events, value } = node.gain;
  return behind && ((/** @type {number} */ sec) => valueOn(events, value, sec) * behind(sec));
}

/** Which block was the last to begin by then, of many. @param {{heardMs: number}[]} blocks @param {number} ms */
function lastBefore(blocks, ms) {
  let [low, high] = [0, blocks.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (blocks[middle].heardMs <= ms) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** What a file says of itself; `null` if it is none of those that are made here. @param {ArrayBuffer} bytes */
function songIn(bytes) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}
