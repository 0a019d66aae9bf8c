// What Lighthouse has to say of the join page and of Now, as Markdown (too slow for the tests, a minute each):
//
//     node tests/web/lighthouse.mjs
//
// Each as Lighthouse has it by itself, a slow phone far away (1.6 Mbit/s, 150 ms), where the songs that Now
// fetches compete with all else; and as a house has it, the same slow phone on Wi-Fi (40 Mbit/s, 10 ms).
// LIGHTHOUSE names the command, if it is installed elsewhere than npx would put it.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CODE, DEMO_MUSIC, copies, startServer } from './support/server.mjs';

const CATEGORIES = ['performance', 'accessibility', 'best-practices'];
const NETWORKS = { 'far away': [], 'Wi-Fi': ['--throttling.rttMs=10', '--throttling.throughputKbps=40000', '--throttling.cpuSlowdownMultiplier=4'] };
const [command, ...first] = (process.env.LIGHTHOUSE ?? 'npx --yes lighthouse@12.8.2').split(' ');

const home = await mkdtemp(join(tmpdir(), 'lockstep-lighthouse-'));
const server = await startServer({ fill: copies(DEMO_MUSIC) });
try {
  const url = server.url('127.0.0.1');
  const paired = await fetch(`${url}pair`, { method: 'POST', body: JSON.stringify({ code: CODE }), headers: { 'Content-Type': 'application/json' } });
  const { clientId } = await paired.json();
  console.log(`| | ${CATEGORIES.join(' | ')} | first paint |\n| --- | --- | --- | --- | --- |`);
  const views = { Join: {}, Now: { Cookie: `clientId=${clientId}` } };
  for (const [view, headers] of Object.entries(views)) {
    for (const [network, throttling] of Object.entries(NETWORKS)) {
      const report = join(home, 'report.json');
      const flags = [
        ...['--quiet', '--output=json', `--output-path=${report}`, `--only-categories=${CATEGORIES}`, ...throttling],
        ...[`--extra-headers=${JSON.stringify(headers)}`, '--chrome-flags=--headless=new --no-sandbox --disable-gpu'],
      ];
      const env = { ...process.env, CHROME_PATH: process.env.CHROMIUM ?? '/usr/bin/chromium' };
      await promisify(execFile)(command, [...first, url, ...flags], { env });
      const { categories, audits } = JSON.parse(await readFile(report, 'utf8'));
      const scores = CATEGORIES.map((category) => Math.round(100 * categories[category].score));
      console.log(`| ${view}, ${network} | ${scores.join(' | ')} | ${Math.round(audits['first-contentful-paint'].numericValue)} ms |`);
      const short = CATEGORIES.flatMap((category) => categories[category].auditRefs).filter(({ id, weight }) => weight > 0 && (audits[id].score ?? 1) < 0.9);
      for (const { id } of short) console.error(`${view}, ${network}: ${id} ${audits[id].score} ${audits[id].displayValue ?? ''}`);
    }
  }
} finally {
  await server.end();
  await rm(home, { recursive: true, force: true });
}
