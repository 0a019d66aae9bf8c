// A phone whose sound is made up, and whatever a person beside it hears. Everything but the sound and the time is
// the page's own code.

import { createPlayer } from '../../../static/js/player.js';
import { openSoundCard } from './sound-card.mjs';
import { FakeElement, keepFiles } from './sound-element.mjs';
import { virtualTime } from './virtual-time.mjs';

/** Silence that is no longer than this is heard by nobody. */
const HOLE_MS = 0.3;

/**
 * @param {import('node:test').TestContext} t
 * @param {Partial<import('./sound-card.mjs').Card> & {touch?: boolean}} [over] `touch`: it is no computer
 * @param {Partial<Parameters<typeof createPlayer>[1]>} [on]
 */
export function openSoundingPhone(t, { touch = false, ...over } = {}, on = {}) {
  const time = virtualTime(t);
  keepFiles(t);
  const sound = openSoundCard(time, over);
  const audio = new FakeElement(time, sound.card);
  globalThis.Audio = /** @type {any} */ (class extends FakeElement {
    constructor(/** @type {string} */ url) {
      super(time, sound.card);
      this.src = url;
    }
  });
  Object.assign(globalThis, { window: globalThis, HTMLMediaElement: { HAVE_METADATA: 1, HAVE_FUTURE_DATA: 3 } });
  Object.defineProperty(globalThis, 'navigator', { value: { maxTouchPoints: touch ? 5 : 0 }, configurable: true });

  const told = {
    /** @type {string[]} */ ended: [],
    /** @type {string[]} */ unplayable: [],
    /** @type {string[]} */ lost: [],
    /** @type {[string, number][]} */ durations: [],
  };
  const player = createPlayer(/** @type {any} */ (audio), {
    change: () => {},
    ended: (trackId) => void told.ended.push(trackId),
    unplayable: (trackId) => void told.unplayable.push(trackId),
    lost: (trackId) => void told.lost.push(trackId),
    duration: (...found) => void told.durations.push(found),
    ...on,
  });

  /** @param {number} ms */
  const heardAt = (ms) => [...sound.heardAt(ms), ...audio.heardAt(ms)];
  /** @param {number} ms */
  const levelAt = (ms) => heardAt(ms).reduce((sum, { level }) => sum + level, 0);

  return {
    time,
    sound,
    audio,
    player,
    told,
    heardAt,
    /** Where in its song the loudest sound is at a moment; `null` where nothing sounds. @param {number} ms */
    placeAt: (ms) => loudest(heardAt(ms))?.positionSec ?? null,
    /**
     * The songs that are heard one after the other, the loudest if they are several; '' is silence.
     * @param {number} fromMs @param {number} [toMs]
     */
    songs: (fromMs, toMs = time.now()) => {
      const heard = [];
      for (let ms = fromMs; ms < toMs; ms += 1) {
        const song = (loudest(heardAt(ms)) ?? loudest(heardAt(ms + HOLE_MS)))?.song ?? '';
        if (song !== heard.at(-1)) heard.push(song);
      }
      return heard;
    },
    /** When something is heard first, and when nothing any more. @param {number} fromMs @param {number} [toMs] */
    sounds: (fromMs, toMs = time.now()) => {
      let [first, last] = [NaN, NaN];
      for (let ms = fromMs; ms < toMs; ms += 0.1) {
        if (heardAt(ms).length === 0) continue;
        if (Number.isNaN(first)) first = ms;
        last = ms;
      }
      return { fromMs: first, toMs: last };
    },
    /** How loud it is at least, and at most. @param {number} fromMs @param {number} [toMs] */
    levels: (fromMs, toMs = time.now()) => {
      const levels = [];
      for (let ms = fromMs; ms < toMs; ms += 0.5) levels.push(levelAt(ms) || levelAt(ms + HOLE_MS));
      return { least: Math.min(...levels), most: Math.max(...levels) };
    },
  };
}

/** @param {import('./sound-card.mjs').Sound[]} sounds */
function loudest(sounds) {
  return sounds.toSorted((a, b) => b.level - a.level)[0];
}
