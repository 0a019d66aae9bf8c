// Measures the latency of playback on two phones in a real browser and prints a Markdown table:
//
//     node tests/web/measure-latency.mjs
//
// The start of playback is extrapolated from the media element's position shortly afterwards.

import { openBrowser, openPhone } from './support/phones.mjs';
import { startServer } from './support/server.mjs';
import { tones } from './support/tones.mjs';

const RUNS = 10;

/** Runs in the page: records the times of presses, starts and ends by the wall clock, which all pages on the machine share. */
function recordTimes() {
  const wallMs = () => performance.timeOrigin + performance.now();
  const audio = document.querySelector('audio');
  const times = { pressMs: 0, startsMs: [], endsMs: [] };
  window.times = times;
  addEventListener('pointerdown', () => (times.pressMs = wallMs()), true);
  const recordEnd = () => times.endsMs.push(wallMs());
  audio.addEventListener('ended', recordEnd);
  // A phone that receives the other's /next before its own track ended changes tracks at once.
  audio.addEventListener('emptied', () => wallMs() - (times.endsMs.at(-1) ?? 0) > 1000 && recordEnd());
  audio.addEventListener('play', () => {
    const fromSec = audio.currentTime;
    const source = audio.src;
    const check = () => {
      if (audio.src !== source || audio.paused) return;
      if (audio.currentTime - fromSec > 0.05) times.startsMs.push(wallMs() - (audio.currentTime - fromSec) * 1000);
      else setTimeout(check, 5);
    };
    check();
  });
}

/** A table row with median, maximum and count. @param {string} name @param {number[]} values */
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
  const onAll = (/** @type {(phone: typeof ada) => Promise<any>} */ step) => Promise.all(phones.map(step));
  await ada.join('Ada');
  await ben.join('Ben');
  await onAll((phone) => phone.waitForStoredTracks(2));
  await onAll((phone) => phone.evaluate(recordTimes));

  const startLatenciesMs = [];
  for (let run = 0; run < RUNS; run += 1) {
    await onAll((phone) => phone.evaluate(() => void (window.times.startsMs = [])));
    await ada.press('Play');
    const firstStarts = await onAll((phone) => phone.waitFor('the start of playback', () => window.times.startsMs[0]));
    startLatenciesMs.push(Math.max(...firstStarts) - (await ada.evaluate(() => window.times.pressMs)));
    await ada.press('Pause');
    await onAll((phone) => phone.waitForSilence());
  }

  await onAll((phone) => phone.evaluate(() => Object.assign(window.times, { startsMs: [], endsMs: [] })));
  await ada.press('Play');
  for (let run = 1; run <= RUNS; run += 1) {
    await onAll((phone) => phone.waitFor('the next track', (minStarts) => window.times.startsMs.length > minStarts, run));
  }
  const gapsMs = (await onAll((phone) => phone.evaluate(() => window.times))).flatMap(({ startsMs, endsMs }) =>
    endsMs.map((endMs) => startsMs.find((startMs) => startMs > endMs) - endMs).filter(Number.isFinite),
  );

  console.log('| | median | maximum | count |');
  console.log('| --- | --- | --- | --- |');
  console.log(row('press to both phones playing, tracks cached', startLatenciesMs));
  console.log(row('end of a track to playback of the next, prefetched', gapsMs));
} finally {
  await server.remove();
  await browser.close();
}
