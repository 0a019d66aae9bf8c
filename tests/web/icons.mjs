// Renders the page's icons from static/icons/icon.svg, whose background fills the square and whose mark lies within the safe zone of
// maskable icons:
//
//     node tests/web/icons.mjs
//
// Icons that no system masks get round corners and a larger mark. PNGs get a palette, which makes them a third of the size of the
// browser's own output.

import { readFile, writeFile } from 'node:fs/promises';
import { crc32, deflateSync } from 'node:zlib';
import { openBrowser } from './support/phones.mjs';

const FOLDER = new URL('../../static/icons/', import.meta.url);
const ICONS = [
  { file: 'icon-192.png', size: 192, masked: false },
  { file: 'icon-512.png', size: 512, masked: false },
  { file: 'maskable-512.png', size: 512, masked: true },
  // iOS applies its own mask to this icon.
  { file: 'apple-touch-icon.png', size: 180, masked: true },
];

/** Levels of each colour channel of edge pixels: smooth edges with at most 256 colours, the limit of a palette. */
const LEVELS = 17;

const svg = await readFile(new URL('icon.svg', FOLDER), 'utf8');
const browser = await openBrowser();
try {
  const page = await browser.newPage();
  for (const { file, size, masked } of ICONS) {
    const pixels = await page.evaluate(drawIcon, { svg, size, masked });
    await writeFile(new URL(file, FOLDER), encodePng(Uint8Array.from(pixels), size));
  }
} finally {
  await browser.close();
}

/** Runs in the page: draws the icon and returns its pixels as RGBA. */
async function drawIcon({ svg, size, masked }) {
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
  const markSize = size * (masked ? 1 : 1.35);
  context.drawImage(image, (size - markSize) / 2, (size - markSize) / 2, markSize, markSize);
  return [...context.getImageData(0, 0, size, size).data];
}

/** Encodes a square image as a PNG with a palette. @param {Uint8Array} pixels RGBA @param {number} size side length in px */
function encodePng(pixels, size) {
  const counts = new Map();
  const exactColours = [];
  for (let i = 0; i < pixels.length; i += 4) {
    const key = pixels.subarray(i, i + 4).join();
    exactColours.push(key);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  // Areas keep their exact colours; only edge pixels are quantised.
  const paletteColour = (/** @type {string} */ key) =>
    counts.get(key) > size ? key : key.split(',').map((byte) => Math.round((Math.round((byte / 255) * (LEVELS - 1)) / (LEVELS - 1)) * 255)).join();
  const palette = [...new Set(exactColours.map(paletteColour))];
  if (palette.length > 256) throw new Error(`${palette.length} colours do not fit into a palette`);
  const paletteIndex = new Map(palette.map((key, i) => [key, i]));
  const rows = Buffer.alloc(size * (size + 1));
  exactColours.forEach((key, i) => (rows[i + Math.floor(i / size) + 1] = paletteIndex.get(paletteColour(key))));

  const channels = palette.map((key) => key.split(',').map(Number));
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 3, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('PLTE', Buffer.from(channels.flatMap(([r, g, b]) => [r, g, b]))),
    chunk('tRNS', Buffer.from(channels.map(([, , , alpha]) => alpha))),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** A PNG chunk. @param {string} type @param {Buffer} data */
function chunk(type, data) {
  const typeAndData = Buffer.concat([Buffer.from(type), data]);
  const encoded = Buffer.alloc(typeAndData.length + 8);
  encoded.writeUInt32BE(data.length, 0);
  typeAndData.copy(encoded, 4);
  encoded.writeUInt32BE(crc32(typeAndData), typeAndData.length + 4);
  return encoded;
}
