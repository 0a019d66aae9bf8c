// Simulated phones: isolated Chromium contexts with the page open, controlled by real input events. Scripts are evaluated in the page
// without a user gesture, because a gesture would unlock sound.

import { mkdir } from 'node:fs/promises';
import { chromium } from 'playwright-core';
import { POLL_INTERVAL_MS, SCREENSHOTS_DIR, WAIT_TIMEOUT_MS, isPausedSteadily, isPlaying } from './page-checks.mjs';
import { PAIRING_CODE } from './server.mjs';

/**
 * @param {string[]} [hostNames] names that resolve to 127.0.0.1
 * @param {{env?: Record<string, string>}} [options]
 */
export function openBrowser(hostNames = ['party.lan'], options = {}) {
  return chromium.launch({
    ...options,
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      `--host-resolver-rules=${hostNames.map((name) => `MAP ${name} 127.0.0.1`).join()}`,
    ],
  });
}

/** @typedef {Awaited<ReturnType<typeof phoneFromPage>>} Phone */

/**
 * @param {import('playwright-core').Browser} browser
 * @param {string} url
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
export async function openPhone(browser, url, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 390, height: 844 },
    hasTouch: true,
    isMobile: true,
    colorScheme: 'dark',
    ...options,
  });
  const page = await context.newPage();
  const phone = await phoneFromPage(page);
  await page.goto(url);
  return phone;
}

/** @param {import('playwright-core').Page} page */
export async function phoneFromPage(page) {
  const context = page.context();
  /** Uncaught exceptions and console errors, except failed requests. @type {string[]} */
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource|ERR_/.test(message.text())) errors.push(message.text());
  });
  const cdp = await context.newCDPSession(page);

  /**
   * Evaluates `script` in the page, without a user gesture.
   * @template T
   * @param {(...args: any[]) => T} script
   * @param {...unknown} args
   * @returns {Promise<Awaited<T>>}
   */
  async function evaluate(script, ...args) {
    const expression = `(${script})(...${JSON.stringify(args)})`;
    const { result, exceptionDetails } = await cdp.send('Runtime.evaluate', {
      expression,
      returnByValue: true,
      awaitPromise: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /**
   * Polls until `script` returns a true value in the page, and returns the value.
   * @param {string} description of the awaited state, for the error message
   * @param {(...args: any[]) => unknown} script
   * @param {...unknown} args
   */
  async function waitFor(description, script, ...args) {
    const deadline = Date.now() + WAIT_TIMEOUT_MS;
    for (;;) {
      // Evaluation fails in a page that is still loading.
      const value = await evaluate(script, ...args).catch(() => false);
      if (value) return value;
      if (Date.now() > deadline) throw new Error(`timed out waiting for ${description}\n${await pageText().catch(() => '')}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
    }
  }

  const pageText = () => evaluate(() => `${document.body.innerText}\naudio at ${document.querySelector('audio')?.currentTime}`);
  const button = (/** @type {string} */ name) => page.getByRole('button', { name, exact: true });
  const tab = (/** @type {string} */ name) => page.getByRole('tab', { name, exact: true });

  const phone = {
    page,
    cdp,
    errors,
    evaluate,
    waitFor,
    press: (/** @type {string} */ name) => button(name).click(),
    openTab: (/** @type {'Now' | 'Queue'} */ name) => tab(name).click(),
    /** Opens a segment of the Queue tab. */
    openSegment: (/** @type {'Up next' | 'Albums' | 'Artists' | 'Songs' | 'Playlists'} */ name) => tab(name).click(),

    join: async (/** @type {string} */ name) => {
      await phone.waitFor('the join view', () => !document.querySelector('#join-view')?.hidden);
      await page.getByLabel('Pairing code').fill(PAIRING_CODE);
      await page.getByLabel('Your name').fill(name);
      await page.getByRole('button', { name: 'Join' }).click();
      await phone.waitFor('the room view', () => !document.querySelector('#room-view')?.hidden);
    },

    /** Resizes the window, and waits until the page has followed and its animations have ended. */
    resize: async (/** @type {number} */ width, /** @type {number} */ height) => {
      await page.setViewportSize({ width, height });
      // The page shows and hides its panels when the change of a media query is reported, which is before the next frame.
      await evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(true)))));
      await waitFor('the end of the animations', () => !document.querySelector('.moving-copy') && document.getAnimations().every((animation) => animation.playState !== 'running' || animation.effect.getTiming().iterations === Infinity));
    },

    title: () => evaluate(() => document.querySelector('#now-title').textContent),
    waitForTitle: (/** @type {string} */ title) =>
      waitFor(`the title ${title}`, (expected) => document.querySelector('#now-title').textContent === expected, title),
    /** Waits until the status line contains `text`. */
    waitForStatus: (/** @type {string} */ text) =>
      waitFor(`the status ${text}`, (expected) => document.querySelector('[role=status]').textContent.includes(expected), text),
    /** Waits until the play button has this label: `Play` or `Pause`. */
    waitForPlayButton: (/** @type {string} */ label) =>
      waitFor(`the play button labelled ${label}`, (expected) => document.querySelector('#play').getAttribute('aria-label') === expected, label),
    positionSec: () => evaluate(() => document.querySelector('audio').currentTime),
    /**
     * When the current track was at position 0, in seconds of the wall clock, which all pages on the machine share. The value is constant
     * while the track plays, so that two phones can be compared although they are read at different times.
     */
    trackStartSec: () => evaluate(() => Date.now() / 1_000 - document.querySelector('audio').currentTime),

    waitForPlayback: () => waitFor('continuous playback', isPlaying),
    waitForSilence: () => waitFor('silence', isPausedSteadily),

    /** Waits until at least `count` complete tracks are stored, and exactly the stored tracks are marked if the queue is shown. */
    waitForStoredTracks: (/** @type {number} */ count) => waitFor(`${count} tracks in storage`, hasStoredTracks, count),
    /** The text of each row in the list of listeners: name and activity. */
    memberRows: () =>
      evaluate(() =>
        [...document.querySelectorAll('[aria-label=Listeners] li')].map((row) => row.textContent.replace(/\s+/g, ' ').trim()),
      ),
    /** Waits until the text of a row in the list of listeners matches the regular expression `pattern`. */
    waitForListener: (/** @type {string} */ pattern) =>
      waitFor(`a listener that matches ${pattern}`, (source) =>
        [...document.querySelectorAll('[aria-label=Listeners] li')].some((row) =>
          new RegExp(source).test(row.textContent.replace(/\s+/g, ' ').trim()),
        ), pattern),

    /** Waits until a track is next-up, in an open queue. */
    waitForNextUp: (/** @type {string} */ title) =>
      waitFor(`the next track ${title}`, (expected) => [...document.querySelectorAll('#panel-queue .row.next:not([hidden]) .title')].some((element) => element.textContent === expected), title),
    /** The picks of an open queue, as `TITLE (NAME)`. */
    picks: () => evaluate(() =>
      [...document.querySelectorAll('#panel-queue .row[data-place=pick]:not([hidden])')]
        .sort((a, b) => Number(a.getAttribute('aria-posinset')) - Number(b.getAttribute('aria-posinset')))
        .map((row) => `${row.querySelector('.title').textContent} (${row.querySelector('.by-name').textContent})`)),
    /** Waits until the open queue shows exactly these picks. */
    waitForPicks: (/** @type {string[]} */ expected) =>
      waitFor(`the picks ${expected}`, (names) => {
        const rows = [...document.querySelectorAll('#panel-queue .row[data-place=pick]:not([hidden])')];
        const sorted = rows.sort((a, b) => Number(a.getAttribute('aria-posinset')) - Number(b.getAttribute('aria-posinset')));
        return sorted.map((row) => `${row.querySelector('.title').textContent} (${row.querySelector('.by-name').textContent})`).join() === names;
      }, expected.join()),
    /** The titles of the rendered queue rows from the current track on, in queue order. */
    queueTitles: () => evaluate(() =>
      [...document.querySelectorAll('#panel-queue .row:not([hidden], [data-place=played])')]
        .sort((a, b) => Number(a.ariaPosInSet ?? a.getAttribute('aria-posinset')) - Number(b.getAttribute('aria-posinset')))
        .map((row) => row.querySelector('.title').textContent)),

    screenshot: async (/** @type {string} */ name) => {
      await mkdir(SCREENSHOTS_DIR, { recursive: true });
      await page.screenshot({ path: `${SCREENSHOTS_DIR}${name}.png` });
    },
    close: () => context.close(),
  };
  return phone;
}

/** On an overloaded machine, a phone is out of step after an underrun until it has corrected its position. */
const STEP_TIMEOUT_MS = 30_000;

/**
 * Waits until the current track started at the same time on all phones, or at `expectedSec`, up to `toleranceSec`. Both times in
 * seconds of the wall clock.
 * @param {Phone[]} phones
 * @param {{toleranceSec?: number, expectedSec?: number[]}} [options] `expectedSec` for each phone
 */
export async function waitForSameTrackStart(phones, { toleranceSec = 0.3, expectedSec = [] } = {}) {
  for (const deadline = Date.now() + STEP_TIMEOUT_MS; ; ) {
    const starts = await Promise.all(phones.map((phone) => phone.trackStartSec()));
    const differences = starts.map((startSec, i) => Math.abs(startSec - (expectedSec[i] ?? starts[0] ?? 0)));
    if (Math.max(...differences) < toleranceSec) return;
    if (Date.now() > deadline) throw new Error(`the track started at ${starts} s, expected: ${expectedSec} s`);
  }
}

/**
 * Runs the steps of a test, and saves a screenshot of each phone if a step fails.
 * @param {string} testName
 * @param {() => Phone[]} phones
 * @param {() => Promise<void>} steps
 */
export async function screenshotOnFailure(testName, phones, steps) {
  try {
    await steps();
  } catch (error) {
    const fileStem = testName.replace(/\W+/g, '-');
    await Promise.all(phones().map((phone, phoneIndex) => phone.screenshot(`failed-${fileStem}-${phoneIndex + 1}`).catch(() => {})));
    throw error;
  }
}

/** Runs in the page: whether at least `count` tracks are stored completely, and only these are marked as stored. */
async function hasStoredTracks(/** @type {number} */ count) {
  globalThis.trackStorage ??= import('/js/tracks/storage.js').then(({ openStorage }) => openStorage());
  const storage = await globalThis.trackStorage;
  const complete = (await storage.list()).filter(({ size, receivedBytes }) => size === receivedBytes);
  const trackIds = complete.map(({ trackId }) => trackId);
  const rows = [...document.querySelectorAll('#panel-queue .row:not([hidden])')];
  const areMarksRight = rows.every((row) => row.querySelector('.cached-mark').hidden !== trackIds.includes(row.dataset.track));
  const isQueueHidden = document.querySelector('#panel-queue').hidden;
  if (trackIds.length < count || (rows.length === 0 && !isQueueHidden) || !areMarksRight) return false;
  // An entry alone does not prove that the bytes are stored.
  for (const entry of complete) if ((await storage.read(entry)).size !== entry.size) return false;
  return true;
}
