// Which decoded tracks this phone measures and reports.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '../../../static/js/net/http.js';
import { measuringTurn, startLoudnessReports } from '../../../static/js/sound/loudness-reports.js';
import { createStore } from '../../../static/js/store.js';
import { settlePromises } from '../support/promises.mjs';
import { room } from '../support/rooms.mjs';

const MEASURED = { lufs: -12, peakDb: -0.5 };
const TRACK = { trackId: 'b', version: 'v1' };
const listening = (/** @type {string[]} */ ...ids) => ({ live: { anchorAtMs: null, segue: null, listeners: Object.fromEntries(ids.map((id) => [id, { role: 'listener' }])) } });

/** A phone that has decoded the track `b`, and that the others let measure first. */
function openPhone(t, { track = TRACK, listeners = ['m1', 'm2'], memberId = 'm1', measure = async () => MEASURED, answers = [] } = {}) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const store = createStore(/** @type {any} */ ({ connection: 'connecting', memberId, room: room(listening(...listeners)), index: new Map([['b', track]]), readyTrackIds: new Set(['b']) }));
  const reports = [];
  let buffer = /** @type {any} */ ({});
  startLoudnessReports({
    store,
    player: /** @type {any} */ ({ decodedBuffer: () => buffer, preparedTrack: () => ({ version: 'v1' }) }),
    measure,
    send: async (report) => {
      reports.push(report);
      const error = answers.shift();
      if (error) throw error;
    },
  });
  const setTrack = async (newTrack) => {
    store.update({ index: new Map([['b', newTrack]]) });
    await settlePromises();
  };
  const wait = async (ms) => {
    t.mock.timers.tick(ms);
    await settlePromises();
    t.mock.timers.tick(0);
    await settlePromises();
  };
  return { store, reports, setTrack, wait, drop: () => (buffer = null), decodeAgain: () => (buffer = {}), connect: async () => {
    store.update({ connection: 'open' });
    await settlePromises();
    await wait(0);
  } };
}

test('a decoded track of unknown loudness is reported once', async (t) => {
  const phone = openPhone(t);
  await phone.connect();
  await phone.setTrack({ ...TRACK });
  await phone.wait(10_000);
  assert.deepEqual(phone.reports, [{ ...TRACK, ...MEASURED }]);
});

for (const [name, track, count] of /** @type {[string, object, number][]} */ ([
  ['a track with gain and peak is not measured', { ...TRACK, gainDb: -3, peak: 0.5 }, 0],
  ['a track with a gain alone is measured, for its peak', { ...TRACK, gainDb: -3 }, 1],
  ['a track whose file has changed since it was decoded is not measured', { ...TRACK, version: 'v2' }, 0],
])) {
  test(name, async (t) => {
    const phone = openPhone(t, { track });
    await phone.connect();
    assert.equal(phone.reports.length, count);
  });
}

test('a phone that is asked again measures once more', async (t) => {
  const phone = openPhone(t);
  await phone.connect();
  await phone.setTrack({ ...TRACK, gainDb: -6, peak: 0.5, measureAgain: true });
  await phone.wait(0);
  await phone.setTrack({ ...TRACK, gainDb: -6, peak: 0.5, measureAgain: true });
  await phone.wait(10_000);
  assert.equal(phone.reports.length, 2);
});

test('the other phones measure later, and only if the first one has not', async (t) => {
  for (const hasFirstReported of [true, false]) {
    const phone = openPhone(t, { memberId: 'm2' });
    await phone.connect();
    assert.deepEqual(phone.reports, []);
    if (hasFirstReported) await phone.setTrack({ ...TRACK, gainDb: -6, peak: 0.9 });
    await phone.wait(2_000);
    assert.equal(phone.reports.length, hasFirstReported ? 0 : 1);
    t.mock.timers.reset();
  }
});

test('a measurement ends when the track is no longer decoded', async (t) => {
  const phone = openPhone(t, {
    measure: async (_, isNeeded) => {
      phone.drop();
      return isNeeded() ? MEASURED : null;
    },
  });
  await phone.connect();
  assert.deepEqual(phone.reports, []);
});

test('a track that is decoded anew while this phone waits for its turn is measured', async (t) => {
  const measured = [];
  const phone = openPhone(t, { memberId: 'm2', measure: async (buffer) => {
    measured.push(buffer);
    return MEASURED;
  } });
  await phone.connect();
  const buffer = phone.decodeAgain();
  await phone.wait(2_000);
  assert.deepEqual(measured.map((each) => each === buffer), [true]);
  assert.equal(phone.reports.length, 1);
});

test('a failed measurement is made again after five seconds', async (t) => {
  let count = 0;
  const phone = openPhone(t, { measure: async () => {
    count += 1;
    if (count === 1) throw new Error('no script');
    return MEASURED;
  } });
  await phone.connect();
  await phone.wait(4_000);
  assert.deepEqual([count, phone.reports.length], [1, 0]);
  await phone.wait(1_000);
  await phone.wait(0);
  assert.deepEqual([count, phone.reports.length], [2, 1]);
});

test('a report without an answer is sent again, a refused one is not', async (t) => {
  for (const [error, count] of /** @type {[Error, number][]} */ ([[new TypeError('no network'), 2], [new ApiError(404, 'No such track'), 1]])) {
    const phone = openPhone(t, { answers: [error] });
    await phone.connect();
    await phone.wait(5_000);
    await phone.wait(0);
    assert.equal(phone.reports.length, count);
    t.mock.timers.reset();
  }
});

test('phones take turns in the order of pairing, remote controls left out', () => {
  const state = room(listening('m10', 'm9', 'm2'));
  state.live.listeners['m1'] = { role: 'remote' };
  const turns = ['m2', 'm9', 'm10', 'm3'].map((memberId) => measuringTurn(/** @type {any} */ ({ room: state, memberId })));
  assert.deepEqual(turns, [0, 1, 2, 0]);
});
