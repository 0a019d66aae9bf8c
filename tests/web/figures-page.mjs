// Measures what the page asks of a phone, in software-rendered Chromium, and prints it as Markdown:
//
//     node tests/web/figures-page.mjs [queue] [battery]
//
// queue: frames while ten thousand rows are scrolled, and how soon the filter answers, with the processor
// slowed six times. battery: a page that plays, for twenty seconds in sight and twenty out of it.

import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openBrowser, openPhone } from './support/phones.mjs';
import { DEMO_MUSIC, FIXTURES, copies, startServer } from './support/server.mjs';
import { tones } from './support/tones.mjs';

const TRACKS = 10_000;
const SLOWER = 6;
const WATCH_MS = 20_000;

const chosen = process.argv.slice(2);
const wanted = (/** @type {string} */ name) => chosen.length === 0 || chosen.includes(name);
const table = (/** @type {string[][]} */ rows) => console.log(rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n') + '\n');

/** In the page: the time between frames until `stopFrames`. */
function startFrames() {
  const gaps = [];
  let last = null;
  let on = true;
  requestAnimationFrame(function frame(now) {
    if (last !== null) gaps.push(now - last);
    last = now;
    if (on) requestAnimationFrame(frame);
  });
  globalThis.stopFrames = () => {
    on = false;
    return gaps;
  };
}

/** In the page: from the letter to the list that it leads to, and to the frame that shows it. */
async function type(/** @type {string} */ text) {
  const filter = document.querySelector('#filter');
  const began = performance.now();
  filter.value = text;
  filter.dispatchEvent(new Event('input', { bubbles: true }));
  const listMs = performance.now() - began;
  await new Promise((go) => requestAnimationFrame(() => setTimeout(go)));
  return { listMs, shownMs: performance.now() - began, count: document.querySelector('#queue-count').textContent };
}

async function queue() {
  const server = await startServer({
    fill: async (folder) => {
      await copies(DEMO_MUSIC)(folder);
      const tiny = join(FIXTURES, 'untagged_song-name.mp3');
      for (let i = 0; i < TRACKS; i += 500) {
        await Promise.all(Array.from({ length: 500 }, (_, k) => cp(tiny, join(folder, `Song ${String(i + k).padStart(5, '0')} of the Long Evening.mp3`))));
      }
    },
  });
  const browser = await openBrowser();
  try {
    const phone = await openPhone(browser, 'about:blank');
    // Every track gets a cover of its own, to be fetched and decoded, though there are but six pictures.
    await phone.page.route('**/index', async (route) => {
      // Only the browser knows where party.lan is.
      const response = await route.fetch({ url: route.request().url().replace('party.lan', '127.0.0.1') });
      const tracks = await response.json();
      const covers = tracks.flatMap(({ coverUrl }) => coverUrl ?? []);
      tracks.forEach((track, i) => (track.coverUrl ??= `${covers[i % covers.length]}&n=${i}`));
      await route.fulfill({ response, json: tracks });
    });
    await phone.page.goto(server.url());
    await phone.join('Ada');
    await phone.open('Queue');
    await phone.until('all tracks', () => document.querySelector('#queue-count').textContent.startsWith('10,0'));
    await phone.holds(1);
    // Songs take longer than these to fetch: else a thousand of them would come during the measurement.
    await phone.page.route('**/file/**', () => {});
    await phone.cdp.send('Emulation.setCPUThrottlingRate', { rate: SLOWER });

    const rows = [['10,000 rows, processor slowed six times', 'frames', 'median', '95 %', 'longest', 'over 20 ms'], Array(6).fill('---')];
    for (const [name, speed, distance] of [['dragged, 1,500 px/s', 1_500, 6_000], ['flung, 6,000 px/s', 6_000, 24_000], ['thrown, 20,000 px/s', 20_000, 80_000]]) {
      await phone.read(startFrames);
      await phone.cdp.send('Input.synthesizeScrollGesture', { x: 195, y: 500, yDistance: -distance, speed, gestureSourceType: 'touch', preventFling: true });
      const gaps = (await phone.read(() => globalThis.stopFrames())).sort((a, b) => a - b);
      const at = (/** @type {number} */ part) => `${gaps[Math.min(gaps.length - 1, Math.floor(gaps.length * part))].toFixed(1)} ms`;
      rows.push([name, String(gaps.length), at(0.5), at(0.95), at(1), `${((100 * gaps.filter((gap) => gap > 20).length) / gaps.length).toFixed(1)} %`]);
    }
    table(rows);

    const answers = [['filter', 'list made', 'frame shown', 'found'], Array(4).fill('---')];
    for (const text of ['s', 'so', 'song 0777', 'evening long 9', '']) {
      const { listMs, shownMs, count } = await phone.read(type, text);
      answers.push([`“${text}”`, `${listMs.toFixed(1)} ms`, `${shownMs.toFixed(1)} ms`, count]);
    }
    table(answers);
  } finally {
    await browser.close();
    await server.end();
  }
}

/** Kilobytes that a process has to itself, and its part of what it shares. */
async function memoryKb(/** @type {number} */ pid) {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
  return Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
}

async function battery() {
  const server = await startServer({ fill: tones({ 'Alpha Dance': 240, 'Beta Waltz': 240 }) });
  const browser = await openBrowser();
  try {
    const phone = await openPhone(browser, server.url());
    await phone.join('Ada');
    await phone.holds(2);
    await phone.press('Play');
    await phone.status('in step');
    await new Promise((go) => setTimeout(go, 5_000));
    const whole = await browser.newBrowserCDPSession();
    const rows = [['playing for 20 s', 'renderer', 'all processes of the browser', 'memory of the renderer', 'of all'], Array(5).fill('---')];
    const watch = async (/** @type {string} */ name) => {
      const look = async () => (await whole.send('SystemInfo.getProcessInfo')).processInfo;
      const before = await look();
      await new Promise((go) => setTimeout(go, WATCH_MS));
      const now = await look();
      const spent = now.map(({ id, type: kind, cpuTime }) => ({ id, kind, seconds: cpuTime - (before.find((other) => other.id === id)?.cpuTime ?? 0) }));
      const percent = (/** @type {typeof spent} */ list) => `${((list.reduce((sum, { seconds }) => sum + seconds, 0) * 100_000) / WATCH_MS).toFixed(1)} %`;
      // A spare renderer waits for the next page: the page's own is the busiest.
      const own = spent.filter(({ kind }) => kind === 'renderer').sort((a, b) => b.seconds - a.seconds)[0];
      const memory = await Promise.all(spent.map(({ id }) => memoryKb(id)));
      const sum = memory.reduce((a, b) => a + b, 0);
      rows.push([name, percent([own]), percent(spent), `${Math.round((await memoryKb(own.id)) / 1000)} MB`, `${Math.round(sum / 1000)} MB`]);
    };
    await watch(`Now, ${await phone.read(() => document.visibilityState)}`);
    const { windowId } = await phone.cdp.send('Browser.getWindowForTarget');
    await phone.cdp.send('Browser.setWindowBounds', { windowId, bounds: { windowState: 'minimized' } });
    await phone.until('a page that is hidden', () => document.visibilityState === 'hidden').catch((error) => console.log(`not hidden: ${String(error).split('\n')[0]}`));
    await watch(`Now, ${await phone.read(() => document.visibilityState)}`);
    table(rows);
  } finally {
    await browser.close();
    await server.end();
  }
}

if (wanted('queue')) await queue();
if (wanted('battery')) await battery();
