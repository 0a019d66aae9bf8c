// House rules: who decides in a room, and how the others vote.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from '../support/phones.mjs';
import { album, taggedTones } from '../support/tagged-tones.mjs';
import { withRoom } from '../support/test-room.mjs';
import { tones } from '../support/tones.mjs';

/** @typedef {import('../support/phones.mjs').Phone} Phone */

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const ALBUMS = [
  ...album({ album: 'Dances', artist: 'The Lanterns', seconds: 90 }, ['Alpha Dance', 'Beta Waltz', 'Bay Samba', 'Calm Mambo']),
  ...album({ album: 'Ten', artist: 'Porch Quartet', seconds: 90 }, ['Gamma March', 'Delta Blues', 'Epsilon Rag', 'Zeta Swing', 'Eta Polka', 'Theta Jig', 'Iota Reel', 'Kappa Fox', 'Lambda Tango', 'Mu Bossa']),
];

const onAll = (/** @type {Phone[]} */ phones, /** @type {(phone: Phone) => Promise<unknown>} */ step) => Promise.all(phones.map(step));
const button = (/** @type {Phone} */ phone, /** @type {string} */ name) => phone.page.getByRole('button', { name, exact: true });

/** Presses a button that is shown as disabled, which Playwright would wait for. */
const pressDisabled = async (/** @type {Phone} */ phone, /** @type {string} */ name) => {
  await phone.page.getByRole('button', { name, exact: true, disabled: true }).click({ force: true });
};
const waitForToast = (/** @type {Phone} */ phone, /** @type {string} */ text) =>
  phone.waitFor(`the message “${text}”`, (expected) => [...document.querySelectorAll('.toast[role=alert]')].some((toast) => toast.textContent.trim() === expected), text);
const waitForHappening = (/** @type {Phone} */ phone, /** @type {string} */ text) =>
  phone.waitFor(`the sentence “${text}”`, (expected) => document.querySelector('.has-happening #now-happening')?.textContent === expected, text);
const waitForDjText = (/** @type {Phone} */ phone, /** @type {string} */ text) =>
  phone.waitFor(`the line “${text}”`, (expected) => document.querySelector('#dj-line:not([hidden]) #dj-text:not([hidden]) .text')?.textContent === expected, text);
/** Waits for the votes on a button, such as `2/5`. */
const waitForTally = (/** @type {Phone} */ phone, /** @type {string} */ name, /** @type {string} */ tally) =>
  phone.waitFor(`${tally} at “${name}”`, (label, expected) => [...document.querySelectorAll('button')].find((element) => (element.ariaLabel ?? element.textContent) === label)?.parentElement.querySelector('.tally')?.textContent === expected, name, tally);

async function openRules(/** @type {Phone} */ phone) {
  await phone.press('Settings');
  if ((await button(phone, 'Rules').getAttribute('aria-expanded')) === 'false') await phone.press('Rules');
}

/** Closes the sheet of the settings. */
const closeSheet = (/** @type {Phone} */ phone) => phone.page.keyboard.press('Escape');

/** Chooses a preset; who does so first becomes host. */
async function choosePreset(/** @type {Phone} */ phone, /** @type {'Friends' | 'Party' | 'DJ' | 'Jukebox'} */ preset) {
  await openRules(phone);
  await phone.press(preset);
  await phone.waitFor(`the preset ${preset}`, (name) => document.querySelector('#rules-preset').textContent === name, preset);
  await closeSheet(phone);
}

/** Waits until the server's room has a value for a member, such as `dj`. */
const waitForRoom = (/** @type {Phone} */ phone, /** @type {string} */ field, /** @type {unknown} */ value) =>
  phone.waitFor(`${field} ${JSON.stringify(value)}`, async (name, expected) => JSON.stringify((await (await fetch('/snapshot')).json())[name]) === JSON.stringify(expected), field, value);

/** Waits for the first four picks, each with the text of a part of its row. */
const waitForFirstPicks = (/** @type {Phone} */ phone, /** @type {string} */ part, /** @type {string} */ expected) =>
  phone.waitFor(`the picks ${expected}`, (selector, texts) => {
    const rows = [...document.querySelectorAll('#panel-queue .row[data-place=pick]:not([hidden])')].sort((a, b) => Number(a.getAttribute('aria-posinset')) - Number(b.getAttribute('aria-posinset')));
    return rows.slice(0, 4).map((row) => `${row.querySelector('.title').textContent} ${row.querySelector(selector).textContent}`).join() === texts;
  }, part, expected);

test('a DJ is made, hands over, is voted out and cools down', (t) =>
  withRoom(t, browser, { fill: tones({ 'Alpha Dance': 90, 'Beta Waltz': 90 }), names: ['Ada', 'Ben', 'Cem', 'Dee'] }, async (phones) => {
    const [ada, ben, cem, dee] = /** @type {[Phone, Phone, Phone, Phone]} */ (phones);
    await openRules(ada);
    await ada.waitFor('the note', () => document.querySelector('#rules-note').textContent === 'There is no host. The first to change a rule becomes host.');
    await closeSheet(ada);
    await choosePreset(ada, 'DJ');
    await onAll(phones, (phone) => waitForDjText(phone, 'There is no DJ'));
    // Without a DJ, everyone may control.
    await button(cem, 'Play').click({ trial: true });
    await ada.press('Make Ben DJ');
    await onAll([ada, cem, dee], (phone) => waitForDjText(phone, 'Ben is DJ'));
    await waitForDjText(ben, 'You are DJ');
    await waitForHappening(cem, 'Ben is DJ now');

    // What a guest may not do is shown before the press, by keyboard too.
    await pressDisabled(cem, 'Play');
    await waitForToast(cem, 'Ben is DJ');
    await pressDisabled(cem, 'Make Dee DJ');
    assert.equal(await cem.evaluate(() => document.getElementById(document.querySelector('#next').getAttribute('aria-describedby')).textContent), 'Ben is DJ');
    /** @type {string[]} */
    const seeks = [];
    cem.page.on('request', (request) => request.url().endsWith('/seek') && seeks.push(request.url()));
    await cem.page.getByRole('slider', { name: 'Position' }).focus();
    await cem.page.keyboard.press('ArrowRight');
    await ben.press('Play');
    await onAll(phones, (phone) => phone.waitForPlayback());
    assert.deepEqual(seeks, [], 'the arrow key has moved the position');

    // Ben hands over.
    await ben.press('Make Cem DJ');
    await waitForDjText(cem, 'You are DJ');
    await waitForDjText(ben, 'Cem is DJ');
    await waitForHappening(cem, 'You are DJ now');
    await cem.press('Pause');
    await ben.waitForPlayButton('Play');

    // Two of four are half of the listeners.
    await ada.press('Vote Cem out');
    await waitForTally(dee, 'Vote Cem out', '1/4');
    await ada.press('Vote Cem out');
    await waitForTally(dee, 'Vote Cem out', '0/4');
    await ada.press('Vote Cem out');
    await waitForTally(dee, 'Vote Cem out', '1/4');
    await dee.press('Vote Cem out');
    await onAll(phones, (phone) => waitForDjText(phone, 'There is no DJ'));
    await waitForHappening(dee, 'Cem is no longer DJ');
    await waitForHappening(cem, 'You are no longer DJ');
    await dee.waitForListener('^CCem .*removed');

    // He is not elected while he cools down; somebody else is.
    await pressDisabled(ada, 'Vote for Cem');
    await waitForToast(ada, 'Cem was removed, and can be DJ again in 5 min');
    await onAll([ada, dee], (phone) => phone.press('Vote for Dee'));
    await waitForDjText(dee, 'You are DJ');
    await waitForHappening(ben, 'Dee was elected DJ');
    await pressDisabled(ben, 'Make Cem DJ');
    await pressDisabled(dee, 'Make Cem DJ');
    await waitForToast(dee, 'Cem was removed, and can be DJ again in 5 min');
    await dee.press('Step down');
    await onAll(phones, (phone) => waitForDjText(phone, 'There is no DJ'));
    assert.equal(await dee.evaluate(() => document.activeElement.id), 'panel-now', 'the focus is not lost with the button');

    // A DJ who is away stays listed, also for a phone that has never seen it, and is told on the Queue tab when that ends.
    await ada.press('Make Ben DJ');
    await waitForDjText(dee, 'Ben is DJ');
    await ben.page.goto('about:blank');
    await dee.cdp.send('Page.reload');
    await dee.waitForListener('^BBen .*away');
    await dee.press('Vote Ben out');
    await waitForTally(ada, 'Vote Ben out', '1/3');
    await cem.openTab('Queue');
    await ada.press('Remove Ben as DJ');
    await ada.press('Really remove Ben as DJ?');
    await onAll([ada, dee], (phone) => waitForDjText(phone, 'There is no DJ'));
    await waitForToast(cem, 'Ben is no longer DJ');
    await cem.openTab('Now');
    await openRules(ada);
    await ada.press('Random DJ');
    await ada.waitFor('a DJ by lot', async () => ['m1', 'm4'].includes((await (await fetch('/snapshot')).json()).dj));
  }));

test('controls of a party have their accessible names', (t) =>
  withRoom(t, browser, { fill: tones({ 'Alpha Dance': 90, 'Beta Waltz': 90 }), names: ['Ada', 'Ben'] }, async ([ada, ben]) => {
    const waitForNames = async (/** @type {'button' | 'textbox'} */ role, /** @type {string[]} */ names) => {
      for (const name of names) await ada.page.getByRole(role, { name, exact: true }).waitFor();
    };
    await choosePreset(ada, 'DJ');
    await openRules(ada);
    await ada.page.getByLabel('Skipping together').selectOption('0.5');
    await closeSheet(ada);
    await waitForNames('button', ['Vote to skip', 'Make Ada DJ', 'Make Ben DJ', 'Vote for Ada', 'Vote for Ben', 'Make Ben host', 'Chat', 'React']);
    await ada.press('Chat');
    await waitForNames('textbox', ['Message']);
    await waitForNames('button', ['Send']);
    await closeSheet(ada);
    await ada.press('Settings');
    await waitForNames('button', ['Rules', 'Rooms', 'Big screen']);
    await ada.press('Rooms');
    await waitForNames('button', ['New room']);
    await waitForNames('textbox', ['Room name']);
    await ada.page.getByLabel('Room name', { exact: true }).fill('Garden');
    await ada.page.getByLabel('Password', { exact: true }).fill('tomato');
    await ada.press('New room');
    await waitForNames('button', ['Enter Garden']);
    await closeSheet(ada);

    // Hosts make hosts where the other buttons of a listener are.
    await button(ben, 'Vote for Ada').waitFor();
    assert.equal(await button(ben, 'Make Ada host').count(), 0);
    await ada.press('Make Ben host');
    await waitForRoom(ada, 'hosts', ['m1', 'm2']);
    await button(ben, 'Remove as host: Ada').waitFor();
    await ada.press('Remove as host: Ben');
    await waitForRoom(ada, 'hosts', ['m1']);
  }));

test('three of five skip, in turns and by votes, and rules survive a restart', (t) =>
  withRoom(t, browser, { fill: taggedTones(ALBUMS), names: ['Ada', 'Ben', 'Cem', 'Dee', 'Eli'] }, async (phones, server) => {
    const [ada, ben, cem, dee, eli] = /** @type {[Phone, Phone, Phone, Phone, Phone]} */ (phones);
    await choosePreset(ada, 'Party');
    await openRules(ada);
    await pressDisabled(ada, 'Stop being host');
    await waitForToast(ada, 'You are the only host. Choose the preset “Friends” first, or make another person host.');
    await closeSheet(ada);
    await ben.waitFor('who controls', () => document.querySelector('#control-text:not([hidden])')?.textContent === 'Ada controls the music');
    await onAll([ben, cem], (phone) => phone.waitFor('the vote to skip', () => !document.querySelector('#skip-box').hidden));
    await cem.press('Vote to skip');
    await onAll([cem, eli], (phone) => waitForTally(phone, 'Vote to skip', '1/5'));
    await cem.waitFor('the number needed', () => document.querySelector('#skip-box .needed').textContent === '3 needed');
    await dee.press('Vote to skip');
    await waitForTally(ben, 'Vote to skip', '2/5');
    assert.equal(await button(cem, 'Vote to skip').getAttribute('aria-pressed'), 'true');
    await cem.press('Vote to skip');
    await waitForTally(ben, 'Vote to skip', '1/5');
    await cem.press('Vote to skip');
    await waitForTally(eli, 'Vote to skip', '2/5');
    await eli.press('Vote to skip');
    await onAll(phones, (phone) => phone.waitForTitle('Beta Waltz'));
    await onAll([ada, eli], (phone) => waitForHappening(phone, 'Alpha Dance was skipped by votes'));
    await waitForTally(ben, 'Vote to skip', '0/5');

    // Paused, so that the order stays as it is.
    await ada.press('Pause');
    await eli.waitForPlayButton('Play');

    // One adds as many as the rules allow, and two add one each.
    await openRules(ada);
    await ada.page.getByLabel('Tracks per person').selectOption('10');
    await ada.page.getByLabel('Inviting').selectOption('hosts');
    await ada.press('New pairing code');
    await waitForToast(ada, 'The pairing code was set when the server was started, so it cannot be changed');
    await ada.page.route('**/code/renew', (route) => route.fulfill({ json: { code: '271828' } }));
    await ada.press('New pairing code');
    await ada.waitFor('the new code', () => document.querySelector('#rules-code').textContent === 'The new code is 271828. The earlier one is no longer valid.');
    await closeSheet(ada);
    await eli.press('Invite');
    await eli.waitFor('who has the code', () => document.querySelector('#invite-code').textContent === 'Ask a host for the code: Ada');
    await closeSheet(eli);
    await onAll(phones, (phone) => phone.openTab('Queue'));
    await ben.openSegment('Albums');
    await ben.page.getByRole('button', { name: 'Ten' }).click();
    await ben.press('Add album');
    await ben.waitFor('ten picks', async () => (await (await fetch('/snapshot')).json()).picks.length === 10);
    await pressDisabled(ben, 'Add album');
    await waitForToast(ben, 'Each person may have 10 tracks waiting');
    await cem.openSegment('Songs');
    await cem.press('Add Bay Samba');
    await dee.openSegment('Songs');
    await dee.press('Add Calm Mambo');
    await onAll([cem, dee, ben], (phone) => phone.openSegment('Up next'));
    await onAll([ada, cem, eli], (phone) => waitForFirstPicks(phone, '.by-name', 'Gamma March Ben,Bay Samba Cem,Calm Mambo Dee,Delta Blues Ben'));

    // Nobody moves tracks, a guest cannot put one first, and a host pins.
    assert.equal(await ada.page.getByRole('button', { name: 'Move Bay Samba' }).count(), 0);
    await ada.waitFor('why', () => [...document.querySelectorAll('.list-header .note')].some((note) => note.textContent === 'Added tracks play in turns, so they cannot be moved'));
    await eli.press('More for Delta Blues');
    await pressDisabled(eli, 'Play Delta Blues next');
    await waitForToast(eli, 'Ada is host, and only hosts may do this');
    await pressDisabled(eli, 'Remove Delta Blues');
    await waitForToast(eli, 'Another person added this: only Ada may change it');
    await closeSheet(eli);
    await ada.press('More for Calm Mambo');
    await ada.press('Play Calm Mambo next');
    await cem.waitFor('the pin', () => document.querySelector('.row.next .pin:not([hidden])')?.closest('.row').querySelector('.title').textContent === 'Calm Mambo');

    // Votes reorder.
    await choosePreset(ada, 'Jukebox');
    await onAll([cem, eli], (phone) => phone.press('Vote up Epsilon Rag'));
    await dee.press('Vote up Zeta Swing');
    await onAll([ada, cem, eli], (phone) => waitForFirstPicks(phone, '.tally', 'Calm Mambo 0,Epsilon Rag 2,Zeta Swing 1,Gamma March 0'));
    await eli.press('Vote up Epsilon Rag');
    await dee.press('Vote up Gamma March');
    await onAll([ada, cem], (phone) => waitForFirstPicks(phone, '.tally', 'Calm Mambo 0,Gamma March 1,Epsilon Rag 1,Zeta Swing 1'));

    // Rules, hosts and votes survive a restart.
    await eli.openTab('Now');
    await eli.press('Vote to skip');
    await waitForRoom(eli, 'skipVotes', ['m5']);
    await server.stop();
    await server.start();
    await onAll(phones, (phone) => phone.waitFor('the room', () => !document.querySelector('[role=status]').textContent.includes('reconnecting')));
    await onAll([ada, cem], (phone) => waitForFirstPicks(phone, '.tally', 'Calm Mambo 0,Gamma March 1,Epsilon Rag 1,Zeta Swing 1'));
    await waitForTally(eli, 'Vote to skip', '1/5');
    await openRules(eli);
    await eli.waitFor('the rules, read-only', () =>
      document.querySelector('#rules-note').textContent === 'Only hosts change the rules: Ada' && document.querySelector('#rules-preset').textContent === 'Jukebox' && [...document.querySelectorAll('.rule select')].every((select) => select.disabled));
    await pressDisabled(eli, 'Friends');
    await waitForToast(eli, 'Ada is host, and only hosts may do this');

    // The host leaves, and another one takes over.
    await eli.page.getByText('Other phones').click();
    await eli.page.getByRole('button', { name: 'Remove Ben', exact: true, disabled: true }).waitFor();
    await openRules(ada);
    await ada.page.getByRole('button', { name: 'Leave', exact: true }).click();
    await cem.openTab('Now');
    await cem.waitFor('who may control', () => document.querySelector('#control-text:not([hidden])')?.textContent.endsWith('The first to change a rule becomes host.'));
    for (const [width, height] of /** @type {const} */ ([[390, 844], [320, 568]])) {
      await cem.page.setViewportSize({ width, height });
      const isCutOff = await cem.evaluate(() => {
        const { scrollHeight, clientHeight, scrollWidth, clientWidth } = document.querySelector('#control-text');
        return scrollHeight > clientHeight || scrollWidth > clientWidth;
      });
      assert.equal(isCutOff, false, `the sentence at ${width} px`);
    }
    await eli.waitFor('no host', () => document.querySelector('#rules-note').textContent === 'There is no host. The first to change a rule becomes host.');
    await eli.press('Friends');
    await waitForRoom(eli, 'hosts', ['m5']);
    await onAll([ben, cem, dee], (phone) => button(phone, 'Next').click({ trial: true }));
    await eli.press('Make host: Ben');
    await waitForHappening(ben, 'You are host now');
    await waitForRoom(eli, 'hosts', ['m2', 'm5']);
    await eli.press('Stop being host');
    await waitForRoom(eli, 'hosts', ['m2']);
  }));
