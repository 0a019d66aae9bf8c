// Several rooms in one house: making and entering them, moving between them while music plays, and what each keeps for itself.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { layoutFaults, unreachableElements } from '../support/layout-checks.mjs';
import { openBrowser, openPhone, phoneFromPage, screenshotOnFailure, waitForSameTrackStart } from '../support/phones.mjs';
import { startServer } from '../support/server.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tones } from '../support/tones.mjs';

/** @typedef {import('../support/phones.mjs').Phone} Phone */

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const PASSWORD = 'open sesame';
const TRACKS = { 'Alpha Dance': 150, 'Beta Waltz': 150, 'Gamma March': 150 };

/** @param {Phone} phone @param {string} name */
const waitForRoomName = (phone, name) =>
  phone.waitFor(`the room ${name}`, (expected) => document.querySelector('#room-name:not([hidden])')?.textContent === expected, name);

/** @param {Phone} phone */
async function openRooms(phone) {
  await phone.press('Settings');
  await phone.press('Rooms');
}

/** @param {Phone} phone @param {string} name @param {string} [password] */
async function makeRoom(phone, name, password) {
  await phone.page.getByLabel('Room name').fill(name);
  if (password) await phone.page.locator('#rooms-new').getByLabel('Password').fill(password);
  await phone.press('New room');
  await phone.page.getByRole('button', { name: `Enter ${name}` }).waitFor();
}

/** Enters a room from the sheet, which is open. @param {Phone} phone @param {string} name */
async function enter(phone, name) {
  await phone.press(`Enter ${name}`);
  await waitForRoomName(phone, name);
}

/** Joins by the code that another phone in the room shows. @param {Phone} phone @param {Phone} inviting @param {string} name */
async function joinByInvitation(phone, inviting, name) {
  await inviting.press('Invite');
  const [address, code] = await inviting.waitFor('the invitation', () => {
    const texts = ['#invite-address', '#invite-code.digits'].map((selector) => document.querySelector(selector)?.textContent);
    return texts.every(Boolean) && texts;
  });
  await inviting.page.keyboard.press('Escape');
  await phone.page.goto(`http://${address}`);
  await phone.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
  await phone.page.getByLabel('Pairing code').fill(code);
  await phone.page.getByLabel('Your name').fill(name);
  await phone.page.getByRole('button', { name: 'Join' }).click();
  await phone.waitFor('the room view', () => !document.querySelector('#room-view').hidden);
}

/**
 * Waits until the first phone is in step with the others, and reports how long that took.
 * @param {import('node:test').TestContext} t
 * @param {Phone[]} phones
 */
async function waitForStep(t, phones) {
  const fromMs = performance.now();
  await phones[0]?.waitForStatus('in step');
  t.diagnostic(`in step after ${((performance.now() - fromMs) / 1_000).toFixed(1)} s`);
  // The status tells the accuracy; the element's silence starts later than the music on a busy machine.
  await waitForSameTrackStart(phones, { toleranceSec: 1 });
}

test('five phones in two rooms move, press and restart independently', async (t) => {
  const server = await startServer({ fill: tones(TRACKS) });
  t.after(server.remove);
  /** @type {Phone[]} */
  const phones = [];
  t.after(() => Promise.all(phones.map((phone) => phone.close())));
  const open = async () => {
    const phone = await openPhone(browser, server.url());
    phones.push(phone);
    return phone;
  };
  await screenshotOnFailure(t.name, () => phones, async () => {
    const [ada, ben, cleo, dan, eve] = await Promise.all([open(), open(), open(), open(), open()]);
    await ada.join('Ada');
    await ben.join('Ben');
    await cleo.join('Cleo');
    await Promise.all([ada, ben, cleo].map((phone) => phone.waitForStoredTracks(3)));
    assert.equal(await ada.evaluate(() => document.querySelector('#room-name').hidden), true, 'a house with one room names none');

    // Made by Ada, who enters it; music in both rooms.
    await openRooms(ada);
    await makeRoom(ada, 'Garden');
    await enter(ada, 'Garden');
    const gardenUrl = ada.page.url();
    assert.match(gardenUrl, /\/rooms\/[^/]+\/$/);
    await waitForRoomName(cleo, 'House');
    await cleo.press('Play');
    await ada.press('Next');
    await ada.waitForTitle('Beta Waltz');
    await Promise.all([ada.waitForPlayback(), cleo.waitForPlayback(), ben.waitForPlayback()]);
    assert.equal(await cleo.title(), 'Alpha Dance');

    // By code: a new phone joins the garden at its address.
    await joinByInvitation(dan, ada, 'Dan');
    assert.equal(dan.page.url(), gardenUrl);
    await waitForRoomName(dan, 'Garden');
    await dan.waitForTitle('Beta Waltz');
    await waitForStep(t, [dan, ada]);

    // By password, in mid-song: what the phone has stored is not fetched again.
    await ada.page.getByRole('button', { name: 'Room: Garden' }).click();
    await ada.page.getByText('Change Garden').click();
    await ada.page.getByLabel('Password').fill(PASSWORD);
    await ada.press('Lock');
    await ada.page.getByRole('button', { name: 'Unlock' }).waitFor();
    await ada.page.keyboard.press('Escape');
    /** @type {string[]} */
    const fetchedFiles = [];
    ben.page.on('request', (request) => request.url().includes('/file/') && fetchedFiles.push(request.url()));
    await openRooms(ben);
    await ben.press('Enter Garden');
    await ben.page.locator('#rooms-list').getByLabel('Password').fill('close sesame');
    await ben.press('Enter Garden');
    await ben.page.getByText('That is not the password').waitFor();
    await ben.page.locator('#rooms-list').getByLabel('Password').fill(PASSWORD);
    await enter(ben, 'Garden');
    await waitForStep(t, [ben, ada]);
    await ada.waitForListener('Ben');

    // Each room's music is untouched by the other's presses.
    await eve.join('Eve');
    await eve.press('Next');
    await Promise.all([cleo, eve].map((phone) => phone.waitForTitle('Beta Waltz')));
    await ada.press('Next');
    await Promise.all([ada, ben, dan].map((phone) => phone.waitForTitle('Gamma March')));
    await dan.press('Pause');
    await Promise.all([ada, ben, dan].map((phone) => phone.waitForSilence()));
    await Promise.all([cleo, eve].map((phone) => phone.waitForPlayback()));
    assert.equal(await cleo.title(), 'Beta Waltz');
    await ada.press('Play');
    await ada.waitForPlayback();

    // Back leads to the room before, and forward again needs no password.
    await ben.page.goBack();
    await waitForRoomName(ben, 'House');
    assert.equal(ben.page.url(), server.url());
    await waitForStep(t, [ben, cleo]);
    await ben.page.goForward();
    await waitForRoomName(ben, 'Garden');
    await waitForStep(t, [ben, ada]);
    assert.deepEqual(fetchedFiles, []);

    // After a restart everybody is where they were.
    await server.kill();
    await server.start();
    await Promise.all(phones.map((phone) => phone.waitForPlayback()));
    await waitForSameTrackStart([ada, ben, dan], { toleranceSec: 1 });
    await waitForSameTrackStart([cleo, eve], { toleranceSec: 1 });
    assert.deepEqual(await Promise.all([ada, ben, cleo, dan, eve].map((phone) => phone.title())), ['Gamma March', 'Gamma March', 'Beta Waltz', 'Gamma March', 'Beta Waltz']);
    await dan.page.reload();
    await waitForRoomName(dan, 'Garden');

    // A damaged room refuses alone.
    await server.stop();
    const folder = `${server.stateFile}.rooms`;
    const [file = ''] = (await readdir(folder)).filter((name) => name.endsWith('.json'));
    await writeFile(join(folder, file), 'damaged');
    await server.start();
    // A press without the server stays on the phone.
    await eve.waitForStatus('in step');
    await eve.press('Next');
    await Promise.all([cleo, eve].map((phone) => phone.waitForTitle('Gamma March')));
    await ada.waitFor('why the garden is away', () => /damaged/i.test(document.querySelector('[role=status]').textContent));
    await ada.page.getByRole('button', { name: 'Room: Garden' }).click();
    await enter(ada, 'House');
    await waitForStep(t, [ada, eve]);
    for (const phone of phones) assert.deepEqual(phone.errors, []);
  });
});

test('a removed room sends its phones to the house room', (t) =>
  withRoom(t, browser, { fill: tones(TRACKS), names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    await openRooms(ada);
    await makeRoom(ada, 'Garden');
    await enter(ada, 'Garden');
    await openRooms(ben);
    await enter(ben, 'Garden');
    await ada.page.getByRole('button', { name: 'Room: Garden' }).click();
    await ada.page.getByText('Change Garden').click();
    await ada.page.getByLabel('Room name').fill('Terrace');
    await ada.press('Rename');
    await waitForRoomName(ben, 'Terrace');
    await ada.press('Remove this room');
    await ada.press('Really remove?');
    for (const phone of [ada, ben]) {
      await phone.waitFor('the only room', () => document.querySelector('#room-name').hidden);
      assert.equal(new URL(phone.page.url()).pathname, '/');
    }
    await ben.page.getByText('That room no longer exists').waitFor();
    await ada.page.keyboard.press('Escape');
    await ada.press('Play');
    await Promise.all([ada.waitForPlayback(), ben.waitForPlayback()]);
  }));

test('a tab listens in one room at a time, and offers to come back', (t) =>
  withRoom(t, browser, { fill: tones(TRACKS), names: ['Ada'] }, async ([ada]) => {
    await ada.waitForStoredTracks(2);
    await ada.press('Play');
    await ada.waitForPlayback();
    await openRooms(ada);
    await makeRoom(ada, 'Garden');
    await ada.page.keyboard.press('Escape');
    const second = await phoneFromPage(await ada.page.context().newPage());
    await second.page.goto(ada.page.url());
    await second.waitForStatus('another tab has the sound');
    await openRooms(second);
    await enter(second, 'Garden');
    await second.press('Play');
    await second.waitForPlayback();
    await ada.waitForStatus('this phone listens in Garden');
    await ada.waitForSilence();
    await ada.press('Play here');
    await ada.waitForPlayback();
    await second.waitForStatus('this phone listens in House');
    await second.waitForSilence();
    assert.deepEqual(second.errors, []);
  }));

/**
 * Holds the requests of a phone to a path until they are let through.
 * @param {Phone} phone @param {(path: string) => boolean} isHeld
 */
async function holdRequests(phone, isHeld) {
  /** @type {(() => Promise<void>)[]} */
  const held = [];
  await phone.page.route((url) => isHeld(url.pathname), (route) => void held.push(() => route.continue()));
  return {
    waitForHeld: async () => {
      while (held.length === 0) await phone.page.waitForEvent('request', { timeout: 1_000 }).catch(() => {});
    },
    letThrough: async () => {
      const responded = phone.page.waitForResponse((response) => isHeld(new URL(response.url()).pathname));
      await Promise.all(held.splice(0).map((go) => go()));
      await (await responded).finished();
      // The page has read the body when its own request after it is answered.
      await phone.evaluate(() => fetch('./clock').then((response) => response.text()));
    },
  };
}

/** @param {Phone} phone @param {string} name */
const waitForAddressOf = (phone, name) => phone.waitFor(`the address of ${name}`, (roomId) => location.pathname === (roomId ? `/rooms/${roomId}/` : '/'), name);

test('the latest wish for a room wins over a slow earlier one', (t) =>
  withRoom(t, browser, { fill: tones(TRACKS), names: ['Ada'] }, async ([ada]) => {
    await openRooms(ada);
    await makeRoom(ada, 'Garden');
    await makeRoom(ada, 'Terrace');
    const idOf = (/** @type {string} */ name) =>
      ada.evaluate((wanted) => [...document.querySelectorAll('#rooms-list li')].find((item) => item.querySelector('.room-title')?.textContent === wanted)?.getAttribute('data-room') ?? '', name);
    const [garden, terrace] = [await idOf('Garden'), await idOf('Terrace')];

    // Enter a slow room, then another one.
    const slowGarden = await holdRequests(ada, (path) => path === `/rooms/${garden}/enter`);
    await ada.press('Enter Garden');
    await slowGarden.waitForHeld();
    await enter(ada, 'Terrace');
    await slowGarden.letThrough();
    await waitForAddressOf(ada, terrace);
    await waitForRoomName(ada, 'Terrace');

    // Back with a slow response, then Forward.
    const slowHouse = await holdRequests(ada, (path) => path === '/snapshot');
    await ada.page.goBack();
    await waitForAddressOf(ada, '');
    await slowHouse.waitForHeld();
    await ada.page.goForward();
    await waitForAddressOf(ada, terrace);
    await slowHouse.letThrough();
    await waitForRoomName(ada, 'Terrace');
    assert.equal(new URL(ada.page.url()).pathname, `/rooms/${terrace}/`);
    assert.deepEqual(ada.errors, []);
  }));

test('a damaged room says so, and a host of the house removes it', (t) =>
  withRoom(t, browser, { fill: tones(TRACKS), names: ['Ada', 'Ben'] }, async ([ada, ben], server) => {
    await openRooms(ada);
    await makeRoom(ada, 'Garden');
    await server.stop();
    const folder = `${server.stateFile}.rooms`;
    const [file = ''] = (await readdir(folder)).filter((name) => name.endsWith('.json'));
    await writeFile(join(folder, file), 'damaged');
    await server.start();
    await ada.page.locator('.room-unavailable p').getByText('A host of the house can remove the room.').waitFor();
    await ben.page.getByRole('button', { name: 'Room: House' }).click();
    const pressRefused = async (/** @type {string} */ label) => {
      await ben.page.getByRole('button', { name: label, exact: true, disabled: true }).click({ force: true });
      return ben.page.getByRole('alert').last().textContent();
    };
    // The name is in the file: without it, the room is named by its id.
    const name = file.replace('.json', '');
    assert.match((await pressRefused(`Enter ${name}`)) ?? '', /^The file of this room on the server is damaged/);
    assert.match((await pressRefused(`Remove ${name}`)) ?? '', /^Only hosts may do this, and there is no host yet/);
    // The first to choose rules becomes host.
    await ada.page.keyboard.press('Escape');
    await ada.press('Settings');
    await ada.press('Rules');
    await ada.press('Party');
    await ada.page.getByText('You are host').first().waitFor();
    await ada.page.keyboard.press('Escape');
    await ada.page.getByRole('button', { name: 'Room: House' }).click();
    await ada.press(`Remove ${name}`);
    await ada.press(`Really remove ${name}?`);
    for (const phone of [ada, ben]) await phone.waitFor('the only room', () => document.querySelectorAll('.room-row').length === 1);
    await ada.waitFor('the focus on the title of the sheet', () => document.activeElement?.id === 'rooms-title');
  }));

test('a room that opens late says so, and leads to the house', (t) =>
  withRoom(t, browser, { fill: tones(TRACKS), names: ['Ada', 'Ben'] }, async ([ada, ben], server) => {
    await openRooms(ada);
    await makeRoom(ada, 'Garden');
    await enter(ada, 'Garden');
    const url = ada.page.url();
    await server.stop();
    const folder = `${server.stateFile}.rooms`;
    const [file = ''] = (await readdir(folder)).filter((name) => name.endsWith('.json'));
    const path = join(folder, file);
    const state = await readFile(path);
    await rm(path);
    // The server waits for what this pipe brings.
    execFileSync('mkfifo', [path]);
    await server.start();
    await ada.page.goto(url);
    await ada.page.locator('#start-error').getByText('The room opens by itself.').waitFor();
    await ben.page.getByRole('button', { name: 'Room: House' }).click();
    await ben.page.locator('.room-unavailable p').getByText('The room opens by itself.').waitFor();
    const id = file.replace('.json', '');
    await ben.page.getByRole('button', { name: `Enter ${id}`, exact: true, disabled: true }).click({ force: true });
    assert.match((await ben.page.getByRole('alert').last().textContent()) ?? '', /^The server cannot read the file of this room yet/);
    assert.equal(await ben.page.getByRole('button', { name: `Remove ${id}` }).count(), 0);
    await ada.press('Go to House');
    await waitForRoomName(ada, 'House');
    assert.equal(new URL(ada.page.url()).pathname, '/');
    await writeFile(path, state);
    await ben.page.getByRole('button', { name: 'Enter Garden', exact: true, disabled: false }).waitFor();
    await enter(ben, 'Garden');
  }));

test('the address of a locked room asks for its password, or leads to the house', (t) =>
  withRoom(t, browser, { fill: tones(TRACKS), names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    await openRooms(ada);
    await makeRoom(ada, 'Garden', PASSWORD);
    await enter(ada, 'Garden');
    const url = ada.page.url();
    await ben.page.goto(url);
    await ben.page.getByText('Garden is locked').waitFor();
    await ben.press('Go to House');
    await waitForRoomName(ben, 'House');
    assert.equal(new URL(ben.page.url()).pathname, '/');
    await ben.page.goto(url);
    await ben.page.getByLabel('Password').fill('close sesame');
    await ben.press('Enter');
    await ben.page.getByText('That is not the password').waitFor();
    await ben.page.getByLabel('Password').fill(PASSWORD);
    await ben.press('Enter');
    await waitForRoomName(ben, 'Garden');

    // A phone can leave a room for the house, and then needs the password again.
    await ben.page.getByRole('button', { name: 'Room: Garden' }).click();
    await ben.page.getByText('Change Garden').click();
    await ben.press('Leave this room');
    await waitForRoomName(ben, 'House');
    assert.equal(new URL(ben.page.url()).pathname, '/');
    await ben.page.getByRole('button', { name: 'Room: House' }).click();
    await ben.press('Enter Garden');
    await ben.page.locator('#rooms-list').getByLabel('Password').waitFor();
    assert.equal(await ben.page.getByRole('button', { name: 'New room' }).isVisible(), true);
    await ben.press('Cancel');
    assert.equal(await ben.page.locator('#rooms-list').getByLabel('Password').count(), 0);
    await ben.page.getByRole('button', { name: 'Room: House' }).click();
    await ben.waitFor('the closed sheet', () => document.querySelector('#rooms-sheet').hidden && document.activeElement?.id === 'room-name');
    assert.deepEqual(ben.errors, []);
  }));

test('long names and titles of rooms fit on small windows', (t) =>
  withRoom(t, browser, { fill: tones({ 'A title that goes on and on and on without any end in sight': 60 }), names: ['Ada'] }, async ([ada]) => {
    await openRooms(ada);
    await makeRoom(ada, 'A room with a name that goes on and on');
    for (const [width, height] of [[320, 568], [390, 844], [667, 375], [1280, 800]]) {
      await ada.resize(width, height);
      assert.deepEqual(await ada.evaluate(layoutFaults), [], `${width}×${height}`);
      assert.deepEqual(await ada.evaluate(() => [...document.querySelectorAll('.room-row')].filter((row) => row.getBoundingClientRect().right > row.closest('#rooms-list').getBoundingClientRect().right + 1).length), 0);
    }
    await ada.page.keyboard.press('Escape');
    for (const [width, height] of [[320, 568], [667, 375]]) {
      await ada.resize(width, height);
      assert.deepEqual(await ada.evaluate(layoutFaults), [], `Now at ${width}×${height}`);
      assert.deepEqual(await ada.evaluate(unreachableElements), [], `Now at ${width}×${height}`);
    }
  }));
