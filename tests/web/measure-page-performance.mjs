// Measures the page's CPU use and frame times in software-rendered Chromium and prints them as Markdown:
//
//     node tests/web/measure-page-performance.mjs [queue] [battery]
//
// queue: frame times while 10,000 rows and the covers of 1,000 albums scroll (60 frames a second leave 16.7 ms each), at full speed
// and with the CPU slowed six times, and the response time of the search. battery: CPU and memory of a page that plays, for 20 s visible and for 20 s hidden.

import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { openBrowser, openPhone } from './support/phones.mjs';
import { DEMO_MUSIC, FIXTURES, copyMusicFrom, startServer } from './support/server.mjs';
import { tones } from './support/tones.mjs';

const TRACK_COUNT = 10_000;
const CPU_SLOWDOWN = 6;
/** Length of each measurement of CPU use and memory. */
const MEASUREMENT_MS = 20_000;
const SCROLL_MS = 4_000;

const selected = process.argv.slice(2);
const isSelected = (/** @type {string} */ name) => selected.length === 0 || selected.includes(name);
const printTable = (/** @type {string[][]} */ rows) => console.log(rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n') + '\n');

/** Runs in the page: scrolls the queue frame by frame and returns the frame times. */
function scroll(/** @type {number} */ pxPerSecond, /** @type {number} */ durationMs) {
  const scroller = document.querySelector('#queue-scroller');
  const frameTimes = [];
  return new Promise((resolve) => {
    let lastMs = null;
    requestAnimationFrame(function frame(now) {
      if (lastMs !== null) frameTimes.push(now - lastMs);
      scroller.scrollTop += lastMs === null ? 0 : (pxPerSecond * (now - lastMs)) / 1000;
      lastMs = now;
      if (frameTimes.reduce((sum, ms) => sum + ms, 0) < durationMs) requestAnimationFrame(frame);
      else resolve(frameTimes);
    });
  });
}

/** Runs in the page: the title of the row in the middle, which shows that the list has scrolled. */
function middleTitle() {
  return document.elementFromPoint(100, 450).closest('.row, .album-card')?.querySelector('.title, .card-title').textContent ?? 'no row';
}

/** Runs in the page: times from input in the search field to the list of results and to the frame that shows the list. */
async function typeFilter(/** @type {string} */ text) {
  const filter = document.querySelector('#filter');
  const startMs = performance.now();
  filter.value = text;
  filter.dispatchEvent(new Event('input', { bubbles: true }));
  const listMs = performance.now() - startMs;
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  return { listMs, shownMs: performance.now() - startMs, count: document.querySelector('#queue-count').textContent };
}

async function measureQueue() {
  const server = await startServer({
    fill: async (folder) => {
      await copyMusicFrom(DEMO_MUSIC)(folder);
      const shortTrack = join(FIXTURES, 'untagged_song-name.mp3');
      for (let i = 0; i < TRACK_COUNT; i += 500) {
        await Promise.all(Array.from({ length: 500 }, (_, offset) => cp(shortTrack, join(folder, `Song ${String(i + offset).padStart(5, '0')} of the Long Evening.mp3`))));
      }
    },
    flags: ['--keep-duplicates'],
  });
  const browser = await openBrowser();
  try {
    const phone = await openPhone(browser, 'about:blank');
    // Gives every track a cover URL of its own, so that the page fetches and decodes each cover, and an album.
    await phone.page.route('**/index', async (route) => {
      // Only the browser resolves party.lan.
      const response = await route.fetch({ url: route.request().url().replace('party.lan', '127.0.0.1') });
      const tracks = await response.json();
      const covers = tracks.flatMap(({ coverUrl }) => coverUrl ?? []);
      tracks.forEach((track, i) => {
        track.coverUrl ??= `${covers[i % covers.length]}&n=${i}`;
        const number = Math.floor(i / 10);
        track.tags = { artist: `Artist ${number % 300}`, album: `Album ${number}`, albumArtist: `Artist ${number % 300}`, ...track.tags };
      });
      await route.fulfill({ response, json: tracks });
    });
    await phone.page.goto(server.url());
    await phone.join('Ada');
    await phone.openTab('Queue');
    await phone.waitFor('all tracks in the queue', () => document.querySelector('#queue-count').textContent.startsWith('10,0'));
    await phone.waitForStoredTracks(1);
    // Blocks downloads: these tracks are so short that the page would download hundreds during the measurement.
    await phone.page.route('**/file/**', () => {});
    // CPU time instead of wall time, so that other load on the machine does not count.
    await phone.cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
    const cpuMs = async () => {
      const { metrics } = await phone.cdp.send('Performance.getMetrics');
      return 1000 * metrics.find(({ name }) => name === 'TaskDuration').value;
    };
    const rows = [['10,000 rows', 'CPU time per frame', 'six times this CPU time', 'frames, CPU slowed six times', 'median', '95 %', 'last row'], Array(7).fill('---')];
    for (const [segment, name, speed] of [
      ['Up next', 'drag, 1,500 px/s', 1_500], ['Up next', 'fling, 6,000 px/s', 6_000], ['Up next', 'fast fling, 20,000 px/s', 20_000],
      ['Albums', 'albums, drag', 1_500], ['Albums', 'albums, fling', 6_000],
    ]) {
      await phone.openSegment(segment);
      // A mouse pointer that rests in the page would cause a hit test after each frame.
      await phone.page.mouse.move(-10, -10);
      await phone.cdp.send('Emulation.setCPUThrottlingRate', { rate: 1 });
      const beforeMs = await cpuMs();
      const frames = (await phone.evaluate(scroll, speed, SCROLL_MS)).length;
      const perFrameMs = ((await cpuMs()) - beforeMs) / frames;
      await phone.cdp.send('Emulation.setCPUThrottlingRate', { rate: CPU_SLOWDOWN });
      const frameTimes = (await phone.evaluate(scroll, speed, SCROLL_MS)).sort((a, b) => a - b);
      const frameTimeAt = (/** @type {number} */ quantile) => `${frameTimes[Math.floor(frameTimes.length * quantile)].toFixed(1)} ms`;
      rows.push([name, `${perFrameMs.toFixed(2)} ms`, `${(CPU_SLOWDOWN * perFrameMs).toFixed(1)} ms`, String(frameTimes.length), frameTimeAt(0.5), frameTimeAt(0.95), await phone.evaluate(middleTitle)]);
    }
    printTable(rows);

    const filterRows = [['search, CPU slowed six times', 'list filled', 'frame shown', 'tracks'], Array(4).fill('---')];
    await phone.cdp.send('Emulation.setCPUThrottlingRate', { rate: CPU_SLOWDOWN });
    for (const text of ['s', 'so', 'song 0777', 'evning long', '']) {
      const { listMs, shownMs, count } = await phone.evaluate(typeFilter, text);
      filterRows.push([`“${text}”`, `${listMs.toFixed(1)} ms`, `${shownMs.toFixed(1)} ms`, count]);
    }
    printTable(filterRows);
  } finally {
    await browser.close();
    await server.remove();
  }
}

/** A process's parent, its CPU time in seconds, and its proportional memory (PSS) in kB. */
async function processUsage(/** @type {number} */ pid) {
  const [stat, memory] = await Promise.all(['stat', 'smaps_rollup'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')));
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { parent: Number(fields[1]), seconds: (Number(fields[11]) + Number(fields[12])) / 100, kb: Number(/^Pss:\s+(\d+)/m.exec(memory)?.[1] ?? 0) };
}

/** The usage of all processes of a browser, the main process first. */
async function browserUsage(/** @type {number} */ root) {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = new Map(await Promise.all(pids.map(async (pid) => /** @type {const} */ ([pid, (await processUsage(pid)).parent]))));
  const members = [root];
  for (const pid of members) members.push(...pids.filter((other) => parents.get(other) === pid));
  return Promise.all(members.map(async (pid) => ({ pid, isRenderer: (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes('--type=renderer'), ...(await processUsage(pid)) })));
}

async function measureBattery() {
  const server = await startServer({ fill: tones({ 'Alpha Dance': 240, 'Beta Waltz': 240 }) });
  const profile = await mkdtemp(join(tmpdir(), 'lockstep-figures-'));
  const port = 9_333;
  // An attached driver keeps the page visible, so the driver disconnects before the measurement.
  const child = spawn(process.env.CHROMIUM ?? '/usr/bin/chromium', [
    ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run', 'about:blank'],
    ...[`--user-data-dir=${profile}`, `--remote-debugging-port=${port}`, '--window-size=390,844', '--host-resolver-rules=MAP party.lan 127.0.0.1'],
  ], { stdio: 'ignore' });
  const debuggingUrl = `http://127.0.0.1:${port}`;
  try {
    while (!(await fetch(`${debuggingUrl}/json/version`).catch(() => null))) await new Promise((resolve) => setTimeout(resolve, 100));
    const driver = await chromium.connectOverCDP(debuggingUrl);
    const context = /** @type {any} */ (driver.contexts()[0]);
    const phone = await openPhone(/** @type {any} */ ({ newContext: async () => context }), server.url());
    await phone.join('Ada');
    await phone.waitForStoredTracks(2);
    await phone.press('Play');
    await phone.waitForStatus('in step');
    await phone.evaluate(() => {
      globalThis.visibilityStates = [];
      document.addEventListener('visibilitychange', () => globalThis.visibilityStates.push(document.visibilityState));
    });
    await phone.cdp.detach();
    await driver.close();

    const rows = [['playing for 20 s', "CPU of the page's process", 'CPU of the browser', "memory of the page's process"], Array(4).fill('---')];
    const measure = async (/** @type {string} */ name) => {
      await new Promise((resolve) => setTimeout(resolve, 5_000));
      const before = await browserUsage(child.pid);
      await new Promise((resolve) => setTimeout(resolve, MEASUREMENT_MS));
      const after = await browserUsage(child.pid);
      const usages = after.map((usage) => ({ ...usage, seconds: usage.seconds - (before.find(({ pid }) => pid === usage.pid)?.seconds ?? 0) }));
      const pageProcess = usages.filter(({ isRenderer }) => isRenderer).sort((a, b) => b.seconds - a.seconds)[0];
      const percent = (/** @type {number} */ seconds) => `${((seconds * 100_000) / MEASUREMENT_MS).toFixed(1)} %`;
      rows.push([name, percent(pageProcess.seconds), percent(usages.reduce((sum, { seconds }) => sum + seconds, 0)), `${Math.round(pageProcess.kb / 1000)} MB`]);
    };
    await measure('Now, visible');
    await fetch(`${debuggingUrl}/json/new?about:blank`, { method: 'PUT' });
    await measure('Now, behind another tab');
    printTable(rows);

    const secondDriver = await chromium.connectOverCDP(debuggingUrl);
    const page = secondDriver.contexts()[0].pages().find((candidate) => candidate.url().includes('party.lan'));
    const session = await secondDriver.contexts()[0].newCDPSession(page);
    const { result } = await session.send('Runtime.evaluate', { expression: 'globalThis.visibilityStates.join() + `; audio at ${Math.round(document.querySelector("audio").currentTime)} s`' });
    console.log(`Visibility states of the page: ${result.value}`);
    await secondDriver.close();
  } finally {
    child.kill();
    await new Promise((resolve) => child.once('exit', resolve));
    await server.remove();
    await rm(profile, { recursive: true, force: true });
  }
}

if (isSelected('queue')) await measureQueue();
if (isSelected('battery')) await measureBattery();
