// The app shell: index.html names every module, so that a phone loads them in parallel instead of one import after the
// other. All files that an installation needs exist.

import assert from 'node:assert/strict';
import { access, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const STATIC = fileURLToPath(new URL('../../../static', import.meta.url));
const readText = (/** @type {string} */ path) => readFile(join(STATIC, path), 'utf8');

/** The paths of `entry` and of all modules that it imports statically, directly or indirectly. */
async function moduleGraph(/** @type {string} */ entry, visited = new Set()) {
  if (visited.has(entry)) return visited;
  visited.add(entry);
  const imports = (await readText(entry)).matchAll(/^(?:import|export)\b[^;]*?\bfrom '(\..*?)';$/gms);
  for (const [, path] of imports) await moduleGraph(join(dirname(entry), path ?? ''), visited);
  return visited;
}

test('index.html preloads exactly the modules that main.js imports', async () => {
  const html = await readText('index.html');
  const preloaded = [...html.matchAll(/<link rel="modulepreload" href="(.*?)">/g)].map(([, path]) => path);
  const modules = [...(await moduleGraph('js/main.js'))].filter((path) => path !== 'js/main.js').sort();
  const lines = modules.map((path) => `    <link rel="modulepreload" href="${path}">`).join('\n');
  assert.deepEqual(preloaded, modules, `index.html should have these lines:\n${lines}`);
});

test('all files that index.html and the manifest reference exist', async () => {
  const html = await readText('index.html');
  const manifest = JSON.parse(await readText('manifest.webmanifest'));
  const files = /** @type {string[]} */ ([...html.matchAll(/(?:href|src)="([^"#]+)"/g)].map(([, path]) => path));
  const icons = [manifest, ...manifest.shortcuts].flatMap(({ icons }) => icons.map((icon) => icon.src));
  assert.ok(files.length > 5 && icons.length > 3, `${files.length} files and ${icons.length} icons are named`);
  for (const path of [...files, ...icons]) {
    assert.ok(!path.startsWith('/'), `${path} is wrong below a base path`);
    await access(join(STATIC, path));
  }
});

test('the manifest has the properties that browsers require for an installation', async () => {
  const { name, start_url, display, icons } = JSON.parse(await readText('manifest.webmanifest'));
  assert.ok(name && start_url === './' && display === 'standalone');
  const sizes = (/** @type {string} */ purpose) => icons.filter((icon) => icon.purpose === purpose).map((icon) => icon.sizes);
  assert.deepEqual(sizes('any'), ['192x192', '512x512']);
  assert.deepEqual(sizes('maskable'), ['512x512']);
  for (const { src, sizes } of icons) {
    const png = await readFile(join(STATIC, src));
    assert.equal(`${png.readUInt32BE(16)}x${png.readUInt32BE(20)}`, sizes, src);
  }
});
