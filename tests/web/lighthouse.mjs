// Prints the Lighthouse scores of the join view and of Now as a Markdown table (not a test; takes about a minute for each row):
//
//     node tests/web/lighthouse.mjs
//
// Each view is measured with Lighthouse's default mobile network (1.6 Mbit/s, 150 ms), on which the downloads of tracks compete with the
// page, and with Wi-Fi (40 Mbit/s, 10 ms); the CPU is slowed four times on both. The environment variable LIGHTHOUSE replaces the npx
// command.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DEMO_MUSIC, PAIRING_CODE, copyMusicFrom, startServer } from './support/server.mjs';

const CATEGORIES = ['performance', 'accessibility', 'best-practices'];
const NETWORKS = { 'mobile network': [], 'Wi-Fi': ['--throttling.rttMs=10', '--throttling.throughputKbps=40000', '--throttling.cpuSlowdownMultiplier=4'] };
const [command, ...commandArgs] = (process.env.LIGHTHOUSE ?? 'npx --yes lighthouse@12.8.2').split(' ');

const reportDir = await mkdtemp(join(tmpdir(), 'lockstep-lighthouse-'));
const server = await startServer({ fill: copyMusicFrom(DEMO_MUSIC) });
try {
  const url = server.url('127.0.0.1');
  const paired = await fetch(`${url}pair`, { method: 'POST', body: JSON.stringify({ code: PAIRING_CODE }), headers: { 'Content-Type': 'application/json' } });
  const { clientId } = await paired.json();
  console.log(`| | ${CATEGORIES.join(' | ')} | first paint |\n| --- | --- | --- | --- | --- |`);
  const views = { Join: {}, Now: { Cookie: `clientId=${clientId}` } };
  for (const [view, headers] of Object.entries(views)) {
    for (const [network, throttling] of Object.entries(NETWORKS)) {
      const report = join(reportDir, 'report.json');
      const flags = [
        ...['--quiet', '--output=json', `--output-path=${report}`, `--only-categories=${CATEGORIES}`, ...throttling],
        ...[`--extra-headers=${JSON.stringify(headers)}`, '--chrome-flags=--headless=new --no-sandbox --disable-gpu'],
      ];
      const env = { ...process.env, CHROME_PATH: process.env.CHROMIUM ?? '/usr/bin/chromium' };
      await promisify(execFile)(command, [...commandArgs, url, ...flags], { env });
      const { categories, audits } = JSON.parse(await readFile(report, 'utf8'));
      const scores = CATEGORIES.map((category) => Math.round(100 * categories[category].score));
      console.log(`| ${view}, ${network} | ${scores.join(' | ')} | ${Math.round(audits['first-contentful-paint'].numericValue)} ms |`);
      const lowAudits = CATEGORIES.flatMap((category) => categories[category].auditRefs).filter(({ id, weight }) => weight > 0 && (audits[id].score ?? 1) < 0.9);
      for (const { id } of lowAudits) console.error(`${view}, ${network}: ${id} ${audits[id].score} ${audits[id].displayValue ?? ''}`);
    }
  }
} finally {
  await server.remove();
  await rm(reportDir, { recursive: true, force: true });
}
