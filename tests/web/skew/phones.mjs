// Phones for measuring: each is a browser of its own, with a profile, a loudspeaker and a clock of its own. Browsers
// of one machine share its clock, as no two phones do, so each page's is bent.

import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { openPhone } from '../support/phones.mjs';

export const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

/** @typedef {{offsetMs: number, ppm: number}} Bend by how much a clock is ahead, and how much too fast it runs */

/** @type {Bend[]} */
const BENDS = [
  { offsetMs: 3_700, ppm: 80 },
  { offsetMs: -1_900, ppm: -80 },
  { offsetMs: 612, ppm: 25 },
  { offsetMs: -8_150, ppm: -40 },
];

/** Playwright mutes browsers and leaves timers of hidden pages alone; on a person's phone neither is so. */
const UNLIKE_PEOPLE = [
  '--mute-audio',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
];

/** @typedef {Awaited<ReturnType<typeof openSkewPhone>>} SkewPhone */

/**
 * @param {number} k which phone it is
 * @param {string} url
 * @param {NodeJS.ProcessEnv} env of its loudspeaker
 */
export async function openSkewPhone(k, url, env) {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    ignoreDefaultArgs: UNLIKE_PEOPLE,
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--no-first-run'],
      '--host-resolver-rules=MAP party.lan 127.0.0.1',
    ],
    env: /** @type {Record<string, string>} */ ({ ...process.env, ...env }),
    handleSIGINT: false,
    handleSIGTERM: false,
  });
  const bent = async (/** @type {import('playwright-core').BrowserContextOptions} */ options) => {
    const context = await browser.newContext(options);
    await context.addInitScript(bendClock, BENDS[k % BENDS.length]);
    return context;
  };
  const phone = await openPhone(/** @type {any} */ ({ newContext: bent }), url).catch(async (error) => {
    await browser.close();
    throw error;
  });
  const system = await browser.newBrowserCDPSession();

  return {
    ...phone,
    /** When it was pressed last, by this process's `Date.now()`. @returns {Promise<number>} */
    pressedAtMs: () => phone.read(() => Reflect.get(globalThis, 'pressedAtMs')),
    /** From now on it is a phone in a pocket. */
    pocket: () => phone.read(pocket),
    /** Stops what draws and plays its pages for a while. @param {number} ms */
    freeze: async (ms) => {
      const { processInfo } = await system.send('SystemInfo.getProcessInfo');
      const renderers = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
      for (const pid of renderers) process.kill(pid, 'SIGSTOP');
      await sleep(ms);
      for (const pid of renderers) process.kill(pid, 'SIGCONT');
    },
    close: () => browser.close(),
  };
}

/**
 * In the page, before its scripts: bends the clocks that it reads. Its timers, its workers and its sound keep to the
 * true one. By the true clock, too, it is noted when it is pressed.
 * @param {Bend} bend
 */
function bendClock({ offsetMs, ppm }) {
  const rate = 1 + ppm / 1e6;
  const TrueDate = Date;
  addEventListener('click', () => Object.assign(globalThis, { pressedAtMs: TrueDate.now() }), true);

  const now = performance.now.bind(performance);
  const timeOrigin = performance.timeOrigin + offsetMs;
  Object.defineProperties(performance, { now: { value: () => now() * rate }, timeOrigin: { value: timeOrigin } });
  const wallMs = () => Math.floor(timeOrigin + performance.now());
  globalThis.Date = new Proxy(TrueDate, {
    construct: (_, given, made) => Reflect.construct(TrueDate, given.length === 0 ? [wallMs()] : given, made),
    get: (_, name) => (name === 'now' ? wallMs : Reflect.get(TrueDate, name)),
  });

  const frame = requestAnimationFrame;
  globalThis.requestAnimationFrame = (then) => frame((atMs) => then(atMs * rate));
  const stamp = AudioContext.prototype.getOutputTimestamp;
  AudioContext.prototype.getOutputTimestamp = function () {
    const { contextTime, performanceTime = 0 } = stamp.call(this);
    return { contextTime, performanceTime: performanceTime * rate };
  };
}

/**
 * In the page: it is hidden, its timers come once a minute at most and its frames not at all. (Playwright keeps each
 * page in the foreground, and Chromium spares pages that sound; so what browsers may do is done to the page here.)
 */
function pocket() {
  const late = (/** @type {any} */ real) => (/** @type {any} */ then, ms = 0) => real(then, Math.max(ms, 60_000));
  Object.assign(globalThis, { setTimeout: late(setTimeout), setInterval: late(setInterval), requestAnimationFrame: () => 0 });
  Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}
