// The colours of the page: the hue of the current cover, and the contrast for every hue.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { forgetNewStyles } from '../support/old-styles.mjs';
import { openBrowser, openPhone, screenshotOnFailure } from '../support/phones.mjs';
import { DEMO_MUSIC, copyMusicFrom, startServer } from '../support/server.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
before(async () => {
  browser = await openBrowser();
  server = await startServer({ fill: copyMusicFrom(DEMO_MUSIC) });
});
after(async () => {
  await browser.close();
  await server.remove();
});

test('the page takes its hue from the current cover', async (t) => {
  const phone = await openPhone(browser, server.url());
  t.after(phone.close);
  await screenshotOnFailure(t.name, () => [phone], async () => {
    await phone.join('A guest');
    await phone.waitForStoredTracks(2);
    const waitForCoverHue = async () => {
      const url = await phone.waitFor('a loaded cover', () => document.querySelector('#now-cover img.loaded')?.getAttribute('src'));
      return phone.waitFor('the hue of the cover on the page', async (src) => {
        const { tintFromPixels } = await import('/js/ui/colour.js');
        const context = Object.assign(document.createElement('canvas'), { width: 24, height: 24 }).getContext('2d', { willReadFrequently: true });
        const image = new Image();
        image.src = src;
        await image.decode();
        context.drawImage(image, 0, 0, 24, 24);
        const { hue } = tintFromPixels(context.getImageData(0, 0, 24, 24).data);
        const pageHue = Number(document.documentElement.style.getPropertyValue('--hue'));
        const difference = Math.abs(((pageHue - hue + 540) % 360) - 180);
        return difference <= 8 && { hue: pageHue };
      }, url);
    };
    /** @type {number[]} */
    const hues = [];
    for (let i = 0; i < 4; i += 1) {
      const title = await phone.title();
      if (await phone.evaluate(() => document.querySelector('#now-cover img').hasAttribute('src'))) hues.push((await waitForCoverHue()).hue);
      await phone.press('Next');
      await phone.waitFor('another title', (previous) => document.querySelector('#now-title').textContent !== previous, title);
    }
    assert.ok(new Set(hues.map((hue) => Math.round(hue / 8))).size > 1, `hues ${hues} do not differ`);
  });
});

for (const colorScheme of /** @type {const} */ (['dark', 'light'])) {
  test(`colours meet WCAG AA contrast for every cover hue: ${colorScheme}`, async (t) => {
    const phone = await openPhone(browser, server.url(), { colorScheme });
    t.after(phone.close);
    assert.deepEqual(await phone.evaluate(lowContrastPairs), []);
  });

  test(`colours without OKLCH meet WCAG AA contrast, too: ${colorScheme}`, async (t) => {
    const phone = await openPhone(browser, 'about:blank', { colorScheme });
    t.after(phone.close);
    await forgetNewStyles(phone.page);
    await phone.page.goto(server.url('127.0.0.1'));
    assert.deepEqual(await phone.evaluate(lowContrastPairs), []);
  });
}

/** Runs in the page: pairs of colours whose contrast is below WCAG AA for some tint, with their lowest contrast. */
function lowContrastPairs() {
  const pairs = [
    ...['text', 'text-muted'].flatMap((foreground) => ['background', 'glow', 'second-glow', 'surface', 'surface-strong'].map((background) => [foreground, background, 4.5])),
    ...['accent', 'good', 'fair', 'poor'].flatMap((foreground) => ['background', 'surface', 'surface-strong'].map((background) => [foreground, background, 4.5])),
    ['on-accent', 'accent', 4.5],
    ['background', 'text', 4.5],
    ['control-border', 'background', 3],
    ['control-border', 'surface', 3],
    ['accent', 'glow', 3],
    ['accent', 'second-glow', 3],
  ];
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const probe = document.body.appendChild(document.createElement('i'));
  const luminance = (/** @type {string} */ name) => {
    probe.style.color = `var(--${name})`;
    context.fillStyle = getComputedStyle(probe).color;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((byte) => {
      const x = byte / 255;
      return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const lowest = new Map();
  for (let hue = 0; hue < 360; hue += 15) {
    for (const strength of [0.12, 0.7, 1]) {
      document.documentElement.style.setProperty('--hue', String(hue));
      // Contrast depends on lightness; each colour is paired with many hues.
      document.documentElement.style.setProperty('--second-hue', String(7 * hue));
      document.documentElement.style.setProperty('--tint-strength', String(strength));
      for (const [foreground, background, minimum] of pairs) {
        const [a, b] = [luminance(foreground), luminance(background)];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const pair = `${foreground} on ${background}`;
        if (contrast < minimum && contrast < (lowest.get(pair) ?? Infinity)) lowest.set(pair, contrast);
      }
    }
  }
  return [...lowest].map(([pair, contrast]) => `${pair}: ${contrast.toFixed(2)}`);
}
