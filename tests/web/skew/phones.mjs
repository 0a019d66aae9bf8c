// Simulated phones for the measurement: each is a separate browser with its own profile, audio sink and clock. Browsers on one machine
// share its clock, unlike real phones, so each page's clock gets an offset and a drift.

import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { hidePage } from '../support/page-checks.mjs';
import { openPhone } from '../support/phones.mjs';

export const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

/** @typedef {{offsetMs: number, ppm: number}} ClockError `offsetMs`: how far the clock is ahead; `ppm`: its drift */

/** @type {ClockError[]} */
const CLOCK_ERRORS = [
  { offsetMs: 3_700, ppm: 80 },
  { offsetMs: -1_900, ppm: -80 },
  { offsetMs: 612, ppm: 25 },
  { offsetMs: -8_150, ppm: -40 },
];

/** Default arguments of Playwright to remove: they mute the browser and disable the throttling of hidden pages. */
const REMOVED_DEFAULT_ARGS = [
  '--mute-audio',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
];

/** @typedef {Awaited<ReturnType<typeof openSkewPhone>>} SkewPhone */

/**
 * @param {number} phoneIndex
 * @param {string} url
 * @param {NodeJS.ProcessEnv} env environment variables of its audio sink
 */
export async function openSkewPhone(phoneIndex, url, env) {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    ignoreDefaultArgs: REMOVED_DEFAULT_ARGS,
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--no-first-run'],
      '--host-resolver-rules=MAP party.lan 127.0.0.1',
    ],
    env: /** @type {Record<string, string>} */ ({ ...process.env, ...env }),
    handleSIGINT: false,
    handleSIGTERM: false,
  });
  const newContext = async (/** @type {import('playwright-core').BrowserContextOptions} */ options) => {
    const context = await browser.newContext(options);
    await context.addInitScript(skewClock, CLOCK_ERRORS[phoneIndex % CLOCK_ERRORS.length]);
    return context;
  };
  const phone = await openPhone(/** @type {any} */ ({ newContext }), url).catch(async (error) => {
    await browser.close();
    throw error;
  });
  const browserSession = await browser.newBrowserCDPSession();

  return {
    ...phone,
    /** Time of the last press by this process's `Date.now()`. @returns {Promise<number>} */
    pressedAtMs: () => phone.evaluate(() => Reflect.get(globalThis, 'pressedAtMs')),
    reload: () => phone.page.reload(),
    /** Hides the page and throttles its timers. */
    hide: () => phone.evaluate(hidePage),
    /** Stops the renderer processes for `ms`. @param {number} ms */
    freeze: async (ms) => {
      const { processInfo } = await browserSession.send('SystemInfo.getProcessInfo');
      const renderers = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
      for (const pid of renderers) process.kill(pid, 'SIGSTOP');
      await sleep(ms);
      for (const pid of renderers) process.kill(pid, 'SIGCONT');
    },
    close: () => browser.close(),
  };
}

/**
 * Runs before the page's scripts: adds an offset and a drift to the clocks that the page reads. Timers, workers, sound and the
 * recorded times of presses keep the machine's clock.
 * @param {ClockError} clockError
 */
function skewClock({ offsetMs, ppm }) {
  const rate = 1 + ppm / 1e6;
  const TrueDate = Date;
  addEventListener('click', () => Object.assign(globalThis, { pressedAtMs: TrueDate.now() }), true);

  const now = performance.now.bind(performance);
  const timeOrigin = performance.timeOrigin + offsetMs;
  Object.defineProperties(performance, { now: { value: () => now() * rate }, timeOrigin: { value: timeOrigin } });
  const wallMs = () => Math.floor(timeOrigin + performance.now());
  globalThis.Date = new Proxy(TrueDate, {
    construct: (_, args, newTarget) => Reflect.construct(TrueDate, args.length === 0 ? [wallMs()] : args, newTarget),
    get: (_, name) => (name === 'now' ? wallMs : Reflect.get(TrueDate, name)),
  });

  const requestFrame = requestAnimationFrame;
  globalThis.requestAnimationFrame = (callback) => requestFrame((atMs) => callback(atMs * rate));
  const getOutputTimestamp = AudioContext.prototype.getOutputTimestamp;
  AudioContext.prototype.getOutputTimestamp = function () {
    const { contextTime, performanceTime = 0 } = getOutputTimestamp.call(this);
    return { contextTime, performanceTime: performanceTime * rate };
  };
}
