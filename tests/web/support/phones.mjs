// Phones: isolated browser contexts that a person's hands and eyes are acted out on. What is read off
// a page is read without a gesture, since one would allow sound; hands are real input.

import { mkdir } from 'node:fs/promises';
import { chromium } from 'playwright-core';
import { LIMIT_MS, LOOK_EVERY_MS, SHOTS, rests, runs } from './eyes.mjs';
import { CODE } from './server.mjs';

/**
 * @param {string[]} [names] what leads to this machine, besides its own names
 * @param {{env?: Record<string, string>}} [options]
 */
export function openBrowser(names = ['party.lan'], options = {}) {
  return chromium.launch({
    ...options,
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      `--host-resolver-rules=${names.map((name) => `MAP ${name} 127.0.0.1`).join()}`,
    ],
  });
}

/** @typedef {Awaited<ReturnType<typeof phoneOf>>} Phone */

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
  const phone = await phoneOf(page);
  await page.goto(url);
  return phone;
}

/**
 * The phone that a page is open on.
 * @param {import('playwright-core').Page} page
 */
export async function phoneOf(page) {
  const context = page.context();
  /** @type {string[]} */
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource|ERR_/.test(message.text())) errors.push(message.text());
  });
  const cdp = await context.newCDPSession(page);

  /**
   * What `look` gives in the page, without a gesture.
   * @template T
   * @param {(...args: any[]) => T} look
   * @param {...unknown} args
   * @returns {Promise<Awaited<T>>}
   */
  async function read(look, ...args) {
    const expression = `(${look})(...${JSON.stringify(args)})`;
    const { result, exceptionDetails } = await cdp.send('Runtime.evaluate', {
      expression,
      returnByValue: true,
      awaitPromise: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /**
   * Waits until `look` gives something true in the page.
   * @param {string} what for the message, if it never does
   * @param {(...args: any[]) => unknown} look
   * @param {...unknown} args
   */
  async function until(what, look, ...args) {
    const end = Date.now() + LIMIT_MS;
    for (;;) {
      // A page that is just being loaded has no answer yet.
      const met = await read(look, ...args).catch(() => false);
      if (met) return met;
      if (Date.now() > end) throw new Error(`never seen: ${what}\n${await seen().catch(() => '')}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }

  const seen = () => read(() => `${document.body.innerText}\naudio at ${document.querySelector('audio')?.currentTime}`);
  const button = (/** @type {string} */ name) => page.getByRole('button', { name, exact: true });
  const tab = (/** @type {string} */ name) => page.getByRole('tab', { name, exact: true });

  const phone = {
    page,
    cdp,
    errors,
    read,
    until,
    press: (/** @type {string} */ name) => button(name).click(),
    open: (/** @type {'Now' | 'Queue'} */ name) => tab(name).click(),

    join: async (/** @type {string} */ name) => {
      await phone.until('the door', () => !document.querySelector('#join-view')?.hidden);
      await page.getByLabel('Pairing code').fill(CODE);
      await page.getByLabel('Your name').fill(name);
      await page.getByRole('button', { name: 'Join' }).click();
      await phone.until('the room', () => !document.querySelector('#room-view')?.hidden);
    },

    title: () => read(() => document.querySelector('#now-title').textContent),
    seesTitle: (/** @type {string} */ title) =>
      until(`the title ${title}`, (t) => document.querySelector('#now-title').textContent === t, title),
    status: (/** @type {string} */ text) =>
      until(`the status ${text}`, (t) => document.querySelector('[role=status]').textContent.includes(t), text),
    offers: (/** @type {string} */ name) =>
      until(`the button ${name}`, (n) => document.querySelector('#play').getAttribute('aria-label') === n, name),
    position: () => read(() => document.querySelector('audio').currentTime),
    /** The moment at which what it plays was at 0, in seconds of the page's clock: it stays the same while the music runs. */
    line: () => read(() => performance.now() / 1_000 - document.querySelector('audio').currentTime),

    /** Sounds: for a while its position runs on as the clock does, by itself. */
    sounds: () => until('music that runs', runs),
    /** Is silent, and for a while stays where it is. */
    silent: () => until('silence that stays', rests),

    /** So many whole tracks lie in this phone's storage, and just those that do are marked in the queue. */
    holds: (/** @type {number} */ count) => until(`${count} tracks on this phone`, holdsAndShows, count),
    /** What the list of listeners says, as `name: what it does`. */
    listeners: () =>
      read(() =>
        [...document.querySelectorAll('[aria-label=Listeners] li')].map((row) => row.textContent.replace(/\s+/g, ' ').trim()),
      ),
    seesListener: (/** @type {string} */ pattern) =>
      until(`a listener like ${pattern}`, (p) =>
        [...document.querySelectorAll('[aria-label=Listeners] li')].some((row) =>
          new RegExp(p).test(row.textContent.replace(/\s+/g, ' ').trim()),
        ), pattern),

    queue: () => read(() =>
      [...document.querySelectorAll('#panel-queue .row:not([hidden])')]
        .sort((a, b) => Number(a.ariaPosInSet ?? a.getAttribute('aria-posinset')) - Number(b.getAttribute('aria-posinset')))
        .map((row) => row.querySelector('.title').textContent)),

    shot: async (/** @type {string} */ name) => {
      await mkdir(SHOTS, { recursive: true });
      await page.screenshot({ path: `${SHOTS}${name}.png` });
    },
    close: () => context.close(),
  };
  return phone;
}

/**
 * Runs a journey; a picture of each phone is saved if it fails.
 * @param {string} name
 * @param {() => Phone[]} phones
 * @param {() => Promise<void>} steps
 */
export async function journey(name, phones, steps) {
  try {
    await steps();
  } catch (error) {
    const stem = name.replace(/\W+/g, '-');
    await Promise.all(phones().map((phone, i) => phone.shot(`failed-${stem}-${i + 1}`).catch(() => {})));
    throw error;
  }
}

/** In the page: whether `count` tracks or more are there to their last byte, and marked so. */
async function holdsAndShows(/** @type {number} */ count) {
  globalThis.backOfTests ??= import('/js/cache/back.js').then(({ openBack }) => openBack());
  const back = await globalThis.backOfTests;
  const entries = (await back.list()).filter(({ size, receivedBytes }) => size === receivedBytes);
  const whole = entries.map(({ trackId }) => trackId);
  const rows = [...document.querySelectorAll('#panel-queue .row:not([hidden])')];
  const marked = rows.every((row) => row.querySelector('.held').hidden !== whole.includes(row.dataset.track));
  if (whole.length < count || rows.length === 0 || !marked) return false;
  // An entry is only what the page says of the bytes.
  for (const entry of entries) if ((await back.read(entry)).size !== entry.size) return false;
  return true;
}
