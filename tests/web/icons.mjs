// Draws the page's icons from static/icons/icon.svg, which fills its square to the edge and keeps its
// mark within the middle that every mask leaves whole:
//
//     node tests/web/icons.mjs
//
// Where no mask is laid over an icon it gets round corners and a larger mark. The few colours are
// written as a palette, which makes the files a third as long as the browser's own.

import { readFile, writeFile } from 'node:fs/promises';
import { crc32, deflateSync } from 'node:zlib';
import { openBrowser } from './support/phones.mjs';

const FOLDER = new URL('../../static/icons/', import.meta.url);
const ICONS = [
  { file: 'icon-192.png', size: 192, masked: false },
  { file: 'icon-512.png', size: 512, masked: false },
  { file: 'maskable-512.png', size: 512, masked: true },
  // iOS lays its own mask over this one.
  { file: 'apple-touch-icon.png', size: 180, masked: true },
];

/** So many levels has each channel: edges stay smooth, and the colours fit into a palette. */
const LEVELS = 17;

const svg = await readFile(new URL('icon.svg', FOLDER), 'utf8');
const browser = await openBrowser();
try {
  const page = await browser.newPage();
  for (const { file, size, masked } of ICONS) {
    const pixels = await page.evaluate(draw, { svg, size, masked });
    await writeFile(new URL(file, FOLDER), png(Uint8Array.from(pixels), size));
  }
} finally {
  await browser.close();
}

/** In the page: the icon's pixels, as RGBA. */
async function draw({ svg, size, masked }) {
  const image = new Image(size, size);
  image.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = size;
  const context = canvas.getContext('2d');
  if (!masked) {
    context.roundRect(0, 0, size, size, size * 0.22);
    context.clip();
  }
  const drawn = size * (masked ? 1 : 1.35);
  context.drawImage(image, (size - drawn) / 2, (size - drawn) / 2, drawn, drawn);
  return [...context.getImageData(0, 0, size, size).data];
}

/** @param {Uint8Array} pixels RGBA @param {number} size of the square */
function png(pixels, size) {
  const counts = new Map();
  const exact = [];
  for (let i = 0; i < pixels.length; i += 4) {
    const key = pixels.subarray(i, i + 4).join();
    exact.push(key);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  // The areas keep their very colours; only the pixels of edges are rounded.
  const colour = (/** @type {string} */ key) =>
    counts.get(key) > size ? key : key.split(',').map((byte) => Math.round((Math.round((byte / 255) * (LEVELS - 1)) / (LEVELS - 1)) * 255)).join();
  const palette = [...new Set(exact.map(colour))];
  if (palette.length > 256) throw new Error(`${palette.length} colours`);
  const place = new Map(palette.map((key, i) => [key, i]));
  const rows = Buffer.alloc(size * (size + 1));
  exact.forEach((key, i) => (rows[i + Math.floor(i / size) + 1] = place.get(colour(key))));

  const bytes = palette.map((key) => key.split(',').map(Number));
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 3, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('PLTE', Buffer.from(bytes.flatMap(([r, g, b]) => [r, g, b]))),
    chunk('tRNS', Buffer.from(bytes.map(([, , , alpha]) => alpha))),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** @param {string} type @param {Buffer} data */
function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  body.copy(whole, 4);
  whole.writeUInt32BE(crc32(body), body.length + 4);
  return whole;
}
