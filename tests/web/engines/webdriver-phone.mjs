// A simulated phone in a browser controlled by WebDriver. It uses only standard WebDriver commands, so that it works in every engine.

import { mkdir, writeFile } from 'node:fs/promises';
import { PAIRING_CODE } from '../support/server.mjs';
import { POLL_INTERVAL_MS, SCREENSHOTS_DIR, WAIT_TIMEOUT_MS, findControl, isPausedSteadily, isPlaying } from '../support/page-checks.mjs';

/** The key of an element's id in WebDriver's JSON (W3C WebDriver, web element identifier). */
const ELEMENT_KEY = 'element-6066-11e4-a52e-4f735466cecf';

/**
 * The WebDriver commands that a phone needs. Elements are referred to by their WebDriver id.
 * @typedef {object} Driver
 * @property {(url: string) => Promise<unknown>} goto
 * @property {(script: string, args: unknown[]) => Promise<any>} run runs the body of a function in the page, without a user gesture
 * @property {(id: string) => Promise<unknown>} click by a real pointer event
 * @property {(id: string) => Promise<unknown>} clear
 * @property {(id: string, text: string) => Promise<unknown>} type
 * @property {() => Promise<string>} screenshot a PNG in base64
 * @property {() => boolean} [isHung] whether the browser failed to respond to a command within the timeout
 * @property {() => Promise<void>} end ends the browser
 */

/** @param {Driver} driver */
export function webDriverPhone(driver) {
  /**
   * Evaluates `script` in the page.
   * @param {(...args: any[]) => unknown} script
   * @param {...unknown} args
   */
  const evaluate = (script, ...args) => driver.run(`return (${script})(...arguments)`, args);

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
      const value = await evaluate(script, ...args).catch(() => null);
      if (value) return value;
      if (Date.now() > deadline) throw new Error(`timed out waiting for ${description}\n${await evaluate(() => document.body.innerText).catch(String)}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
    }
  }

  /** Waits for a control, and returns its element id. @param {string} name the accessible name */
  const control = async (name) => (await waitFor(`the control ${name}`, findControl, name))[ELEMENT_KEY];

  /** @param {string} name @param {string} text */
  async function fill(name, text) {
    const id = await control(name);
    await driver.clear(id);
    await driver.type(id, text);
  }

  return {
    evaluate,
    waitFor,
    goto: driver.goto,
    fill,
    /** Chooses a file in the input with this id, as the system's dialog does. @param {string} inputId @param {string} path */
    chooseFile: async (inputId, path) => {
      const input = await evaluate((id) => document.querySelector(`#${id}`), inputId);
      await driver.type(input[ELEMENT_KEY], path);
    },
    press: async (/** @type {string} */ name) => driver.click(await control(name)),
    join: async (/** @type {string} */ name) => {
      await waitFor('the join view', () => document.querySelector('#join-view')?.hidden === false);
      await fill('Pairing code', PAIRING_CODE);
      await fill('Your name', name);
      await driver.click(await control('Join'));
      await waitFor('the room view', () => document.querySelector('#room-view')?.hidden === false);
    },
    title: () => evaluate(() => document.querySelector('#now-title').textContent),
    waitForTitle: (/** @type {string} */ title) =>
      waitFor(`the title ${title}`, (expected) => document.querySelector('#now-title').textContent === expected, title),
    waitForStatus: (/** @type {string} */ text) =>
      waitFor(`the status ${text}`, (expected) => document.querySelector('[role=status]').textContent.includes(expected), text),
    /** When the current track was at position 0, in seconds of the wall clock, which all pages on the machine share. */
    trackStartSec: () => evaluate(() => Date.now() / 1_000 - document.querySelector('audio').currentTime),
    waitForPlayback: () => waitFor('continuous playback', isPlaying),
    waitForSilence: () => waitFor('silence', isPausedSteadily),
    screenshot: async (/** @type {string} */ name) => {
      await mkdir(SCREENSHOTS_DIR, { recursive: true });
      await writeFile(`${SCREENSHOTS_DIR}${name}.png`, Buffer.from(await driver.screenshot(), 'base64'));
    },
    close: driver.end,
  };
}
