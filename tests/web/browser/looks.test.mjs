// Every view in both themes, on a phone and on a desk, saved as pictures for people to look at; and
// what a machine can see of looks: nothing sticks out, and every target is large enough for a thumb.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { journey, openBrowser, openPhone } from '../support/phones.mjs';
import { DEMO_MUSIC, copies, startServer } from '../support/server.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
before(async () => {
  browser = await openBrowser();
  server = await startServer({ fill: copies(DEMO_MUSIC) });
});
after(async () => {
  await browser.close();
  await server.end();
});

const SIZES = { phone: { width: 390, height: 844 }, desk: { width: 1280, height: 800 } };

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of /** @type {const} */ (['dark', 'light'])) {
    test(`pictures: ${size}, ${colorScheme}`, async (t) => {
      const phone = await openPhone(browser, server.url(), { viewport, colorScheme, isMobile: size === 'phone', hasTouch: size === 'phone' });
      t.after(phone.close);
      await journey(t.name, () => [phone], async () => {
        const shot = (/** @type {string} */ view) => phone.shot(`${view}-${size}-${colorScheme}`);
        const still = () => phone.until('an end of motion', () => document.getAnimations().every((motion) => motion.playState !== 'running' || motion.effect.getTiming().iterations === Infinity));
        await phone.until('the door', () => !document.querySelector('#join-view').hidden);
        await shot('join');
        await phone.join(`${size} ${colorScheme}`);
        await phone.holds(2);
        // The one piece without a cover makes a poor picture of the page.
        const bare = await phone.read(() => !document.querySelector('#now-cover img').hasAttribute('src'));
        if (bare) await phone.press('Next');
        else if (await phone.read(() => document.querySelector('#play').ariaLabel === 'Play')) await phone.press('Play');
        await phone.offers('Pause');
        await phone.status('in step');
        await phone.until('the cover', () => document.querySelector('#now-cover img.here'));
        await still();
        await shot('now');
        await phone.open('Queue');
        await still();
        await shot('queue');
        await phone.open('Now');
        for (const sheet of ['Invite', 'Settings']) {
          await phone.press(sheet);
          await phone.until('the QR code', () => document.querySelector('#invite-qr').naturalWidth > 0);
          await still();
          await shot(sheet.toLowerCase());
          await phone.page.keyboard.press('Escape');
        }
      });
    });
  }
}

const WINDOWS = [[320, 568], [360, 740], [430, 932], [667, 375], [844, 390], [768, 1024], [1280, 800], [1920, 1080]];

/** As of a phone on its side with the keyboard up, or a page that is zoomed to four times its size. */
const LOW = [[320, 400], [320, 256], [568, 220]];

test('nothing sticks out of any window, and every target is large enough', async (t) => {
  const phone = await openPhone(browser, server.url(), { isMobile: false });
  t.after(phone.close);
  await journey(t.name, () => [phone], async () => {
    const check = async (/** @type {string} */ where) => {
      for (const [width, height] of WINDOWS) {
        await phone.page.setViewportSize({ width, height });
        await phone.until('an end of the journey of the cover', () => !document.querySelector('.carried'));
        assert.deepEqual(await phone.read(misfits), [], `${where} at ${width}×${height}`);
      }
    };
    await phone.until('the door', () => !document.querySelector('#join-view').hidden);
    await check('Join');
    await phone.join('A guest with a name that goes on and on');
    await phone.holds(2);
    await check('Now');
    await phone.open('Queue');
    await check('Queue');
    for (const sheet of ['Invite', 'Settings']) {
      await phone.press(sheet);
      await check(sheet);
      await phone.page.keyboard.press('Escape');
    }
  });
});

test('with text twice as large, all that is there can be brought into sight and hit', async (t) => {
  const phone = await openPhone(browser, server.url(), { isMobile: false });
  t.after(phone.close);
  await journey(t.name, () => [phone], async () => {
    await phone.join('A guest');
    await phone.holds(2);
    await phone.read(() => (document.documentElement.style.fontSize = '200%'));
    for (const [width, height] of [...WINDOWS, ...LOW]) {
      await phone.page.setViewportSize({ width, height });
      for (const view of /** @type {const} */ (['Now', 'Queue'])) {
        await phone.page.getByRole('tab', { name: view }).click();
        await phone.until('an end of the journey of the cover', () => !document.querySelector('.carried'));
        assert.deepEqual(await phone.read(outOfReach), [], `${view} at ${width}×${height}`);
      }
      for (const sheet of ['Invite', 'Settings']) {
        await phone.press(sheet);
        assert.deepEqual(await phone.read(outOfReach, `#${sheet.toLowerCase()}-sheet `), [], `${sheet} at ${width}×${height}`);
        await phone.page.keyboard.press('Escape');
      }
    }
  });
});

/** What the room can be like, as others and the browser make it. */
const STATES = {
  waiting: { status: 'waiting for others (1/2 ready)', buttons: ['start-now'] },
  locked: { status: 'no sound here: tap to rejoin', buttons: ['listen'] },
  unplayable: { status: 'no room on this phone for this track; it sits this one out', note: 'This phone’s storage is full: music that does not fit is silent here.', doing: "can't play this", buttons: [] },
  worst: { status: "this phone can't play AIFF; it sits this one out", note: 'This phone’s storage is full: music that does not fit is silent here.', doing: "can't play this", buttons: ['start-now', 'listen'] },
};

/** In the page: it looks as in such a state from now on, whatever it draws. */
function pose(/** @type {{status: string, note?: string, doing?: string, buttons: string[]}} */ { status, note = '', doing, buttons }) {
  const draw = () => {
    const set = (/** @type {string} */ what, /** @type {string} */ text) => {
      const part = document.querySelector(what);
      // What is not drawn yet is posed as soon as it is.
      if (part && part.textContent !== text) part.textContent = text;
    };
    set('#status .text', status);
    set('#status .figure', '');
    set('#storage-note', note);
    if (doing) set('.listener .doing', doing);
    for (const id of ['start-now', 'listen']) {
      const button = document.getElementById(id);
      if (button.hidden === buttons.includes(id)) button.hidden = !button.hidden;
    }
  };
  globalThis.posing?.disconnect();
  globalThis.posing = new MutationObserver(draw);
  globalThis.posing.observe(document.querySelector('#room-view'), { subtree: true, childList: true, characterData: true, attributes: true });
  draw();
}

/** In the page: which of the buttons that matter is not in sight without scrolling. */
function covered(/** @type {string[]} */ buttons) {
  return [...buttons, 'play', 'next'].filter((id) => {
    const button = document.getElementById(id);
    const { x, y, width, height } = button.getBoundingClientRect();
    const hit = [0.1, 0.9].map((part) => document.elementFromPoint(x + width / 2, y + part * height));
    return !hit.every((one) => button.contains(one));
  });
}

for (const [state, look] of Object.entries(STATES)) {
  test(`nothing sticks out, is covered or out of reach: ${state}`, async (t) => {
    const phone = await openPhone(browser, server.url(), { isMobile: false });
    t.after(phone.close);
    await journey(t.name, () => [phone], async () => {
      await phone.join('WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW');
      await phone.holds(1);
      for (const view of /** @type {const} */ (['Now', 'Queue'])) {
        await phone.open(view);
        for (const [width, height] of [...WINDOWS, ...LOW]) {
          await phone.page.setViewportSize({ width, height });
          await phone.until('an end of the journey of the cover', () => !document.querySelector('.carried'));
          await phone.read(pose, look);
          const where = `${view} at ${width}×${height}`;
          assert.deepEqual(await phone.read(misfits), [], where);
          if (WINDOWS.some((size) => size[0] === width && size[1] === height)) assert.deepEqual(await phone.read(covered, look.buttons), [], where);
          assert.deepEqual(await phone.read(outOfReach), [], where);
        }
      }
    });
  });
}

test('the page wears the colour of the cover of what plays', async (t) => {
  const phone = await openPhone(browser, server.url());
  t.after(phone.close);
  await journey(t.name, () => [phone], async () => {
    await phone.join('A guest');
    await phone.holds(2);
    const worn = async () => {
      const url = await phone.until('a cover', () => document.querySelector('#now-cover img.here')?.getAttribute('src'));
      return phone.until('its colour', async (src) => {
        const { tintOf } = await import('/js/colour.js');
        const context = Object.assign(document.createElement('canvas'), { width: 24, height: 24 }).getContext('2d', { willReadFrequently: true });
        const image = new Image();
        image.src = src;
        await image.decode();
        context.drawImage(image, 0, 0, 24, 24);
        const { hue } = tintOf(context.getImageData(0, 0, 24, 24).data);
        const now = Number(document.documentElement.style.getPropertyValue('--hue'));
        const apart = Math.abs(((now - hue + 540) % 360) - 180);
        return apart <= 8 && { hue: now };
      }, url);
    };
    /** @type {number[]} */
    const hues = [];
    for (let i = 0; i < 4; i += 1) {
      const title = await phone.title();
      if (await phone.read(() => document.querySelector('#now-cover img').hasAttribute('src'))) hues.push((await worn()).hue);
      await phone.press('Next');
      await phone.until('another song', (was) => document.querySelector('#now-title').textContent !== was, title);
    }
    assert.ok(new Set(hues.map((hue) => Math.round(hue / 8))).size > 1, `${hues} are different colours`);
  });
});

test('a notch covers nothing that is there', async (t) => {
  const phone = await openPhone(browser, server.url());
  t.after(phone.close);
  await journey(t.name, () => [phone], async () => {
    await phone.join('A guest');
    await phone.holds(1);
    for (const [width, height, insets] of /** @type {[number, number, Record<string, number>][]} */ ([
      [390, 844, { top: 47, bottom: 34 }],
      [844, 390, { left: 47, right: 47, bottom: 21 }],
    ])) {
      await phone.page.setViewportSize({ width, height });
      await phone.cdp.send(/** @type {any} */ ('Emulation.setSafeAreaInsetsOverride'), { insets });
      for (const view of /** @type {const} */ (['Now', 'Queue'])) {
        await phone.open(view);
        await phone.until('an end of the journey of the cover', () => !document.querySelector('.carried'));
        assert.deepEqual(await phone.read(misfits), [], `${view} at ${width}×${height}`);
        const under = await phone.read(({ top = 0, bottom = 0, left = 0, right = 0 }) =>
          [...document.querySelectorAll('#room-view :is(button, input, h2, p, .listener)')]
            .filter((part) => part.checkVisibility({ visibilityProperty: true }) && part.getBoundingClientRect().width > 1 && !part.closest('.scroller, .now'))
            .filter((part) => {
              const box = part.getBoundingClientRect();
              return box.top < top - 1 || box.left < left - 1 || box.bottom > innerHeight - bottom + 1 || box.right > innerWidth - right + 1;
            })
            .map((part) => `${part.tagName}#${part.id} ${JSON.stringify(part.getBoundingClientRect())}`), insets);
        assert.deepEqual(under, [], `${view} at ${width}×${height}`);
      }
    }
  });
});

for (const colorScheme of /** @type {const} */ (['dark', 'light'])) {
  test(`whatever colour a cover has, what is written stands out: ${colorScheme}`, async (t) => {
    const phone = await openPhone(browser, server.url(), { colorScheme });
    t.after(phone.close);
    assert.deepEqual(await phone.read(faint), []);
  });
}

/** The pairs of colours whose contrast is below what WCAG AA asks, over all tints. */
function faint() {
  const pairs = [
    ...['text', 'muted'].flatMap((ink) => ['ground', 'glow', 'glow2', 'raised', 'raised-more'].map((paper) => [ink, paper, 4.5])),
    ...['accent', 'good', 'fair', 'poor'].flatMap((ink) => ['ground', 'raised', 'raised-more'].map((paper) => [ink, paper, 4.5])),
    ['on-accent', 'accent', 4.5],
    ['ground', 'text', 4.5],
    ['field-line', 'ground', 3],
    ['field-line', 'raised', 3],
    ['accent', 'glow', 3],
    ['accent', 'glow2', 3],
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
  const found = new Map();
  for (let hue = 0; hue < 360; hue += 15) {
    for (const strength of [0.12, 0.7, 1]) {
      document.documentElement.style.setProperty('--hue', String(hue));
      // What contrasts in lightness does so whatever the hues are; this pairs each with many.
      document.documentElement.style.setProperty('--hue2', String(7 * hue));
      document.documentElement.style.setProperty('--strength', String(strength));
      for (const [ink, paper, least] of pairs) {
        const [a, b] = [luminance(ink), luminance(paper)];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const pair = `${ink} on ${paper}`;
        if (contrast < least && contrast < (found.get(pair) ?? Infinity)) found.set(pair, contrast);
      }
    }
  }
  return [...found].map(([pair, contrast]) => `${pair}: ${contrast.toFixed(2)}`);
}

/** What cannot be scrolled to where its middle is seen and is nobody else's. */
function outOfReach(/** @type {string} */ within = '') {
  const parts = ['h2', 'button', 'input', '[role=status]', '.listener', '.row .title', 'dd', 'img'].map((part) => within + part);
  const things = [...document.querySelectorAll(parts.join())].filter((thing) => thing.checkVisibility({ visibilityProperty: true }) && thing.getBoundingClientRect().width > 1);
  const lost = things.filter((thing) => {
    thing.scrollIntoView({ block: 'center', behavior: 'instant' });
    const { x, y, width, height } = thing.getBoundingClientRect();
    const hit = document.elementFromPoint(x + width / 2, y + height / 2);
    // Script can scroll what no finger can.
    const byScriptOnly = scrollY > 0;
    scrollTo(0, 0);
    return byScriptOnly || !thing.contains(hit);
  });
  const cut = [...document.querySelectorAll('.row')].filter((row) => row.checkVisibility() && row.querySelector('.row-text').offsetHeight > row.offsetHeight);
  return [...lost, ...cut].map((thing) => `${thing.tagName}#${thing.id}.${thing.className} ${thing.textContent}`);
}

/** What is wider than the window, and what is too small to be hit. */
function misfits() {
  const seen = [...document.querySelectorAll('body *')].filter((element) => element.checkVisibility() && !element.closest('svg, .unseen, .thumb-time'));
  const wide = seen.filter((element) => {
    const { left, right } = element.getBoundingClientRect();
    return left < -1 || right > innerWidth + 1;
  });
  const small = seen.filter((element) => {
    if (!element.matches('button, input, summary')) return false;
    const target = (element.closest('label') ?? element).getBoundingClientRect();
    return Math.min(target.height, target.width) < 43.9;
  });
  const name = (/** @type {Element} */ element) => `${element.tagName}#${element.id}.${element.className}`;
  return [...wide.map((element) => `wide: ${name(element)}`), ...small.map((element) => `small: ${name(element)}`)];
}
