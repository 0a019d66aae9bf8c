// What one person meets on one phone.

import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { journey, openBrowser, openPhone } from '../support/phones.mjs';
import { CODE, FIXTURES, copies, startServer } from '../support/server.mjs';
import { tone, tones } from '../support/tones.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const SONGS = { 'Alpha Dance': 60, 'Beta Waltz': 60, 'Gamma March': 60, 'Delta Blues': 60 };

/**
 * @param {import('node:test').TestContext} t
 * @param {(folder: string) => Promise<unknown>} fill
 * @param {(ada: import('../support/phones.mjs').Phone, server: Awaited<ReturnType<typeof startServer>>) => Promise<void>} steps
 * @param {string[]} [flags]
 */
async function alone(t, fill, steps, flags = []) {
  const server = await startServer({ fill, flags });
  t.after(server.end);
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await journey(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await steps(ada, server);
    assert.deepEqual(ada.errors, []);
  });
}

test('one song follows the other with hardly a gap, without a press and without a word', (t) =>
  alone(t, tones({ 'Alpha Dance': 6, 'Beta Waltz': 60 }), async (ada, server) => {
    // Both ask for the next song at the end of the first, and one of them comes too late.
    const ben = await openPhone(browser, server.url());
    t.after(ben.close);
    await ben.join('Ben');
    await Promise.all([ada.holds(2), ben.holds(2)]);
    /** @type {number[]} */
    const answers = [];
    for (const { page } of [ada, ben]) {
      page.on('response', (response) => {
        if (response.url().endsWith('/next')) answers.push(response.status());
      });
      await page.evaluate(() => {
        globalThis.said = 0;
        new MutationObserver(() => (globalThis.said += 1)).observe(document.querySelector('#bubbles'), { childList: true });
      });
    }
    await ada.read(() => {
      const audio = document.querySelector('audio');
      // Whichever comes first: a page that changes tracks at the first sign of the end is not told of it again.
      for (const name of ['ended', 'emptied']) audio.addEventListener(name, () => (audio.endedAt ??= performance.now()));
      audio.addEventListener('timeupdate', () => {
        if (audio.endedAt && !audio.gap && audio.currentTime > 0) {
          audio.gap = performance.now() - audio.currentTime * 1000 - audio.endedAt;
        }
      });
    });
    await ada.press('Play');
    await ada.sounds();
    await ada.seesTitle('Beta Waltz');
    await ada.sounds();
    const gap = await ada.until('the gap', () => document.querySelector('audio').gap);
    assert.ok(gap < 1_000, `${gap} ms`);
    assert.ok(answers.includes(200) && answers.every((status) => status === 200 || status === 409), answers.join());
    for (const phone of [ada, ben]) assert.equal(await phone.read(() => globalThis.said), 0);
  }));

test('every format of the library plays or is sat out with a word', (t) =>
  alone(t, copies(FIXTURES), async (ada) => {
    await ada.press('Play');
    // A second or two each; the ring goes round by itself, past the one that browsers do not play.
    const titles = new Set();
    await ada.page.exposeFunction('seenTitle', (/** @type {string} */ title) => titles.add(title));
    await ada.read(() => {
      const look = () => seenTitle(document.querySelector('#now-title').textContent);
      new MutationObserver(look).observe(document.querySelector('#now-title'), { childList: true });
      look();
    });
    await ada.status("can't play AIFF");
    await ada.seesListener("Ada.* can't play this");
    await ada.seesTitle('Fixture MP3');
    assert.ok(titles.size >= 6, [...titles].join());
  }));

test('a download that breaks goes on where it was', async (t) => {
  const server = await startServer({
    fill: async (folder) => {
      await tones({ 'Alpha Dance': 20, 'Beta Waltz': 20, 'Gamma March': 20 })(folder);
      await writeFile(join(folder, 'Slow Train.wav'), tone(120, { rate: 48_000, channels: 2 }));
    },
  });
  t.after(server.end);
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await journey(t.name, () => [ada], async () => {
    const network = (/** @type {number} */ bytesPerSec) =>
      ada.cdp.send('Network.emulateNetworkConditions', {
        offline: false, latency: 0, downloadThroughput: bytesPerSec, uploadThroughput: bytesPerSec,
      });
    /** @type {(string | undefined)[]} */
    const ranges = [];
    ada.page.on('request', (request) => {
      if (request.url().includes('/file/')) ranges.push(request.headers()['range']);
    });
    await network(3_000_000);
    await ada.join('Ada');
    await ada.holds(2);
    await ada.open('Queue');
    await ada.press('Play Slow Train next');
    await ada.open('Now');
    await ada.press('Next');
    await ada.seesTitle('Slow Train');
    await ada.until('a part of it', () => Number(/downloading (\d+)/.exec(document.querySelector('[role=status]').textContent)?.[1]) > 20);
    await server.kill();
    await ada.status('reconnecting…');
    await network(-1);
    await server.start();
    await ada.sounds();
    assert.ok(ranges.some((range) => /^bytes=\d{7,}-$/.test(range ?? '')), ranges.join());
    assert.deepEqual(ada.errors, []);
  });
});

test('a song that the server does not give out is said to be so, holds up nobody, and plays when it comes after all', (t) =>
  alone(t, tones(SONGS), async (ada, server) => {
    const ben = await openPhone(browser, server.url());
    t.after(ben.close);
    await ben.join('Ben');
    await Promise.all([ada.holds(2), ben.holds(2)]);
    let broken = true;
    await ada.page.route('**/file/**', (route) =>
      broken ? route.fulfill({ status: 500, contentType: 'application/problem+json', body: '{"status":500,"detail":"the file cannot be read"}' }) : route.continue(),
    );
    await ada.read(async () => (await globalThis.backOfTests).clear());
    await ada.cdp.send('Page.reload');
    await ada.until('the room', () => !document.querySelector('#room-view').hidden);
    await ben.press('Play');
    await ada.status("this track can't be fetched from the server; trying again");
    await ben.seesListener("Ada.* can't play this");
    await ben.sounds();
    broken = false;
    await server.stop();
    await ada.status('reconnecting…');
    await server.start();
    await ada.until('the tap that it needs', () => !document.querySelector('#listen').hidden);
    await ada.press('Tap to rejoin');
    await ada.sounds();
    await ben.seesListener('Ada.* playing');
  }));

test('a full phone says so, and the room goes on', async (t) => {
  const server = await startServer({ fill: tones({ 'Alpha Dance': 10, 'Beta Waltz': 120, 'Gamma March': 10 }) });
  t.after(server.end);
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await ada.cdp.send('Storage.overrideQuotaForOrigin', { origin: new URL(server.url()).origin, quotaSize: 1_500_000 });
  await ada.page.reload();
  await journey(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.until('the word', () => document.querySelector('#storage-note').textContent.includes('storage is full'));
    await ada.press('Play');
    await ada.sounds();
    await ada.press('Next');
    await ada.status('no room on this phone');
    await ada.press('Next');
    await ada.sounds();
  });
});

test('presses in a row all count', (t) =>
  alone(t, tones(SONGS), async (ada) => {
    await ada.seesTitle('Alpha Dance');
    await ada.page.getByRole('button', { name: 'Next' }).click({ clickCount: 3 });
    await ada.seesTitle('Gamma March');
    await ada.sounds();
  }));

test('the position moves by keys, one seek for a run of them', (t) =>
  alone(t, tones(SONGS), async (ada) => {
    await ada.holds(2);
    let seeks = 0;
    ada.page.on('request', (request) => (seeks += Number(request.url().endsWith('/seek'))));
    const slider = ada.page.getByRole('slider', { name: 'Position' });
    await slider.focus();
    for (let i = 0; i < 3; i += 1) await ada.page.keyboard.press('ArrowRight');
    await ada.until('15 seconds', () => document.querySelector('audio').currentTime === 15);
    await ada.page.keyboard.press('End');
    await ada.until('the end', () => document.querySelector('audio').currentTime >= 59);
    await ada.page.keyboard.press('Home');
    await ada.until('the start', () => document.querySelector('audio').currentTime === 0);
    assert.equal(seeks, 3);
    assert.equal(await slider.getAttribute('aria-valuetext'), '0:00 of 1:00');
  }));

/** A finger on the bar, at parts of its width. @param {import('../support/phones.mjs').Phone} phone */
async function fingerOnBar(phone) {
  const { x, y, width, height } = await phone.page.getByRole('slider', { name: 'Position' }).boundingBox();
  /** @type {string[]} */
  const seeks = [];
  phone.page.on('request', (request) => {
    if (request.url().endsWith('/seek')) seeks.push(request.postData());
  });
  const touch = (/** @type {string} */ type, /** @type {object[]} */ touchPoints) => phone.cdp.send('Input.dispatchTouchEvent', { type, touchPoints });
  const at = (/** @type {number} */ part, up = 0) => [{ x: x + part * width, y: y + height / 2 - up }];
  return {
    seeks,
    down: (/** @type {number} */ part) => touch('touchStart', at(part)),
    to: (/** @type {number} */ part, up = 0) => touch('touchMove', at(part, up)),
    up: () => touch('touchEnd', []),
    cancel: () => touch('touchCancel', []),
  };
}

test('a drag shows the time under the thumb, and is one seek when the finger is lifted', (t) =>
  alone(t, tones(SONGS), async (ada) => {
    await ada.holds(2);
    const finger = await fingerOnBar(ada);
    await finger.down(0.1);
    for (const part of [0.2, 0.3, 0.4, 0.5]) await finger.to(part);
    await ada.until('the time', () => {
      const { left, width } = document.querySelector('#position-thumb').getBoundingClientRect();
      const bar = document.querySelector('#position').getBoundingClientRect();
      const middle = left + width / 2 - bar.left - bar.width / 2;
      return document.querySelector('#position-frame.held #position-thumb')?.textContent === '0:30' && Math.abs(middle) < 6;
    });
    assert.deepEqual(finger.seeks, []);
    await finger.up();
    await ada.until('the place', () => Math.round(document.querySelector('audio').currentTime) === 30);
    assert.equal(finger.seeks.length, 1);
    assert.equal(await ada.read(() => document.querySelector('#position-frame.held') === null), true);
  }));

test('a finger that meant something else seeks nothing', (t) =>
  alone(t, tones(SONGS), async (ada) => {
    await ada.press('Play');
    await ada.status('in step');
    await ada.read(() => {
      globalThis.ends = 0;
      document.addEventListener('pointercancel', () => (globalThis.ends += 1));
    });
    const finger = await fingerOnBar(ada);
    await finger.down(0.8);
    await ada.until('it held', () => document.querySelector('#position-frame.held'));
    await finger.cancel();
    await ada.until('it let go', () => globalThis.ends === 1 && !document.querySelector('#position-frame.held') && Number(document.querySelector('#position').value) < 40);
    // Up from the bar, as to go home.
    await finger.down(0.8);
    for (const up of [20, 60, 120, 200]) await finger.to(0.8, up);
    await finger.up();
    await ada.until('it let go', () => globalThis.ends === 2 && !document.querySelector('#position-frame.held') && Number(document.querySelector('#position').value) < 40);
    // What it would have sent is sent before this.
    await ada.press('Pause');
    await ada.silent();
    assert.deepEqual(finger.seeks, []);
  }));

test('a press shows at once, and a refusal puts it right and says so', (t) =>
  alone(t, tones(SONGS), async (ada) => {
    await ada.holds(2);
    let fail = () => {};
    const asked = new Promise((resolve) => {
      ada.page.route('**/play', async (route) => {
        resolve(undefined);
        await new Promise((go) => (fail = () => go(undefined)));
        await route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"status":503,"detail":"The disk is full."}' });
      });
    });
    await ada.press('Play');
    await asked;
    await ada.offers('Pause');
    fail();
    await ada.offers('Play');
    await ada.until('the bubble', () => document.querySelector('[role=alert].bubble')?.textContent.includes('The disk is full.'));
    await ada.until('it go away', () => !document.querySelector('.bubble'));
  }));

test('presses that wait for their turn show as well', (t) =>
  alone(t, tones(SONGS), async (ada) => {
    await ada.holds(2);
    let go = () => {};
    const gone = new Promise((resolve) => (go = () => resolve(undefined)));
    await ada.page.route('**/play', async (route) => {
      await gone;
      await route.continue();
    });
    await ada.press('Play');
    await ada.offers('Pause');
    await ada.press('Pause');
    await ada.offers('Play');
    await ada.status('paused');
    go();
    const last = await ada.page.waitForResponse('**/pause');
    assert.equal(last.status(), 200);
    await ada.offers('Play');
    await ada.silent();
  }));

test('of two who skip the same song one does, also where the other’s press had to wait behind another', (t) =>
  alone(t, tones(SONGS), async (ada, server) => {
    const ben = await openPhone(browser, server.url());
    t.after(ben.close);
    await ben.join('Ben');
    await Promise.all([ada.holds(4), ben.holds(4)]);
    /** @type {string[]} */
    const sent = [];
    ada.page.on('request', (request) => {
      if (request.method() === 'POST' && !/sync|ack/.test(request.url())) sent.push(new URL(request.url()).pathname);
    });
    let go = () => {};
    const gone = new Promise((resolve) => (go = () => resolve(undefined)));
    await ada.page.route('**/nudge', async (route) => {
      await gone;
      await route.continue();
    });
    await ada.open('Queue');
    await ada.press('Play Gamma March next');
    await ada.open('Now');
    await ada.press('Next');
    await ada.seesTitle('Gamma March');
    await ben.press('Next');
    await ben.seesTitle('Beta Waltz');
    go();
    await ada.seesTitle('Beta Waltz');
    await ben.until('the nudge', () => document.querySelector('#now-next').textContent === 'Gamma March');
    await ada.until('no press under way', () => document.querySelector('#now-next').textContent === 'Gamma March');
    await ada.sounds();
    assert.equal(await ben.title(), 'Beta Waltz');
    assert.deepEqual(sent, ['/nudge', '/nudge']);
    assert.equal(await ada.read(() => document.querySelector('#bubbles').textContent), '');
  }));

test('a press that met another state is sent again, or said to be out of date', (t) =>
  alone(t, tones(SONGS), async (ada, server) => {
    await ada.holds(2);
    const other = await remote(server.url());
    /** @type {string[]} */
    const answers = [];
    ada.page.on('response', (response) => {
      if (response.request().method() === 'POST') answers.push(`${new URL(response.url()).pathname} ${response.status()}`);
    });
    // Between the press and its arrival somebody else is quicker, so that it was meant for what is no longer so.
    const behind = async (/** @type {() => Promise<unknown>} */ meanwhile, /** @type {string} */ path, /** @type {() => Promise<unknown>} */ press) => {
      let first = true;
      await ada.page.route(`**${path}`, async (route) => {
        if (first) {
          first = false;
          await meanwhile();
        }
        await route.continue();
      });
      await press();
    };
    await behind(() => other('/nudge', (s) => ({ trackId: s.queue.at(-1) })), '/play', () => ada.press('Play'));
    await ada.sounds();
    assert.deepEqual(answers.filter((answer) => answer.startsWith('/play')), ['/play 409', '/play 200']);
    assert.equal(await ada.read(() => document.querySelector('#bubbles').textContent), '');

    // Quicker twice, so that the second try comes too late as well. Only sent again, not again and again.
    await ada.page.unroute('**/play');
    await ada.press('Pause');
    await ada.silent();
    answers.length = 0;
    await ada.page.route('**/play', async (route) => {
      const track = answers.filter((answer) => answer.startsWith('/play')).length;
      await other('/nudge', (s) => ({ trackId: s.queue.at(s.queueIndex - 1 - track) }));
      await route.continue();
    });
    await ada.press('Play');
    await ada.until('the bubble', () => document.querySelector('[role=alert].bubble')?.textContent.includes('Out of date; refreshed'));
    await ada.offers('Play');
    assert.deepEqual(answers.filter((answer) => answer.startsWith('/play')), ['/play 409', '/play 409']);
    await ada.until('it go away', () => !document.querySelector('.bubble'));
    await ada.page.unroute('**/play');
    await ada.press('Play');
    await ada.sounds();

    await behind(() => other('/next', () => ({})), '/seek', async () => {
      await ada.page.getByRole('slider', { name: 'Position' }).focus();
      await ada.page.keyboard.press('ArrowRight');
    });
    await ada.until('the bubble', () => document.querySelector('[role=alert].bubble')?.textContent.includes('Out of date; refreshed'));
    await ada.sounds();
    assert.deepEqual(answers.filter((answer) => answer.startsWith('/seek')), ['/seek 409']);
    assert.ok((await ada.position()) < 5, 'the new song is where it was');
  }));

test('a remote control hears nothing, fetches nothing and is waited for by nobody', (t) =>
  alone(t, tones({ ...SONGS, 'Echo Rag': 60, 'Foxtrot': 60 }), async (ada, server) => {
    const ben = await openPhone(browser, server.url());
    t.after(ben.close);
    await ben.join('Ben');
    await ada.open('Queue');
    await ada.holds(3);
    await ada.open('Now');
    await ada.press('Settings');
    await ada.page.getByRole('switch').click();
    await ada.status('remote only');
    await ada.page.keyboard.press('Escape');
    await ada.until('the sheet go', () => document.querySelector('#settings-sheet').hidden);
    await ben.seesListener('Ada.* remote');
    let fetched = 0;
    ada.page.on('request', (request) => (fetched += Number(request.url().includes('/file/'))));
    await ada.read(() => {
      const audio = document.querySelector('audio');
      audio.plays = 0;
      audio.addEventListener('play', () => (audio.plays += 1));
    });
    await ben.read(() => {
      const status = document.querySelector('[role=status]');
      globalThis.said = [];
      new MutationObserver(() => globalThis.said.push(status.textContent)).observe(status, { childList: true, characterData: true, subtree: true });
    });
    await ada.press('Play');
    await ben.sounds();
    await ada.offers('Pause');
    // On to songs that it would have to fetch if it were to play them.
    for (const title of ['Beta Waltz', 'Delta Blues', 'Echo Rag']) {
      await ada.press('Next');
      await ben.seesTitle(title);
      await ben.sounds();
    }
    await ada.silent();
    assert.equal(await ada.read(() => document.querySelector('audio').plays), 0);
    assert.equal(fetched, 0);
    assert.deepEqual((await ben.read(() => globalThis.said)).filter((text) => text.includes('waiting for others (')), []);
    await ada.press('Settings');
    await ada.page.getByRole('switch').click();
    await ada.page.keyboard.press('Escape');
    await ada.sounds();
  }));

test('a download is announced once, whichever view is open, while its figure is shown as it grows', async (t) => {
  const server = await startServer({ fill: (folder) => writeFile(join(folder, 'Slow Train.wav'), tone(120, { rate: 48_000, channels: 2 })) });
  t.after(server.end);
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await journey(t.name, () => [ada], async () => {
    await ada.cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: 6_000_000, uploadThroughput: -1 });
    await ada.join('Ada');
    await ada.open('Queue');
    await ada.read(() => {
      const watch = (/** @type {string} */ what) => {
        const part = document.querySelector(`[role=status] ${what}`);
        const said = [part.textContent];
        new MutationObserver(() => said.push(part.textContent)).observe(part, { childList: true, characterData: true, subtree: true });
        return said;
      };
      globalThis.texts = watch('.text');
      globalThis.figures = watch('.figure');
    });
    await ada.status('paused');
    const { texts, figures } = await ada.read(() => ({ texts: globalThis.texts, figures: globalThis.figures }));
    assert.deepEqual(texts.slice(-2), ['downloading', 'paused']);
    assert.ok(texts.length <= 4, texts.join());
    assert.ok(figures.filter((figure) => /^\d+ %$/.test(figure)).length > 5, figures.join());
    const seen = await ada.read(() => [...document.querySelectorAll('[role=status]')].map((status) => status.checkVisibility() && status.querySelector('.figure').ariaHidden));
    assert.deepEqual(seen, ['true'], 'one line says how it is, and it can be seen');
  });
});

test('leaving leads to the door, and the code leads back in', (t) =>
  alone(t, tones(SONGS), async (ada) => {
    await ada.press('Play');
    await ada.sounds();
    await ada.press('Settings');
    await ada.press('Leave');
    await ada.until('the door', () => !document.querySelector('#join-view').hidden);
    await ada.silent();
    await ada.until('the name, remembered', () => document.querySelector('#join-name').value === 'Ada');
    // The music waited where it was, with nobody there to hear it.
    await ada.join('Ada');
    await ada.sounds();
  }));

test('a guest is invited by QR code, address and code', (t) =>
  alone(t, tones(SONGS), async (ada, server) => {
    await ada.press('Invite');
    await ada.until('the QR code', () => {
      const { naturalWidth, src } = document.querySelector('#invite-qr');
      return naturalWidth > 50 && new URL(src).pathname === '/qr';
    });
    await ada.until('the code', (code) => document.querySelector('#invite-code').textContent === code, CODE);
    assert.equal(await ada.read(() => document.querySelector('#invite-address').textContent), new URL(server.url()).host);
    await ada.press('Close');
    await ada.until('the sheet go', () => document.querySelector('#invite-sheet').hidden);
  }));

test('tabs are moved by arrow keys, and a title with markup is text', (t) =>
  alone(t, async (folder) => {
    await tones(SONGS)(folder);
    await writeFile(join(folder, '<img src=x onerror=alert(1)>.wav'), tone(20));
  }, async (ada) => {
    await ada.page.getByRole('tab', { name: 'Now' }).focus();
    await ada.page.keyboard.press('ArrowRight');
    await ada.until('the queue', () => document.activeElement.id === 'tab-queue' && !document.querySelector('#panel-queue').hidden);
    await ada.until('the title, as text', () =>
      [...document.querySelectorAll('.title')].some((title) => title.textContent.includes('<img src=x onerror=alert(1)>')),
    );
    assert.equal(await ada.read(() => document.querySelectorAll('img[src=x]').length), 0);
    assert.deepEqual(await ada.read(() => [...document.querySelectorAll('[role=tab]')].map((tab) => tab.ariaSelected)), ['false', 'true']);
  }));

test('a long queue has few rows in the page, scrolls to its end and is filtered', (t) =>
  alone(t, async (folder) => {
    const fixture = join(FIXTURES, 'untagged_song-name.mp3');
    const names = Array.from({ length: 1_500 }, (_, i) => `Song ${String(i + 1).padStart(4, '0')}.mp3`);
    await Promise.all(names.map((name) => cp(fixture, join(folder, name))));
  }, async (ada) => {
    await ada.open('Queue');
    await ada.until('all tracks', () => document.querySelector('#queue-count').textContent === '1,500 tracks');
    assert.ok((await ada.read(() => document.querySelectorAll('.row').length)) < 60);
    await ada.page.locator('#queue-scroller').hover();
    await ada.page.mouse.wheel(0, 1_000_000);
    await ada.until('the last', () => [...document.querySelectorAll('.row:not([hidden]) .title')].some((title) => title.textContent === 'Song 1500'));
    assert.ok((await ada.read(() => document.querySelectorAll('.row').length)) < 60);
    await ada.page.getByRole('searchbox', { name: 'Filter' }).fill('SONG 0777');
    await ada.until('what was sought', () => document.querySelector('#queue-count').textContent === '1 track');
    assert.deepEqual(await ada.queue(), ['Song 0777']);
    await ada.press('Play Song 0777 next');
    await ada.page.getByRole('searchbox', { name: 'Filter' }).fill('');
    await ada.until('the nudge', () => document.querySelector('#queue-pinned .next .title').textContent === 'Song 0777');
  }, ['--keep-duplicates']));

/**
 * A second person, by script: pairs, and sends commands that match the state of the moment.
 * @param {string} address
 */
async function remote(address) {
  const url = address.replace('party.lan', '127.0.0.1');
  const paired = await fetch(`${url}pair`, { method: 'POST', body: JSON.stringify({ code: CODE }), headers: { 'Content-Type': 'application/json' } });
  const { clientId } = await paired.json();
  const headers = { Authorization: `Bearer ${clientId}`, 'Content-Type': 'application/json' };
  return async (/** @type {string} */ path, /** @type {(snapshot: any) => object} */ body) => {
    const snapshot = await (await fetch(`${url}snapshot`, { headers })).json();
    const answer = await fetch(url + path.slice(1), {
      method: 'POST',
      headers: { ...headers, 'If-Match-Event': String(snapshot.eventCount) },
      body: JSON.stringify(body(snapshot)),
    });
    assert.equal(answer.status, 200);
  };
}
