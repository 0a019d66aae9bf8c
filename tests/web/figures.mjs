// Measures what a person waits for, on two phones in a real browser, and prints it as Markdown:
//
//     node tests/web/figures.mjs
//
// "Sounds" is when the element's position begins to move, worked out from where it is a little later.

import { openBrowser, openPhone } from './support/phones.mjs';
import { startServer } from './support/server.mjs';
import { tones } from './support/tones.mjs';

const RUNS = 10;

/** Notes, on the clock that all pages of one machine share, every press, start and end in the page. */
function watch() {
  const wallMs = () => performance.timeOrigin + performance.now();
  const audio = document.querySelector('audio');
  const seen = { press: 0, starts: [], ends: [] };
  window.seen = seen;
  addEventListener('pointerdown', () => (seen.press = wallMs()), true);
  const end = () => seen.ends.push(wallMs());
  audio.addEventListener('ended', end);
  // A phone that hears of the other's next before its own end has reached it changes tracks at once.
  audio.addEventListener('emptied', () => wallMs() - (seen.ends.at(-1) ?? 0) > 1000 && end());
  audio.addEventListener('play', () => {
    const from = audio.currentTime;
    const source = audio.src;
    const look = () => {
      if (audio.src !== source || audio.paused) return;
      if (audio.currentTime - from > 0.05) seen.starts.push(wallMs() - (audio.currentTime - from) * 1000);
      else setTimeout(look, 5);
    };
    look();
  });
}

/** @param {number[]} values */
function row(name, values) {
  const sorted = values.toSorted((a, b) => a - b);
  const median = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  return `| ${name} | ${Math.round(median)} ms | ${Math.round(sorted.at(-1))} ms | ${values.length} |`;
}

const browser = await openBrowser();
const server = await startServer({ fill: tones(Object.fromEntries(Array.from({ length: RUNS + 1 }, (_, i) => [`Song ${10 + i}`, 5]))) });
try {
  const phones = [await openPhone(browser, server.url()), await openPhone(browser, server.url())];
  const [ada, ben] = phones;
  const all = (/** @type {(phone: typeof ada) => Promise<any>} */ step) => Promise.all(phones.map(step));
  await ada.join('Ada');
  await ben.join('Ben');
  await all((phone) => phone.holds(2));
  await all((phone) => phone.read(watch));

  const starts = [];
  for (let run = 0; run < RUNS; run += 1) {
    await all((phone) => phone.read(() => void (window.seen.starts = [])));
    await ada.press('Play');
    const first = await all((phone) => phone.until('a start', () => window.seen.starts[0]));
    starts.push(Math.max(...first) - (await ada.read(() => window.seen.press)));
    await ada.press('Pause');
    await all((phone) => phone.silent());
  }

  await all((phone) => phone.read(() => Object.assign(window.seen, { starts: [], ends: [] })));
  await ada.press('Play');
  for (let run = 1; run <= RUNS; run += 1) {
    await all((phone) => phone.until('the next song', (runs) => window.seen.starts.length > runs, run));
  }
  const gaps = (await all((phone) => phone.read(() => window.seen))).flatMap(({ starts: on, ends }) =>
    ends.map((end) => on.find((start) => start > end) - end).filter(Number.isFinite),
  );

  console.log('| | median | worst | of |');
  console.log('| --- | --- | --- | --- |');
  console.log(row('press to both phones playing, tracks held', starts));
  console.log(row('end of a track to the next being heard, prefetched', gaps));
} finally {
  await server.end();
  await browser.close();
}
