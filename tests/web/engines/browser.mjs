// A phone in a browser that WebDriver drives, whichever engine it has: what hands and eyes do. Only
// what WebDriver itself gives is used, so nothing here knows which engine it is.

import { mkdir, writeFile } from 'node:fs/promises';
import { CODE } from '../support/server.mjs';
import { LIMIT_MS, LOOK_EVERY_MS, SHOTS, named, rests, runs } from '../support/eyes.mjs';

/** The key of an element's id wherever WebDriver spells an element in JSON. */
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

/**
 * The few commands of WebDriver that a phone needs. Elements are spelled by their ids.
 * @typedef {object} Driver
 * @property {(url: string) => Promise<unknown>} goto
 * @property {(script: string, args: unknown[]) => Promise<any>} run the body of a function in the page; no gesture
 * @property {(id: string) => Promise<unknown>} click a real one, with a pointer
 * @property {(id: string) => Promise<unknown>} clear
 * @property {(id: string, text: string) => Promise<unknown>} type
 * @property {() => Promise<string>} picture a PNG in base64
 * @property {() => boolean} [isSilent] whether it has answered a command never
 * @property {() => Promise<void>} end
 */

/** @param {Driver} driver */
export function phoneIn(driver) {
  /**
   * What `look` gives in the page.
   * @param {(...args: any[]) => unknown} look
   * @param {...unknown} args
   */
  const read = (look, ...args) => driver.run(`return (${look})(...arguments)`, args);

  /**
   * Waits until `look` gives something true in the page.
   * @param {string} what
   * @param {(...args: any[]) => unknown} look
   * @param {...unknown} args
   */
  async function until(what, look, ...args) {
    const end = Date.now() + LIMIT_MS;
    for (;;) {
      // A page that is just being loaded has no answer yet.
      const met = await read(look, ...args).catch(() => null);
      if (met) return met;
      if (Date.now() > end) throw new Error(`never seen: ${what}\n${await read(() => document.body.innerText).catch(String)}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }

  /** @param {string} name of a control, as a screen reader says it */
  const control = async (name) => (await until(name, named, name))[ELEMENT];

  /** @param {string} name @param {string} text */
  async function fill(name, text) {
    const id = await control(name);
    await driver.clear(id);
    await driver.type(id, text);
  }

  return {
    read,
    until,
    goto: driver.goto,
    press: async (/** @type {string} */ name) => driver.click(await control(name)),
    join: async (/** @type {string} */ name) => {
      await until('the door', () => document.querySelector('#join-view')?.hidden === false);
      await fill('Pairing code', CODE);
      await fill('Your name', name);
      await driver.click(await control('Join'));
      await until('the room', () => document.querySelector('#room-view')?.hidden === false);
    },
    title: () => read(() => document.querySelector('#now-title').textContent),
    seesTitle: (/** @type {string} */ title) =>
      until(`the title ${title}`, (t) => document.querySelector('#now-title').textContent === t, title),
    status: (/** @type {string} */ text) =>
      until(`the status ${text}`, (t) => document.querySelector('[role=status]').textContent.includes(t), text),
    /** The moment at which what it plays was at 0, in seconds of the clock on the wall, which all pages share. */
    line: () => read(() => Date.now() / 1_000 - document.querySelector('audio').currentTime),
    sounds: () => until('music that runs', runs),
    silent: () => until('silence that stays', rests),
    shot: async (/** @type {string} */ name) => {
      await mkdir(SHOTS, { recursive: true });
      await writeFile(`${SHOTS}${name}.png`, Buffer.from(await driver.picture(), 'base64'));
    },
    close: driver.end,
  };
}
