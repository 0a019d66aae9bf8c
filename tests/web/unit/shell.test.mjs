// What the page is made of: index.html names all of it, so that a phone on a LAN fetches it in one
// go and not one import after the other; and what can be installed is there.

import assert from 'node:assert/strict';
import { access, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const STATIC = fileURLToPath(new URL('../../../static', import.meta.url));
const read = (/** @type {string} */ path) => readFile(join(STATIC, path), 'utf8');

/** All modules that `entry` imports, and those that these import. */
async function graph(/** @type {string} */ entry, found = new Set()) {
  if (found.has(entry)) return found;
  found.add(entry);
  const imports = (await read(entry)).matchAll(/^(?:import|export)\b[^;]*?\bfrom '(\..*?)';$/gms);
  for (const [, path] of imports) await graph(join(dirname(entry), path ?? ''), found);
  return found;
}

test('the page preloads just the modules that it consists of', async () => {
  const html = await read('index.html');
  const preloaded = [...html.matchAll(/<link rel="modulepreload" href="(.*?)">/g)].map(([, path]) => path);
  const modules = [...(await graph('/js/main.js'))].filter((path) => path !== '/js/main.js').sort();
  const lines = modules.map((path) => `    <link rel="modulepreload" href="${path}">`).join('\n');
  assert.deepEqual(preloaded, modules, `index.html should have these lines:\n${lines}`);
});

test('whatever index.html and the manifest name is there', async () => {
  const html = await read('index.html');
  const manifest = JSON.parse(await read('manifest.webmanifest'));
  const own = /** @type {string[]} */ ([...html.matchAll(/(?:href|src)="(\/[^"#]+)"/g)].map(([, path]) => path)).filter((path) => path !== '/qr');
  const icons = [manifest, ...manifest.shortcuts].flatMap(({ icons }) => icons.map((icon) => icon.src));
  assert.ok(own.length > 5 && icons.length > 3);
  for (const path of [...own, ...icons]) await access(join(STATIC, path));
});

test('the manifest has what browsers ask for before they install a page', async () => {
  const { name, start_url, display, icons } = JSON.parse(await read('manifest.webmanifest'));
  assert.ok(name && start_url === '/' && display === 'standalone');
  const sizes = (/** @type {string} */ purpose) => icons.filter((icon) => icon.purpose === purpose).map((icon) => icon.sizes);
  assert.deepEqual(sizes('any'), ['192x192', '512x512']);
  assert.deepEqual(sizes('maskable'), ['512x512']);
  for (const { src, sizes } of icons) {
    const png = await readFile(join(STATIC, src));
    assert.equal(`${png.readUInt32BE(16)}x${png.readUInt32BE(20)}`, sizes, src);
  }
});
