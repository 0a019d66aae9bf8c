// Late comers, slow phones, reloads, restarts: what happens to a house in an evening.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { journey, openBrowser, openPhone } from '../support/phones.mjs';
import { startServer } from '../support/server.mjs';
import { tone, tones } from '../support/tones.mjs';
import { openWire } from '../support/wire.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const SONGS = { 'Alpha Dance': 90, 'Beta Waltz': 90, 'Gamma March': 90 };

/**
 * A room with its phones, which are shown if the journey fails.
 * @param {import('node:test').TestContext} t
 * @param {{fill?: (folder: string) => Promise<unknown>, names: string[]}} options
 */
async function room(t, { fill = tones(SONGS), names }) {
  const server = await startServer({ fill });
  t.after(server.end);
  /** @type {import('../support/phones.mjs').Phone[]} */
  const phones = [];
  t.after(() => Promise.all(phones.map((phone) => phone.close())));
  const enter = async (/** @type {string} */ name) => {
    const phone = await openPhone(browser, server.url());
    phones.push(phone);
    await phone.join(name);
    return phone;
  };
  for (const name of names) await enter(name);
  return { server, phones, enter, run: (/** @type {() => Promise<void>} */ steps) => journey(t.name, () => phones, steps) };
}

test('a third phone joins in mid-song, in step, and nobody notices', async (t) => {
  const { phones, enter, run } = await room(t, { names: ['Ada', 'Ben'] });
  const [ada, ben] = phones;
  await run(async () => {
    await ada.press('Play');
    await Promise.all([ada.sounds(), ben.sounds()]);
    await ada.status('in step');
    // Whatever stops or moves the music of those who are there is counted from here on.
    const count = () => {
      const audio = document.querySelector('audio');
      audio.disturbed = 0;
      for (const name of ['pause', 'seeking', 'waiting', 'emptied']) audio.addEventListener(name, () => (audio.disturbed += 1));
    };
    await Promise.all([ada.read(count), ben.read(count)]);

    const cay = await enter('Cay');
    await cay.sounds();
    await cay.status('in step');
    await ada.seesListener('Cay.* playing');
    const at = await Promise.all([ada, ben, cay].map((phone) => phone.position()));
    assert.ok(Math.max(...at) - Math.min(...at) < 0.5, `${at} is one place`);
    for (const phone of [ada, ben]) {
      assert.equal(await phone.read(() => document.querySelector('audio').disturbed), 0);
    }
    await ben.press('Next');
    await Promise.all([ada, ben, cay].map((phone) => phone.seesTitle('Beta Waltz')));
    await Promise.all([ada, ben, cay].map((phone) => phone.sounds()));
  });
});

test('a slow phone is seen by name and percentage, and Start now goes on without it', async (t) => {
  // Large enough that it does not fit into the buffers between the server and the browser.
  const large = async (/** @type {string} */ folder) => {
    await tones({ 'Alpha Dance': 90 })(folder);
    await writeFile(join(folder, 'Slow Train.wav'), tone(200, { rate: 48_000, channels: 2 }));
    await tones({ 'Zulu Zither': 30 })(folder);
  };
  const { phones, run, server } = await room(t, { fill: large, names: ['Ada'] });
  const [ada] = phones;
  await run(async () => {
    await ada.holds(2);
    const ben = await openPhone(browser, server.url());
    phones.push(ben);
    await ben.cdp.send('Network.emulateNetworkConditions', {
      offline: false, latency: 0, downloadThroughput: 1_500_000, uploadThroughput: 1_500_000,
    });
    await ben.join('Ben');
    await ben.until('the first song', () => document.querySelector('#queue-pinned .row .held:not([hidden])'));
    await ada.press('Next');
    await ada.seesTitle('Slow Train');
    await ada.seesListener('Ben.* downloading \\d+ %');
    await ada.status('waiting for others (1/2 ready)');
    await ben.status('downloading');
    await ada.until('the download go on', () => {
      const text = [...document.querySelectorAll('[aria-label=Listeners] li')].map((row) => row.textContent).join();
      return Number(/downloading (\d+)/.exec(text)?.[1]) > 3;
    });
    await ada.press('Start now');
    await ada.sounds();
    // It still fetches, and so is left behind in silence.
    await ben.silent();
    assert.match(await ben.read(() => document.querySelector('[role=status]').textContent), /downloading \d+ %/);
    // The room goes on at full speed, and the slow phone comes in when it has the song.
    await ben.cdp.send('Network.emulateNetworkConditions', {
      offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1,
    });
    await ben.sounds();
    const [a, b] = await Promise.all([ada.position(), ben.position()]);
    assert.ok(Math.abs(a - b) < 0.5, `${a} and ${b} are one place`);
  });
});

test('a reloaded phone is paired still, asks for one tap, and lands where the music is', async (t) => {
  const { phones, run } = await room(t, { names: ['Ada', 'Ben'] });
  const [ada, ben] = phones;
  await run(async () => {
    await ada.press('Play');
    await Promise.all([ada.sounds(), ben.sounds()]);
    await ben.cdp.send('Page.reload');
    await ben.until('the tap it needs', () => document.querySelector('#listen') && !document.querySelector('#listen').hidden && !document.querySelector('#room-view').hidden);
    assert.ok(await ben.read(() => document.querySelector('audio').paused));
    await ben.seesListener('Ben \\(you\\) waits for a tap');
    await ben.press('Tap to rejoin');
    await ben.sounds();
    await ben.until('the button go', () => document.querySelector('#listen').hidden);
    await ben.seesListener('Ben \\(you\\) playing');
    await ben.status('in step');
    const [a, b] = await Promise.all([ada.position(), ben.position()]);
    assert.ok(Math.abs(a - b) < 0.3, `${a} and ${b} are one place`);
    assert.ok(!(await ada.read(() => document.querySelector('audio').paused)));
  });
});

for (const [name, end] of /** @type {const} */ ([['is restarted', 'stop'], ['is killed and started again', 'kill']])) {
  test(`when the server ${name} in mid-song, the music goes on and nobody pairs again`, async (t) => {
    const { server, phones, run } = await room(t, { names: ['Ada', 'Ben'] });
    const [ada, ben] = phones;
    await run(async () => {
      await ada.press('Play');
      await Promise.all([ada.status('in step'), ben.status('in step')]);
      const pauses = () => document.querySelector('audio').pauses;
      await Promise.all(phones.map((phone) => phone.read(() => {
        const audio = document.querySelector('audio');
        audio.pauses = 0;
        audio.addEventListener('pause', () => (audio.pauses += 1));
      })));
      let pairings = 0;
      for (const { page } of phones) page.on('request', (request) => (pairings += Number(request.url().endsWith('/pair'))));
      const before = await Promise.all(phones.map((phone) => phone.line()));
      await server[end]();
      await Promise.all(phones.map((phone) => phone.status('reconnecting…')));
      await Promise.all(phones.map((phone) => phone.sounds()));
      for (const phone of phones) assert.equal(await phone.read(pauses), 0);
      await server.start();
      await Promise.all(phones.map((phone) => phone.status('in step')));
      await Promise.all(phones.map((phone) => phone.sounds()));
      const after = await Promise.all(phones.map((phone) => phone.line()));
      phones.forEach((_, i) => assert.ok(Math.abs(after[i] - before[i]) < 0.5, `phone ${i + 1} went from ${before[i]} to ${after[i]}`));
      const [a, b] = await Promise.all([ada.position(), ben.position()]);
      assert.ok(Math.abs(a - b) < 0.3, `${a} and ${b} are one place`);
      for (const name of ['Ada', 'Ben']) await ada.seesListener(`${name}.* playing`);
      assert.equal(pairings, 0);
      await ben.press('Pause');
      await Promise.all(phones.map((phone) => phone.silent()));
    });
  });
}

test('with the server gone for good, the next song plays from what is held', async (t) => {
  const { server, phones, run } = await room(t, { fill: tones({ 'Alpha Dance': 8, 'Beta Waltz': 30 }), names: ['Ada'] });
  const [ada] = phones;
  await run(async () => {
    await ada.holds(2);
    await ada.press('Play');
    await ada.sounds();
    await server.kill();
    await ada.status('reconnecting…');
    await ada.seesTitle('Beta Waltz');
    await ada.sounds();
    assert.equal(await ada.read(() => Math.round(document.querySelector('audio').duration)), 30, 'it is this song that sounds');
    assert.equal(await ada.read(() => document.querySelector('[role=status]').textContent.trim()), 'reconnecting…');
    await server.start();
    await ada.status('in step');
  });
});

test('a phone that is cut off plays on alone, shows what it plays, and falls back in with the room', async (t) => {
  const server = await startServer({ fill: tones({ 'Alpha Dance': 8, 'Beta Waltz': 4, 'Gamma March': 90 }) });
  t.after(server.end);
  const wire = await openWire(server.url());
  t.after(wire.close);
  const ada = await openPhone(browser, wire.url);
  t.after(ada.close);
  await journey(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.holds(3);
    await ada.press('Play');
    await ada.sounds();
    wire.cut();
    await ada.seesTitle('Beta Waltz');
    // The promise that the server made for one track ends here, before the loss is known.
    await ada.seesTitle('Gamma March');
    await ada.status('reconnecting…');
    await ada.sounds();
    const bar = await ada.read(() => {
      const { max, value } = document.querySelector('#position');
      const text = (/** @type {string} */ id) => document.querySelector(id).textContent;
      return { off: value - document.querySelector('audio').currentTime, max, next: text('#now-next'), queue: text('#queue-pinned .title') };
    });
    assert.ok(Math.abs(bar.off) < 1.5, `the bar is off by ${bar.off} s`);
    assert.deepEqual({ ...bar, off: 0 }, { off: 0, max: '90', next: 'Alpha Dance', queue: 'Gamma March' });
    wire.mend();
    // The server has moved on by itself meanwhile, at moments of its own.
    await ada.status('in step');
    await ada.until('the room’s own place', () => Number(/±(\d+) ms/.exec(document.querySelector('[role=status]').textContent)?.[1]) < 100);
    await ada.seesTitle('Gamma March');
    await ada.sounds();
  });
});

test('with the server out of reach a press is taken back in seconds with those behind it, and then refused at once', async (t) => {
  const server = await startServer({ fill: tones(SONGS) });
  t.after(server.end);
  const wire = await openWire(server.url());
  t.after(wire.close);
  const ada = await openPhone(browser, wire.url);
  t.after(ada.close);
  await journey(t.name, () => [ada], async () => {
    await ada.join('Ada');
    await ada.holds(3);
    await ada.press('Play');
    await ada.status('in step');
    /** @type {string[]} */
    const sent = [];
    ada.page.on('request', (request) => {
      if (request.method() === 'POST' && !/sync|ack/.test(request.url())) sent.push(new URL(request.url()).pathname);
    });
    const away = () => [...document.querySelectorAll('[role=alert].bubble')].some((bubble) => bubble.textContent.includes('The server is away'));
    wire.cut();
    const began = performance.now();
    await ada.press('Pause');
    await ada.offers('Play');
    await ada.press('Next');
    await ada.seesTitle('Beta Waltz');
    await ada.until('the word', away);
    const tookMs = performance.now() - began;
    assert.ok(tookMs < 5_000, `${tookMs} ms`);
    await ada.seesTitle('Alpha Dance');
    await ada.offers('Pause');
    await ada.status('reconnecting…');
    await ada.sounds();

    await ada.until('the word go away', () => !document.querySelector('.bubble'));
    await ada.read(() => {
      globalThis.shown = [];
      const look = () => globalThis.shown.push(document.querySelector('#now-title').textContent, document.querySelector('#play').ariaLabel);
      new MutationObserver(look).observe(document.querySelector('#room-view'), { subtree: true, childList: true, attributes: true });
    });
    await ada.press('Next');
    assert.ok(await ada.read(away), 'it is said at once');
    await ada.press('Pause');
    wire.mend();
    await ada.status('in step');
    await ada.sounds();
    const shown = await ada.read(() => [...new Set(globalThis.shown)]);
    assert.deepEqual(shown.toSorted(), ['Alpha Dance', 'Pause']);
    assert.deepEqual(sent, ['/pause']);
    assert.deepEqual(ada.errors, []);
  });
});

test('an event stream that goes dead without a word is noticed within 12 seconds, and opened again', async (t) => {
  const server = await startServer({ fill: tones(SONGS) });
  t.after(server.end);
  const wire = await openWire(server.url());
  t.after(wire.close);
  const ada = await openPhone(browser, wire.url);
  t.after(ada.close);
  const ben = await openPhone(browser, server.url());
  t.after(ben.close);
  await journey(t.name, () => [ada, ben], async () => {
    await ada.join('Ada');
    await ben.join('Ben');
    await ada.seesListener('Ben');
    // All else goes on: whoever asked the server for anything would find it in good health.
    assert.equal(wire.hush('/events'), 1);
    const began = performance.now();
    await ben.press('Next');
    await ada.status('reconnecting…');
    const tookMs = performance.now() - began;
    assert.ok(tookMs < 12_500, `${tookMs} ms`);
    await ada.seesTitle('Beta Waltz');
    await ada.status('in step');
  });
});

test('a song that was changed on disk is heard as it is now, also where the old one was loaded', async (t) => {
  const { server, phones, run } = await room(t, { fill: tones({ 'Alpha Dance': 40, 'Beta Waltz': 40 }), names: ['Ada'] });
  const [ada] = phones;
  const file = join(server.audio, 'Alpha Dance.wav');
  const change = async (/** @type {number} */ seconds) => {
    await server.stop();
    await writeFile(file, tone(seconds));
    await server.start();
  };
  await run(async () => {
    await ada.holds(2);
    // Every change of what the element has loaded, and what it plays of that.
    await ada.read(() => {
      const audio = document.querySelector('audio');
      globalThis.lengths = [];
      audio.addEventListener('playing', () => globalThis.lengths.push(Math.round(audio.duration)));
    });
    await change(30);
    await ada.until('the new length', () => document.querySelector('#position').max === '30');
    await ada.press('Play');
    await ada.sounds();
    await change(20);
    await ada.until('the new length', () => document.querySelector('#position').max === '20');
    await ada.status('in step');
    await ada.sounds();
    assert.deepEqual(await ada.read(() => globalThis.lengths), [30, 20]);
  });
});

test('a song that gets other tags while it plays is not interrupted, and is called by its new name', async (t) => {
  const { server, phones, run } = await room(t, { fill: tones({ 'Alpha Dance': 40, 'Beta Waltz': 40 }), names: ['Ada'] });
  const [ada] = phones;
  const file = join(server.audio, 'Alpha Dance.wav');
  await run(async () => {
    await ada.holds(2);
    await ada.press('Play');
    await ada.sounds();
    await ada.status('in step');
    // Whoever lets go of a song has to fetch it again.
    /** @type {string[]} */
    const fetched = [];
    ada.page.on('request', (request) => void (request.url().includes('/file/') && fetched.push(request.url())));
    // The same music, and a title after it.
    const name = Buffer.from('INAM\x0c\0\0\0Alpha Reborn');
    const info = Buffer.concat([Buffer.from('LIST'), Buffer.from([4 + name.length, 0, 0, 0]), Buffer.from('INFO'), name]);
    const whole = Buffer.concat([await readFile(file), info]);
    whole.writeUInt32LE(whole.length - 8, 4);
    await writeFile(file, whole);
    await ada.seesTitle('Alpha Reborn');
    await ada.sounds();
    assert.deepEqual(fetched, []);
  });
});

test('a server whose state is damaged says so on every paired phone, and is found again once it is mended', async (t) => {
  const { server, phones, run } = await room(t, { names: ['Ada', 'Ben'] });
  const [ada, ben] = phones;
  await run(async () => {
    await server.stop();
    const state = await readFile(server.stateFile);
    await writeFile(server.stateFile, 'no state');
    await server.start();
    await ada.status('the state file is damaged');
    await ben.page.reload();
    await ben.until('the sentence', () => {
      const trouble = document.querySelector('#trouble');
      return trouble.checkVisibility() && trouble.role === 'alert' && trouble.textContent.includes('the state file is damaged');
    });
    await server.stop();
    await writeFile(server.stateFile, state);
    await server.start();
    await Promise.all(phones.map((phone) => phone.status('paused')));
    assert.ok(await ben.read(() => !document.querySelector('#trouble').checkVisibility()));
  });
});

test('a wrong code is said to be wrong, and the right one opens', async (t) => {
  const server = await startServer({ fill: tones(SONGS) });
  t.after(server.end);
  const ada = await openPhone(browser, server.url());
  t.after(ada.close);
  await journey(t.name, () => [ada], async () => {
    const code = ada.page.getByLabel('Pairing code');
    await code.fill('000000');
    await ada.press('Join');
    await ada.until('what is wrong', () => document.querySelector('#join-error').textContent.includes('not the code'));
    assert.equal(await ada.read(() => document.querySelector('#join-error').getAttribute('role')), 'alert');
    assert.equal(await ada.read(() => document.querySelector('#join-code').getAttribute('aria-invalid')), 'true');
    await code.fill('12');
    await ada.press('Join');
    await ada.until('how many digits', () => document.querySelector('#join-error').textContent.includes('six digits'));
    await ada.join('Ada');
    await ada.seesListener('Ada \\(you\\)');
  });
});
