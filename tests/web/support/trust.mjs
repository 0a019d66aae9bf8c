// Whom a browser trusts: Chromium goes by the NSS database of the user's home, so a home of its own makes it a phone
// that has installed a root, or one that has not.

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openBrowser } from './phones.mjs';

const run = promisify(execFile);

/**
 * A browser with a home of its own.
 * @param {Buffer | null} root the certificate that it is to trust, as DER
 */
export async function openBrowserThatTrusts(root) {
  const home = await mkdtemp(join(tmpdir(), 'lockstep-home-'));
  const db = join(home, '.pki/nssdb');
  await mkdir(db, { recursive: true });
  await run('certutil', ['-d', `sql:${db}`, '-N', '--empty-password']);
  if (root) {
    const file = join(home, 'root.crt');
    await writeFile(file, root);
    await run('certutil', ['-d', `sql:${db}`, '-A', '-t', 'C,,', '-n', 'root', '-i', file]);
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
