// The engine that is exact to the sample, through the player, on a sound card that is made up: what is heard, and when.

import assert from 'node:assert/strict';
import test from 'node:test';
import { songOf } from '../support/song.mjs';
import { openSoundingPhone } from '../support/sounding-phone.mjs';

/** What is told of the output is off by a tenth of that, and its median by less. */
const NEAR_MS = 0.3;

/** From a press to the last of the sound: what is rendered already is heard. */
const AT_ONCE_MS = 85;

/** Longer than the output takes to be known well. */
const SETTLE_MS = 2_000;

/**
 * A phone that may sound, and has these songs at hand.
 * @param {import('node:test').TestContext} t
 * @param {Record<string, number>} songs their lengths in seconds
 * @param {Parameters<typeof openSoundingPhone>[1]} [over]
 */
async function open(t, songs, over) {
  const phone = openSoundingPhone(t, over);
  for (const [song, duration] of Object.entries(songs)) phone.player.prepare(song, songOf(song, duration), { duration });
  phone.player.unlock();
  await phone.time.run(SETTLE_MS);
  return phone;
}

/** @param {string} trackId @param {number} atMs @param {number} [positionSec] */
const start = (trackId, atMs, positionSec = 0) => ({ kind: /** @type {const} */ ('start'), trackId, positionSec, atMs, atOnce: false });

/** @param {string} trackId @param {number} positionSec */
const hold = (trackId, positionSec) => ({ kind: /** @type {const} */ ('hold'), trackId, positionSec });

/** Lets time pass, in which the player is looked at as often as the conductor does. */
async function watch(phone, ms) {
  for (let passed = 0; passed < ms; passed += 250) {
    phone.player.report();
    await phone.time.run(250);
  }
}

const near = (value, expected, within = NEAR_MS) =>
  assert.ok(Math.abs(value - expected) <= within, `${value} is not within ${within} of ${expected}`);

/** That it is there then in its song, to a fraction of a millisecond. */
const isAt = (phone, ms, positionSec, within = NEAR_MS) => near(phone.placeAt(ms) * 1000, positionSec * 1000, within);

/** A phone that sounds `a`, from its beginning on, since a second ago. */
async function sounding(t, songs, over) {
  const phone = await open(t, songs, over);
  const atMs = phone.time.now() + 300;
  phone.player.follow(start('a', atMs));
  await phone.time.run(1_300);
  return { phone, atMs };
}

for (const latencyMs of [12, 40, 180]) {
  test(`a song that is laid down for a moment is heard from then on, its first note at full force, ${latencyMs} ms behind the card`, async (t) => {
    const phone = await open(t, { a: 60 }, { latencyMs });
    const atMs = phone.time.now() + 500;
    phone.player.follow(start('a', atMs));
    await phone.time.run(3_000);
    near(phone.sounds(atMs - 500).fromMs, atMs);
    isAt(phone, atMs + 2_000, 2);
    assert.equal(phone.levels(atMs + 1, atMs + 2_000).least, 1);
    assert.equal(phone.player.report().phase, 'playing');
  });
}

test('in mid-song it comes in where it was told, and softly', async (t) => {
  const phone = await open(t, { a: 60 });
  const atMs = phone.time.now() + 400;
  phone.player.follow(start('a', atMs, 30));
  await phone.time.run(1_500);
  near(phone.sounds(atMs - 300).fromMs, atMs);
  isAt(phone, atMs + 500, 30.5);
  assert.ok(phone.levels(atMs + 0.5, atMs + 3).most < 0.5);
  assert.equal(phone.levels(atMs + 9, atMs + 500).least, 1);
});

test('told too late, it comes in at once, where the room is by then', async (t) => {
  const phone = await open(t, { a: 60 });
  const atMs = phone.time.now() - 1_000;
  const told = phone.time.now();
  phone.player.follow(start('a', atMs, 10));
  await phone.time.run(1_000);
  near(phone.sounds(told).fromMs, told + 60, 20);
  isAt(phone, told + 300, 11.3);
});

test('a pause is heard at once, softly, and the place is kept', async (t) => {
  const { phone, atMs } = await sounding(t, { a: 60 });
  const pausedMs = phone.time.now();
  phone.player.follow(hold('a', 1));
  await phone.time.run(3_000);
  const { toMs } = phone.sounds(atMs);
  assert.ok(toMs > pausedMs && toMs < pausedMs + AT_ONCE_MS, `${toMs - pausedMs} ms`);
  assert.ok(phone.levels(toMs - 2, toMs).most < 0.5, 'it fades');
  assert.deepEqual([phone.player.report().phase, phone.player.report().positionSec], ['held', 1]);
  assert.deepEqual(phone.told.ended, []);
});

test('the next song follows on the last note, without a hole, and the end is told once', async (t) => {
  const { phone, atMs } = await sounding(t, { a: 10, b: 10 });
  const endMs = atMs + 10_000;
  phone.player.lineUp({ trackId: 'b', atMs: endMs });
  await watch(phone, 12_000);
  assert.deepEqual(phone.songs(atMs), ['a', 'b']);
  assert.ok(phone.levels(atMs + 1, endMs + 1_000).least > 0.9);
  isAt(phone, endMs + 500, 0.5);
  assert.deepEqual(phone.told.ended, ['a']);
  const { trackId, phase } = phone.player.report();
  assert.deepEqual([trackId, phase], ['b', 'playing']);
});

test('a next song that is called off is never heard, and the one before ends by itself', async (t) => {
  const { phone, atMs } = await sounding(t, { a: 10, b: 10 });
  phone.player.lineUp({ trackId: 'b', atMs: atMs + 10_000 });
  await phone.time.run(8_000);
  phone.player.lineUp(null);
  await watch(phone, 6_000);
  assert.deepEqual(phone.songs(atMs), ['a', '']);
  near(phone.sounds(atMs).toMs, atMs + 10_000);
  assert.deepEqual(phone.told.ended, ['a']);
  assert.equal(phone.player.report().phase, 'ended');
});

for (const [what, press] of /** @type {[string, (phone: any) => void][]} */ ([
  ['a pause', (phone) => phone.player.follow(hold('a', 3))],
  ['silence', (phone) => phone.player.follow('silence')],
  ['another place in the song', (phone) => phone.player.follow(start('a', phone.time.now() + 100, 1))],
])) {
  test(`${what} calls off the next song as well`, async (t) => {
    const { phone, atMs } = await sounding(t, { a: 10, b: 10 });
    phone.player.lineUp({ trackId: 'b', atMs: atMs + 5_000 });
    await phone.time.run(1_000);
    press(phone);
    await watch(phone, 6_000);
    assert.ok(!phone.songs(atMs).includes('b'), `${phone.songs(atMs)}`);
    assert.deepEqual(phone.told.ended, []);
  });
}

test('a next song is moved with its moment, as long as there is time for it', async (t) => {
  const { phone, atMs } = await sounding(t, { a: 10, b: 10 });
  const lineUp = (/** @type {number} */ offMs) => phone.player.lineUp({ trackId: 'b', atMs: atMs + 10_000 + offMs });
  lineUp(-300);
  await phone.time.run(500);
  lineUp(20);
  assert.equal(phone.sound.laidDown(), 2 + 1, 'what is called off ends with the block');
  await phone.time.run(8_440);
  lineUp(-5);
  await phone.time.run(3_000);
  assert.deepEqual(phone.songs(atMs), ['a', '', 'b']);
  isAt(phone, atMs + 11_000, 0.98);
});

test('a next song whose moment is told a little otherwise each time is laid down once', async (t) => {
  const { phone, atMs } = await sounding(t, { a: 10, b: 10 });
  for (const offMs of [0, 0.2, -0.1, 0.15]) {
    phone.player.lineUp({ trackId: 'b', atMs: atMs + 10_000 + offMs });
    await phone.time.run(200);
  }
  assert.equal(phone.sound.starts(), 2);
});

test('what is left of a song that is longer than was said does not sound into the next', async (t) => {
  const { phone, atMs } = await sounding(t, { a: 10, b: 10 });
  phone.player.lineUp({ trackId: 'b', atMs: atMs + 9_000 });
  await phone.time.run(11_000);
  isAt(phone, atMs + 9_500, 0.5);
  assert.equal(phone.levels(atMs + 9_100, atMs + 11_000).most, 1, 'one song at a time');
  assert.deepEqual(phone.told.ended, ['a']);
});

test('a next song begins at its moment where the one before turns out to be shorter', async (t) => {
  const { phone, atMs } = await sounding(t, { a: 10, b: 10 });
  phone.player.lineUp({ trackId: 'b', atMs: atMs + 10_400 });
  await phone.time.run(11_000);
  assert.deepEqual(phone.songs(atMs), ['a', '', 'b']);
  isAt(phone, atMs + 10_900, 0.5);
  assert.deepEqual(phone.told.ended, ['a']);
});

for (const byMs of [12, -7.5]) {
  test(`moved by ${byMs} ms, it gets there without a hole, a jump, or another pitch`, async (t) => {
    const { phone, atMs } = await sounding(t, { a: 60 });
    const movedMs = phone.time.now();
    phone.player.follow({ kind: 'slew', byMs });
    await phone.time.run(4_000);
    isAt(phone, movedMs + 3_500, (movedMs + 3_500 - atMs + byMs) / 1000);
    assert.equal(phone.levels(atMs + 1, movedMs + 3_500).least, 1);
    for (let ms = movedMs; ms < movedMs + 3_500; ms += 10) {
      const gained = (phone.placeAt(ms + 10) - phone.placeAt(ms)) * 1000 - 10;
      assert.ok(Math.abs(gained) < 0.06, `${gained} ms in 10 ms`);
    }
    near((phone.player.report().positionSec - (phone.time.now() - atMs) / 1000) * 1000, byMs, NEAR_MS);
  });
}

test('cut to another place, it sounds on without a hole', async (t) => {
  const { phone, atMs } = await sounding(t, { a: 60 });
  const cutMs = phone.time.now() + 120;
  phone.player.follow(start('a', cutMs, 40));
  await phone.time.run(1_000);
  const { least, most } = phone.levels(atMs + 1, cutMs + 700);
  assert.ok(least > 0.95 && most < 1.05, `${least} to ${most}`);
  isAt(phone, cutMs - 10, (cutMs - 10 - atMs) / 1000);
  isAt(phone, cutMs + 10, 40.01);
  assert.equal(phone.sound.laidDown(), 1, 'the old one is let go of');
});

test('another song sounds at its moment, and the one before up to it', async (t) => {
  const { phone, atMs } = await sounding(t, { a: 60, b: 60 });
  const nextMs = phone.time.now() + 300;
  phone.player.follow(start('b', nextMs));
  await phone.time.run(1_000);
  assert.deepEqual(phone.songs(atMs), ['a', 'b']);
  isAt(phone, nextMs + 500, 0.5);
  assert.equal(phone.sound.laidDown(), 1, 'the old one is let go of');
  assert.deepEqual(phone.told.ended, []);
});

test('of two starts in a row the later one counts, also while the output is just waking', async (t) => {
  const phone = openSoundingPhone(t);
  for (const song of ['a', 'b']) phone.player.prepare(song, songOf(song, 60), { duration: 60 });
  await phone.time.run(100);
  phone.player.unlock();
  const atMs = phone.time.now() + 600;
  phone.player.follow(start('a', atMs));
  await phone.time.run(50);
  phone.player.follow(start('b', atMs));
  await phone.time.run(1_500);
  assert.deepEqual(phone.songs(atMs + 1), ['b']);
  isAt(phone, atMs + 500, 0.5, 1);
});

test('the silence that an encoder put around a song is not played', async (t) => {
  const phone = openSoundingPhone(t);
  phone.player.prepare('a', songOf('a', 10.05), { duration: 10, padding: { leadSec: 0.025, wholeSec: 10.05 } });
  phone.player.unlock();
  await phone.time.run(SETTLE_MS);
  const atMs = phone.time.now() + 300;
  phone.player.follow(start('a', atMs));
  await phone.time.run(11_000);
  isAt(phone, atMs + 1, 0.026);
  near(phone.sounds(atMs).toMs, atMs + 10_000);
});

test('an output with nothing to play rests after a minute, and the next start is on time all the same', async (t) => {
  const { phone } = await sounding(t, { a: 60 });
  phone.player.follow(hold('a', 0));
  await phone.time.run(59_000);
  assert.equal(phone.sound.isRunning(), true);
  await phone.time.run(3_000);
  assert.equal(phone.sound.isRunning(), false);
  assert.equal(phone.player.locked(), false);
  const atMs = phone.time.now() + 600;
  phone.player.follow(start('a', atMs, 7));
  await phone.time.run(1_500);
  near(phone.sounds(atMs - 500).fromMs, atMs, 1);
  isAt(phone, atMs + 500, 7.5, 1);
});

test('an output that the system takes away is silent until a tap, and kept silent', async (t) => {
  const { phone } = await sounding(t, { a: 60 });
  const takenMs = phone.time.now();
  phone.sound.takeAway();
  await watch(phone, 2_000);
  assert.equal(phone.player.locked(), true);
  near(phone.player.report().positionSec, 1, 0.05);
  phone.player.unlock();
  await phone.time.run(2_000);
  assert.equal(phone.player.locked(), false);
  assert.deepEqual(phone.songs(takenMs + AT_ONCE_MS), [''], 'until it is told where to be');
  const atMs = phone.time.now() + 300;
  phone.player.follow(start('a', atMs, 20));
  await phone.time.run(1_000);
  isAt(phone, atMs + 400, 20.4);
});

test('a browser that wants a touch first is silent and says so, until there is one', async (t) => {
  const phone = openSoundingPhone(t, { allowed: false });
  phone.player.prepare('a', songOf('a', 60), { duration: 60 });
  await phone.time.run(100);
  const toldMs = phone.time.now();
  phone.player.follow(start('a', toldMs + 300));
  await phone.time.run(2_000);
  assert.equal(phone.player.locked(), true);
  assert.deepEqual(phone.songs(toldMs), ['']);
  phone.sound.card.allowed = true;
  phone.player.unlock();
  await phone.time.run(200);
  assert.equal(phone.player.locked(), false);
  const atMs = phone.time.now() + 500;
  phone.player.follow(start('a', atMs, 3));
  await phone.time.run(1_500);
  isAt(phone, atMs + 500, 3.5, 1);
});

test('a browser that was taken to refuse, and begins after all, needs no tap', async (t) => {
  const phone = openSoundingPhone(t, { resumeMs: 1_800 });
  phone.player.prepare('a', songOf('a', 60), { duration: 60 });
  await phone.time.run(100);
  phone.player.follow(start('a', phone.time.now() + 300));
  await phone.time.run(1_700);
  assert.equal(phone.player.locked(), true);
  await phone.time.run(500);
  assert.equal(phone.player.locked(), false);
});

for (const curable of [true, false]) {
  test(`an output that stands still while it says that it runs is ${curable ? 'brought back' : 'given up until a tap'}`, async (t) => {
    const { phone } = await sounding(t, { a: 60 });
    phone.sound.freeze(curable);
    await watch(phone, 4_000);
    assert.equal(phone.player.locked(), !curable);
    assert.equal(phone.heardAt(phone.time.now()).length, curable ? 1 : 0);
  });
}

test('a chirp is heard at its moment, and not at all rather than late', async (t) => {
  const phone = await open(t, {});
  phone.player.follow('silence');
  await phone.time.run(70_000);
  const atMs = phone.time.now() + 1_500;
  phone.player.sound('rise', atMs);
  phone.player.sound('fall', phone.time.now() + 20);
  await phone.time.run(2_500);
  near(phone.sounds(atMs - 1_500).fromMs, atMs);
  near(phone.sounds(atMs - 1_500).toMs, atMs + 100);
});
