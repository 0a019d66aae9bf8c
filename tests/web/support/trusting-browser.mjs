// Browsers that trust a root certificate, or none. Chromium reads trusted roots from the NSS database in the user's home directory,
// so each browser gets a home directory of its own.

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openBrowser } from './phones.mjs';

const run = promisify(execFile);

/** @param {Buffer | null} root the trusted root certificate as DER */
export async function openBrowserTrusting(root) {
  const home = await mkdtemp(join(tmpdir(), 'lockstep-home-'));
  const database = join(home, '.pki/nssdb');
  await mkdir(database, { recursive: true });
  await run('certutil', ['-d', `sql:${database}`, '-N', '--empty-password']);
  if (root) {
    const file = join(home, 'root.crt');
    await writeFile(file, root);
    await run('certutil', ['-d', `sql:${database}`, '-A', '-t', 'C,,', '-n', 'root', '-i', file]);
  }
  const browser = await openBrowser(undefined, { env: { ...process.env, HOME: home } });
  return {
    browser,
    close: async () => {
      await browser.close();
      await rm(home, { recursive: true, force: true });
    },
  };
}
