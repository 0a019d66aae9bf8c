// Measures what the page asks of a phone, in software-rendered Chromium, and prints it as Markdown:
//
//     node tests/web/figures-page.mjs [queue] [battery]
//
// queue: what a frame costs while ten thousand rows are scrolled (sixty a second leave 16.7 ms each), at
// full speed and with the processor slowed six times; and how soon the filter answers. battery: a page that plays, for twenty seconds in sight and twenty out of it.

import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { openBrowser, openPhone } from './support/phones.mjs';
import { DEMO_MUSIC, FIXTURES, copies, startServer } from './support/server.mjs';
import { tones } from './support/tones.mjs';

const TRACKS = 10_000;
const SLOWER = 6;
const WATCH_MS = 20_000;
const SCROLL_MS = 4_000;

const chosen = process.argv.slice(2);
const wanted = (/** @type {string} */ name) => chosen.length === 0 || chosen.includes(name);
const table = (/** @type {string[][]} */ rows) => console.log(rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n') + '\n');

/** In the page: scrolls the queue on, frame by frame, and gives the times between frames. */
function scroll(/** @type {number} */ pxPerSecond, /** @type {number} */ forMs) {
  const scroller = document.querySelector('#queue-scroller');
  const gaps = [];
  return new Promise((resolve) => {
    let last = null;
    requestAnimationFrame(function frame(now) {
      if (last !== null) gaps.push(now - last);
      scroller.scrollTop += last === null ? 0 : (pxPerSecond * (now - last)) / 1000;
      last = now;
      if (gaps.reduce((sum, gap) => sum + gap, 0) < forMs) requestAnimationFrame(frame);
      else resolve(gaps);
    });
  });
}

/** In the page: the row in the middle, to see that the list did move. */
function middle() {
  return document.elementFromPoint(195, 450).closest('.row')?.querySelector('.title').textContent ?? 'no row';
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
    flags: ['--keep-duplicates'],
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
    // A mouse that rests on the page has it look after each frame what lies under it.
    await phone.page.mouse.move(-10, -10);
    // Processor time, since a machine that has other things to do would be measured else; waiting is not work.
    await phone.cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
    const workMs = async () => {
      const { metrics } = await phone.cdp.send('Performance.getMetrics');
      return 1000 * metrics.find(({ name }) => name === 'TaskDuration').value;
    };
    const rows = [['10,000 rows', 'work a frame', 'six times that', 'frames, slowed six times', 'median', '95 %', 'at the end'], Array(7).fill('---')];
    for (const [name, speed] of [['dragged, 1,500 px/s', 1_500], ['flung, 6,000 px/s', 6_000], ['thrown, 20,000 px/s', 20_000]]) {
      await phone.cdp.send('Emulation.setCPUThrottlingRate', { rate: 1 });
      const before = await workMs();
      const frames = (await phone.read(scroll, speed, SCROLL_MS)).length;
      const each = ((await workMs()) - before) / frames;
      await phone.cdp.send('Emulation.setCPUThrottlingRate', { rate: SLOWER });
      const gaps = (await phone.read(scroll, speed, SCROLL_MS)).sort((a, b) => a - b);
      const at = (/** @type {number} */ part) => `${gaps[Math.floor(gaps.length * part)].toFixed(1)} ms`;
      rows.push([name, `${each.toFixed(2)} ms`, `${(SLOWER * each).toFixed(1)} ms`, String(gaps.length), at(0.5), at(0.95), await phone.read(middle)]);
    }
    table(rows);

    await phone.cdp.send('Emulation.setCPUThrottlingRate', { rate: 1 });
    const answers = [['filter, at full speed', 'list made', 'frame shown', 'found'], Array(4).fill('---')];
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

/** What a process has used and holds: seconds of processor time, kilobytes to itself and of what it shares. */
async function used(/** @type {number} */ pid) {
  const [stat, memory] = await Promise.all(['stat', 'smaps_rollup'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')));
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { parent: Number(fields[1]), seconds: (Number(fields[11]) + Number(fields[12])) / 100, kb: Number(/^Pss:\s+(\d+)/m.exec(memory)?.[1] ?? 0) };
}

/** The processes of a browser, itself first. */
async function family(/** @type {number} */ root) {
  const all = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = new Map(await Promise.all(all.map(async (pid) => /** @type {const} */ ([pid, (await used(pid)).parent]))));
  const found = [root];
  for (const pid of found) found.push(...all.filter((other) => parents.get(other) === pid));
  return Promise.all(found.map(async (pid) => ({ pid, renderer: (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes('--type=renderer'), ...(await used(pid)) })));
}

async function battery() {
  const server = await startServer({ fill: tones({ 'Alpha Dance': 240, 'Beta Waltz': 240 }) });
  const profile = await mkdtemp(join(tmpdir(), 'lockstep-figures-'));
  const port = 9_333;
  // By hand, since a page that is driven is never hidden: the driver has to leave, and come back to ask.
  const child = spawn(process.env.CHROMIUM ?? '/usr/bin/chromium', [
    ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run', 'about:blank'],
    ...[`--user-data-dir=${profile}`, `--remote-debugging-port=${port}`, '--window-size=390,844', '--host-resolver-rules=MAP party.lan 127.0.0.1'],
  ], { stdio: 'ignore' });
  const address = `http://127.0.0.1:${port}`;
  try {
    while (!(await fetch(`${address}/json/version`).catch(() => null))) await new Promise((go) => setTimeout(go, 100));
    const driver = await chromium.connectOverCDP(address);
    const context = /** @type {any} */ (driver.contexts()[0]);
    const phone = await openPhone(/** @type {any} */ ({ newContext: async () => context }), server.url());
    await phone.join('Ada');
    await phone.holds(2);
    await phone.press('Play');
    await phone.status('in step');
    await phone.read(() => {
      globalThis.seen = [];
      document.addEventListener('visibilitychange', () => globalThis.seen.push(document.visibilityState));
    });
    await phone.cdp.detach();
    await driver.close();

    const rows = [['playing for 20 s', "the page's process", 'all of the browser', "memory of the page's process"], Array(4).fill('---')];
    const watch = async (/** @type {string} */ name) => {
      await new Promise((go) => setTimeout(go, 5_000));
      const before = await family(child.pid);
      await new Promise((go) => setTimeout(go, WATCH_MS));
      const now = await family(child.pid);
      const spent = now.map((one) => ({ ...one, seconds: one.seconds - (before.find(({ pid }) => pid === one.pid)?.seconds ?? 0) }));
      const own = spent.filter(({ renderer }) => renderer).sort((a, b) => b.seconds - a.seconds)[0];
      const percent = (/** @type {number} */ seconds) => `${((seconds * 100_000) / WATCH_MS).toFixed(1)} %`;
      rows.push([name, percent(own.seconds), percent(spent.reduce((sum, { seconds }) => sum + seconds, 0)), `${Math.round(own.kb / 1000)} MB`]);
    };
    await watch('Now, visible');
    await fetch(`${address}/json/new?about:blank`, { method: 'PUT' });
    await watch('Now, behind another tab');
    table(rows);

    const again = await chromium.connectOverCDP(address);
    const page = again.contexts()[0].pages().find((one) => one.url().includes('party.lan'));
    const session = await again.contexts()[0].newCDPSession(page);
    const { result } = await session.send('Runtime.evaluate', { expression: 'globalThis.seen.join() + `; audio at ${Math.round(document.querySelector("audio").currentTime)} s`' });
    console.log(`The page saw: ${result.value}`);
    await again.close();
  } finally {
    child.kill();
    await new Promise((gone) => child.once('exit', gone));
    await server.end();
    await rm(profile, { recursive: true, force: true });
  }
}

if (wanted('queue')) await queue();
if (wanted('battery')) await battery();
