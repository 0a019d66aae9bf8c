import assert from 'node:assert/strict';
import test from 'node:test';
import { BLOCK_FRAMES, lag, musicIn, positionOn, sight, slew } from '../../../static/js/player/output.js';

/** Sightings of such lags, 30 ms apart; `clocks`: because the context's own clock is behind by as much. */
function see(lags, before = [], clocks = true) {
  let [sightings, jumps, falls] = [before, 0, 0];
  for (const lagMs of lags) {
    const atMs = (sightings.at(-1)?.atMs ?? 0) + 30;
    const seen = sight(sightings, { atMs, lagMs, clockMs: clocks ? lagMs : 0 });
    sightings = seen.sightings;
    jumps += seen.jumped ? 1 : 0;
    falls += seen.fell ? 1 : 0;
  }
  return { sightings, jumps, falls };
}

const many = (count, lagMs) => Array.from({ length: count }, () => lagMs);

test('nothing is known of an output that nobody has looked at', () => {
  assert.equal(lag([]), null);
});

test('a few looks are a guess, and eight are not', () => {
  assert.equal(lag(see(many(7, 20)).sightings).settled, false);
  assert.equal(lag(see(many(8, 20)).sightings).settled, true);
});

test('looks that are far off do not count, however far', () => {
  const { sightings, jumps } = see([20, 20.1, 400, 19.9, 20, -300, 20, 20.1]);
  assert.equal(Math.round(lag(sightings).lagMs), 20);
  assert.equal(jumps, 0);
});

test('how much the looks scatter is told', () => {
  assert.equal(lag(see([10, 30, 10, 30, 20, 20, 10, 30]).sightings).spreadMs, 10);
});

test('a lag that jumped is believed after six looks, and what was before is forgotten', () => {
  const before = see(many(40, 20)).sightings;
  assert.equal(see(many(5, 60), before).jumps, 0);
  const after = see(many(6, 60), before);
  assert.equal(after.jumps, 1);
  assert.equal(lag(after.sightings).lagMs, 60);
});

test('one look that is unlike the others is odd, and no more than that', () => {
  const before = see(many(40, 20)).sightings;
  const { odd, jumped } = sight(before, { atMs: 1_230, lagMs: 90, clockMs: 90 });
  assert.deepEqual([odd, jumped], [true, false]);
});

test('a lag that scatters as it always did has not jumped', () => {
  const scatter = Array.from({ length: 100 }, (_, i) => 20 + 5 * Math.sin(i * 2.1));
  assert.equal(see(scatter).jumps, 0);
});

test('a sound that fell behind is told from one of which only something else is told', () => {
  assert.equal(see(many(6, 60), see(many(40, 20)).sightings).falls, 1);
  const told = see(many(40, 20), [], false).sightings;
  assert.deepEqual([see(many(6, 60), told, false).jumps, see(many(6, 60), told, false).falls], [1, 0]);
  assert.equal(see(many(6, 5), see(many(40, 20)).sightings).falls, 0);
});

test('where looks are rare the last eight count, and the output is known all the same', () => {
  let sightings = [];
  for (let atMs = 0; atMs < 20_000; atMs += 1_000) sightings = sight(sightings, { atMs, lagMs: 20, clockMs: 20 }).sightings;
  assert.equal(lag(sightings).settled, true);
  assert.ok(sightings.length <= 9);
});

test('looks of more than three seconds ago are forgotten', () => {
  const { sightings } = see(many(200, 20));
  assert.ok(sightings.length <= 101);
});

test('silence that an encoder put around the music is left out, as far as the decoder has not done so', () => {
  const told = { durationSec: 3, padding: { leadSec: 0.025, wholeSec: 3.03 } };
  for (const [what, decodedSec, leadSec, durationSec] of /** @type {[string, number, number, number][]} */ ([
    ['all is left out', 3.0003, 0, 3.0003],
    ['nothing is', 3.03, 0.025, 3],
    ["a decoder's own delay is", 3.018, 0.013, 3],
    ['something is odd', 3.1, 0.025, 3],
    ['the file broke off', 2.5, 0, 2.5],
  ])) {
    const music = musicIn(decodedSec, told);
    assert.ok(Math.abs(music.leadSec - leadSec) < 1e-9 && Math.abs(music.durationSec - durationSec) < 1e-9, what);
  }
  assert.deepEqual(musicIn(3.03, { durationSec: 3 }), { leadSec: 0, durationSec: 3.03 });
});

test('the way through a track goes on at the rate of its last stretch', () => {
  const way = [
    { atSec: 10, positionSec: 0, rate: 1 },
    { atSec: 12, positionSec: 2, rate: 1.005 },
    { atSec: 14, positionSec: 4.01, rate: 1 },
  ];
  for (const [atSec, positionSec] of [[9, -1], [11, 1], [13, 3.005], [20, 10.01]]) {
    assert.ok(Math.abs(positionOn(way, atSec) - positionSec) < 1e-9);
  }
});

for (const byMs of [0.6, -0.6, 1, 7.3, -12, 30, -30]) {
  test(`a slew by ${byMs} ms is a whole number of frames, and not heard as another pitch`, () => {
    const { rate, blocks } = slew(byMs, 48_000);
    const frames = (rate - 1) * blocks * BLOCK_FRAMES;
    assert.ok(Math.abs(frames - Math.round(byMs * 48)) < 1e-6, `${frames} frames`);
    assert.ok(Math.abs(rate - 1) <= 0.005 + 1e-12);
    assert.ok(Number.isInteger(blocks));
  });
}
