// The page's real player with a fake sound card, a fake element and virtual time, and queries about the audible sound.

import { createPlayer } from '../../../static/js/sound/player.js';
import { replaceGlobals } from './globals.mjs';
import { openSoundCard } from './sound-card.mjs';
import { FakeElement, mockObjectUrls } from './sound-element.mjs';
import { virtualTime } from './virtual-time.mjs';

/** Gaps up to this length count as inaudible. */
const MAX_INAUDIBLE_GAP_MS = 0.3;

/**
 * Opens a phone whose fakes replace global variables until the test ends.
 * @param {import('node:test').TestContext} t
 * @param {Partial<import('./sound-card.mjs').Card> & {touch?: boolean, deviceMemory?: number | null, isVolumeFixed?: boolean}} [overrides] of the sound card; `touch`: the
 *   phone has a touch screen; `deviceMemory`: in GiB, `null` if the browser does not say it; `isVolumeFixed`: as on iOS, the
 *   element's volume is always 1
 * @param {Partial<Parameters<typeof createPlayer>[1]>} [callbacks] of the player
 * @param {(trackId: string) => number} [levelOf] the factor with which a track is played
 */
export function openAudiblePhone(t, { touch = false, deviceMemory = 8, isVolumeFixed = false, ...overrides } = {}, callbacks = {}, levelOf = () => 1) {
  const time = virtualTime(t);
  mockObjectUrls(t);
  const sound = openSoundCard(time, overrides);
  const audio = new FakeElement(time, sound.card);
  if (isVolumeFixed) Object.defineProperty(audio, 'volume', { get: () => 1, set: () => {} });
  class Audio extends FakeElement {
    constructor(/** @type {string} */ url) {
      super(time, sound.card);
      this.src = url;
    }
  }
  replaceGlobals(t, {
    ...sound.classes,
    Audio,
    HTMLMediaElement: { HAVE_METADATA: 1, HAVE_FUTURE_DATA: 3 },
    navigator: { maxTouchPoints: touch ? 5 : 0, ...(deviceMemory === null ? {} : { deviceMemory }) },
    window: globalThis,
  });

  const events = {
    /** @type {string[]} */ ended: [],
    /** @type {string[]} */ unplayable: [],
    /** @type {string[]} */ lostTracks: [],
    /** @type {[string, number][]} */ durations: [],
    /** @type {[string, string, number][]} */ decoded: [],
  };
  const player = createPlayer(/** @type {any} */ (audio), {
    change: () => {},
    ended: (trackId) => void events.ended.push(trackId),
    unplayable: (trackId) => void events.unplayable.push(trackId),
    lost: (trackId) => void events.lostTracks.push(trackId),
    duration: (trackId, durationSec) => void events.durations.push([trackId, durationSec]),
    decoded: (...decoded) => void events.decoded.push(decoded),
    ...callbacks,
  }, levelOf);

  /** @param {number} ms */
  const heardAt = (ms) => [...sound.heardAt(ms), ...audio.heardAt(ms)];
  /** @param {number} ms */
  const levelAt = (ms) => heardAt(ms).reduce((sum, { level }) => sum + level, 0);

  return {
    time,
    sound,
    audio,
    player,
    events,
    heardAt,
    /** The position of the loudest song at a time, or `null` during silence. @param {number} ms */
    positionSecAt: (ms) => loudest(heardAt(ms))?.positionSec ?? null,
    /**
     * The audible songs in order of time: the loudest one if several play at once, '' for silence.
     * @param {number} fromMs @param {number} [toMs]
     */
    songsHeard: (fromMs, toMs = time.now()) => {
      const songs = [];
      for (let ms = fromMs; ms < toMs; ms += 1) {
        const song = (loudest(heardAt(ms)) ?? loudest(heardAt(ms + MAX_INAUDIBLE_GAP_MS)))?.song ?? '';
        if (song !== songs.at(-1)) songs.push(song);
      }
      return songs;
    },
    /** The times of the first and the last audible sound; NaN if there is none. @param {number} fromMs @param {number} [toMs] */
    audibleSpan: (fromMs, toMs = time.now()) => {
      let [first, last] = [NaN, NaN];
      for (let ms = fromMs; ms < toMs; ms += 0.1) {
        if (heardAt(ms).length === 0) continue;
        if (Number.isNaN(first)) first = ms;
        last = ms;
      }
      return { fromMs: first, toMs: last };
    },
    /** The lowest and the highest audible level. @param {number} fromMs @param {number} [toMs] */
    levelRange: (fromMs, toMs = time.now()) => {
      const levels = [];
      for (let ms = fromMs; ms < toMs; ms += 0.5) levels.push(levelAt(ms) || levelAt(ms + MAX_INAUDIBLE_GAP_MS));
      return { min: Math.min(...levels), max: Math.max(...levels) };
    },
  };
}

/** @param {import('./sound-card.mjs').Sound[]} sounds */
function loudest(sounds) {
  return sounds.toSorted((a, b) => b.level - a.level)[0];
}
