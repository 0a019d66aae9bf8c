import assert from 'node:assert/strict';
import test from 'node:test';
import { openMemory } from '../../../static/js/cache/memory.js';
import { bring } from '../../../static/js/moving.js';
import { deviceOf, downloadFor, plainOrigin, secureOrigin, stepsFor } from '../../../static/js/secure.js';

const agents = [
  ['an iPhone', 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile/15E148 Safari/604.1', 5, 'iphone', false],
  ['Firefox on an iPhone', 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 FxiOS/133.0 Mobile/15E148 Safari/605.1.15', 5, 'iphone', false],
  ['an iPad that says it is a Mac', 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15', 5, 'iphone', false],
  ['a Mac', 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15', 0, 'mac', false],
  ['an Android phone', 'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/130.0.0.0 Mobile Safari/537.36', 5, 'android', false],
  ['Firefox on Android', 'Mozilla/5.0 (Android 15; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0', 5, 'android', true],
  ['Windows', 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36', 0, 'windows', false],
  ['Firefox on Linux', 'Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0', 0, 'other', true],
];
for (const [name, userAgent, maxTouchPoints, device, firefox] of agents) {
  test(`${name} is known for what it is, and told what to do`, () => {
    const here = deviceOf({ userAgent, maxTouchPoints });
    assert.deepEqual(here, { device, firefox });
    const steps = stepsFor(here, 'Lockstep on pi (3f9a2c)');
    assert.ok(steps.length >= 3);
    assert.match(steps[0], /Download/);
    assert.match(steps.at(-1), /Check/);
  });
}

test('an iPhone gets a profile and is led to the switch that nobody finds', () => {
  const here = { device: 'iphone', firefox: false };
  assert.equal(downloadFor(here).path, '/ca.mobileconfig');
  const steps = stepsFor(here, 'Lockstep on pi (3f9a2c)').join('\n');
  assert.match(steps, /Certificate Trust Settings, and switch “Lockstep on pi \(3f9a2c\)” on/);
});

test('the file that the steps name is the one that is saved', () => {
  for (const device of ['android', 'other']) {
    const here = { device, firefox: false };
    assert.ok(stepsFor(here, 'x').join('\n').includes(`“${downloadFor(here).saveAs}”`), device);
  }
});

test('the two pages of a host are told apart by scheme and port', () => {
  const offer = { port: 8443, httpPort: 8080, authority: null };
  assert.equal(secureOrigin(offer, 'party.lan'), 'https://party.lan:8443');
  assert.equal(plainOrigin(offer, '[fd00::7]'), 'http://[fd00::7]:8080');
  const usual = { port: 443, httpPort: 80, authority: null };
  assert.equal(secureOrigin(usual, 'party.lan'), 'https://party.lan');
  assert.equal(plainOrigin(usual, 'party.lan'), 'http://party.lan');
});

const entry = (trackId, usedAtMs, parts = 2) => ({ trackId, version: 'v', mime: 'audio/flac', size: 4 * parts, receivedBytes: 4 * parts, parts, usedAtMs });
const [A, B, C] = ['a', 'b', 'c'].map((letter) => letter.repeat(16));
const bytes = (part) => new Uint8Array(4).fill(part).buffer;

test('music is brought along part by part, what was heard last first, and what is there stays', async () => {
  const back = openMemory();
  await back.append({ ...entry(B, 2), parts: 1, receivedBytes: 8, size: 8 }, new ArrayBuffer(8));
  const asked = [];
  const fetchPart = async ({ trackId }, part) => {
    asked.push(`${trackId[0]}${part}`);
    return bytes(part);
  };
  await bring([entry(A, 1), entry(B, 2), entry(C, 3)], back, fetchPart, ({ brought, total }) => asked.push(`${brought} of ${total}`));
  assert.deepEqual(asked, ['0 of 2', 'c0', 'c1', '1 of 2', 'a0', 'a1']);
  const entries = await back.list();
  assert.deepEqual(entries.map(({ trackId }) => trackId).sort(), [A, B, C]);
  const brought = await back.read(entries.find(({ trackId }) => trackId === A));
  assert.deepEqual([...new Uint8Array(await brought.arrayBuffer())], [0, 0, 0, 0, 1, 1, 1, 1]);
});

const failures = [
  ['a part that does not come', async () => null],
  ['a tab that is gone', async () => Promise.reject(new Error('no answer'))],
  ['a part that is too short', async () => new ArrayBuffer(3)],
];
for (const [name, fetchPart] of failures) {
  test(`${name} ends it, and no half of a track stays`, async () => {
    const back = openMemory();
    let calls = 0;
    await bring([entry(A, 2), entry(B, 1)], back, async (track, part) => ((calls += 1) > 3 ? fetchPart() : bytes(part)), () => {});
    assert.deepEqual((await back.list()).map(({ trackId }) => trackId), [A]);
  });
}

test('what is no track is not brought', async () => {
  const back = openMemory();
  await bring([entry('../../x', 1)], back, async (track, part) => bytes(part), () => {});
  assert.deepEqual(await back.list(), []);
});
