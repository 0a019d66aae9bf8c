// Accessibility of every view (axe-core, both themes), focus, keyboard scrolling, forced colours, and escaping of titles.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { openBrowser, openPhone, screenshotOnFailure } from '../support/phones.mjs';
import { DEMO_MUSIC, PAIRING_CODE, copyMusicFrom, startServer } from '../support/server.mjs';
import { tone } from '../support/tones.mjs';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/**
 * Violations that axe-core reports, as `theme: rule: element`: of all rules in the dark theme, and of the contrast in the light one, as
 * the other rules do not depend on colours. Waits for animations, because fading text has too little contrast.
 */
async function axeViolations(/** @type {import('../support/phones.mjs').Phone} */ phone) {
  const areAnimationsFinished = () => document.getAnimations().every((animation) => animation.playState !== 'running' || animation.effect.getTiming().iterations === Infinity);
  const violations = [];
  for (const colorScheme of /** @type {const} */ (['dark', 'light'])) {
    await phone.page.emulateMedia({ colorScheme });
    await phone.waitFor('the end of all animations', areAnimationsFinished);
    await phone.cdp.send('Runtime.evaluate', { expression: AXE });
    violations.push(...(await phone.evaluate(async (theme) => {
      const options = { resultTypes: ['violations'], ...(theme === 'light' && { runOnly: ['color-contrast'] }) };
      const { violations } = await globalThis.axe.run(document, options);
      return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${theme}: ${id}: ${html.slice(0, 120)}`));
    }, colorScheme)));
  }
  await phone.page.emulateMedia({ colorScheme: 'dark' });
  return violations;
}

test('axe-core reports no violation in any view, dark or light', async (t) => {
  const browser = await openBrowser();
  t.after(() => browser.close());
  const server = await startServer({ fill: copyMusicFrom(DEMO_MUSIC), flags: ['--tls'] });
  t.after(server.remove);
  const ada = await openPhone(browser, server.url());
  await screenshotOnFailure(t.name, () => [ada], async () => {
    await ada.waitFor('the pairing code', () => document.querySelector('#join-code').value.length === 6);
    assert.deepEqual(await axeViolations(ada), [], 'violations in the view Join');
    await ada.join('Ada');
    await ada.waitForStoredTracks(2);
    assert.deepEqual(await axeViolations(ada), [], 'violations in the view Now while paused');
    await ada.press('Play');
    await ada.waitForStatus('in step');
    assert.deepEqual(await axeViolations(ada), [], 'violations in the view Now while playing');
    await ada.press('React');
    await ada.page.getByRole('button', { name: '🔥' }).click();
    assert.deepEqual(await axeViolations(ada), [], 'violations in the reactions');
    await ada.page.keyboard.press('Escape');
    await ada.press('Chat');
    assert.deepEqual(await axeViolations(ada), [], 'violations in the empty chat');
    const guest = await (await fetch(`${server.url('127.0.0.1')}pair`, { method: 'POST', body: JSON.stringify({ code: PAIRING_CODE, clientName: 'Ben' }) })).json();
    await fetch(`${server.url('127.0.0.1')}chat`, { method: 'POST', headers: { Authorization: `Bearer ${guest.clientId}` }, body: JSON.stringify({ text: 'Hello' }) });
    await ada.page.getByLabel('Message', { exact: true }).fill('Hello, too');
    await ada.press('Send');
    await ada.waitFor('the messages', () => document.querySelectorAll('.message').length === 2);
    assert.deepEqual(await axeViolations(ada), [], 'violations in the chat');
    await ada.page.keyboard.press('Escape');
    await ada.openTab('Queue');
    assert.deepEqual(await axeViolations(ada), [], 'violations in the view Queue');
    await ada.page.locator('#upload-files').setInputFiles({ name: 'Ringtone.zip', mimeType: 'application/zip', buffer: Buffer.alloc(50) });
    await ada.waitFor('the refused upload', () => document.querySelector('.upload.failed'));
    // This request is never answered.
    await ada.page.route('**/uploads/*', () => {});
    await ada.page.locator('#upload-files').setInputFiles({ name: 'Song.mp3', mimeType: 'audio/mpeg', buffer: Buffer.alloc(5_000) });
    await ada.waitFor('an upload under way', () => document.querySelector('.upload-bar:not([hidden])'));
    assert.deepEqual(await axeViolations(ada), [], 'violations in the view Queue with uploads');
    await ada.page.getByRole('searchbox', { name: 'Filter' }).fill('no such track');
    assert.deepEqual(await axeViolations(ada), [], 'violations in the view Queue without a matching track');
    await ada.page.getByRole('searchbox', { name: 'Filter' }).fill('the');
    assert.deepEqual(await axeViolations(ada), [], 'violations in search results');
    await ada.page.getByRole('searchbox', { name: 'Filter' }).fill('');
    await ada.openSegment('Songs');
    await ada.page.getByRole('button', { name: /^Add / }).first().click();
    assert.deepEqual(await axeViolations(ada), [], 'violations in the segment Songs with a bubble');
    await ada.page.getByRole('button', { name: /^More for / }).last().click();
    assert.deepEqual(await axeViolations(ada), [], 'violations in the menu of a track');
    await ada.page.keyboard.press('Escape');
    for (const segment of /** @type {const} */ (['Artists', 'Playlists', 'Albums', 'Up next'])) {
      await ada.openSegment(segment);
      assert.deepEqual(await axeViolations(ada), [], `violations in the segment ${segment}`);
    }
    await ada.openSegment('Albums');
    await ada.page.locator('.album-card').first().click();
    assert.deepEqual(await axeViolations(ada), [], 'violations in the page of an album');
    for (const sheet of ['Invite', 'Settings']) {
      await ada.press(sheet);
      if (sheet === 'Settings') for (const details of ['Sync figures', 'Install on this phone']) await ada.page.getByText(details).click();
      assert.deepEqual(await axeViolations(ada), [], `violations in the sheet ${sheet}`);
      await ada.page.keyboard.press('Escape');
    }
    await ada.press('Settings');
    await ada.press('Rules');
    await ada.press('DJ');
    await ada.page.getByLabel('Skipping together').selectOption('0.5');
    await ada.page.getByLabel('Order').selectOption('votes');
    assert.deepEqual(await axeViolations(ada), [], 'violations in the rules');
    await ada.page.keyboard.press('Escape');
    await ada.openSegment('Up next');
    assert.deepEqual(await axeViolations(ada), [], 'violations in the view Queue with votes');
    await ada.openTab('Now');
    await ada.press('Make Ada DJ');
    await ada.press('Vote to skip');
    assert.deepEqual(await axeViolations(ada), [], 'violations in the view Now with a DJ');
    const ben = await openPhone(browser, server.url());
    await ben.join('Ben');
    await ben.press('Settings');
    await ben.press('Rules');
    assert.deepEqual(await axeViolations(ben), [], 'violations in the rules for a guest');
    await ben.page.keyboard.press('Escape');
    assert.deepEqual(await axeViolations(ben), [], 'violations in the view Now for a guest');
    await ada.press('Settings');
    await ada.press('Rooms');
    await ada.page.getByLabel('Room name').fill('Garden');
    await ada.press('New room');
    await ada.press('Enter Garden');
    await ada.page.getByRole('button', { name: 'Room: Garden' }).click();
    assert.deepEqual(await axeViolations(ada), [], 'violations in the sheet Rooms');
    await ada.page.getByText('Change Garden').click();
    assert.deepEqual(await axeViolations(ada), [], 'violations in the changes of a room');
    await ada.page.keyboard.press('Escape');
    await ada.press('Settings');
    await ada.press('Big screen');
    await ada.waitFor('the code', () => document.querySelector('#screen-code').textContent !== '');
    assert.deepEqual(await axeViolations(ada), [], 'violations in the big screen');
  });
});

test('markup in a title is shown as text in every view', async (t) => {
  const markup = '<img src=x onerror=alert(1)>';
  const browser = await openBrowser();
  t.after(() => browser.close());
  const server = await startServer({
    fill: (folder) => Promise.all([`${markup}.wav`, `${markup}2.wav`].map((name, i) => writeFile(join(folder, name), tone(20 + i)))),
  });
  t.after(server.remove);
  const ada = await openPhone(browser, server.url());
  await screenshotOnFailure(t.name, () => [ada], async () => {
    let dialogCount = 0;
    ada.page.on('dialog', (dialog) => {
      dialogCount += 1;
      dialog.dismiss();
    });
    await ada.join(markup);
    await ada.waitForStoredTracks(2);
    await ada.waitForTitle(markup);
    await ada.openTab('Queue');
    await ada.waitFor('the rows', () => document.querySelector('[aria-current=true]'));
    const texts = () => ['#now-title', '#now-next', '#dock-title', '[aria-current=true] .title', '.listener .member-name'].map((selector) => document.querySelector(selector).textContent);
    assert.deepEqual(await ada.evaluate(texts), [markup, `${markup}2`, markup, markup, markup]);
    assert.equal(await ada.page.title(), `${markup} · Lockstep`);
    await ada.press('Settings');
    assert.equal(await ada.page.getByLabel('Name', { exact: true }).inputValue(), markup);
    assert.equal(await ada.evaluate(() => document.querySelectorAll('img[src=x]').length), 0);
    assert.equal(dialogCount, 0);
  });
});

test('focus moves to a visible element when the focused element disappears', async (t) => {
  const browser = await openBrowser();
  t.after(() => browser.close());
  const server = await startServer({ fill: copyMusicFrom(DEMO_MUSIC) });
  t.after(server.remove);
  const ada = await openPhone(browser, server.url());
  await screenshotOnFailure(t.name, () => [ada], async () => {
    const waitForFocus = (/** @type {string} */ id) => ada.waitFor(`the element ${id} to be focused and visible`, (expected) => document.activeElement.id === expected && document.activeElement.checkVisibility(), id);
    const { keyboard } = ada.page;
    await waitForFocus('join-code');
    await ada.page.getByLabel('Pairing code').fill(PAIRING_CODE);
    await ada.page.getByLabel('Your name').fill('Ada');
    await keyboard.press('Enter');
    await waitForFocus('room-title');
    await ada.waitForStoredTracks(2);
    await ada.press('Play');
    await ada.waitForPlayback();
    await ada.cdp.send('Page.reload');
    // A click to focus the button would be a user gesture.
    await ada.waitFor('the button “Tap to rejoin” to be focused', () => {
      const button = document.querySelector('#unlock-sound');
      button.focus();
      return document.activeElement === button;
    });
    await keyboard.press('Enter');
    await ada.waitForPlayback();
    await waitForFocus('play');
    await ada.press('Settings');
    await ada.page.getByRole('button', { name: 'Leave' }).focus();
    await keyboard.press('Enter');
    await waitForFocus('join-code');
  });
});

test('scrollable areas are focusable and named', async (t) => {
  const browser = await openBrowser();
  t.after(() => browser.close());
  const server = await startServer({ fill: copyMusicFrom(DEMO_MUSIC) });
  t.after(server.remove);
  const ada = await openPhone(browser, server.url(), { isMobile: false, hasTouch: false, viewport: { width: 320, height: 400 } });
  await ada.join('Ada');
  await ada.page.getByRole('tabpanel', { name: 'Now' }).focus();
  await ada.page.keyboard.press('End');
  await ada.waitFor('the panel to scroll', () => document.activeElement.id === 'panel-now' && document.activeElement.scrollTop > 0);
  assert.equal(await ada.evaluate(() => getComputedStyle(document.activeElement).scrollbarWidth), 'auto');
  await ada.openTab('Queue');
  assert.equal(await ada.page.getByRole('group', { name: 'Tracks' }).count(), 1);
});

test('forced colours show the switch and the selected tab', async (t) => {
  const browser = await openBrowser();
  t.after(() => browser.close());
  const server = await startServer({ fill: copyMusicFrom(DEMO_MUSIC) });
  t.after(server.remove);
  const ada = await openPhone(browser, server.url());
  await ada.join('Ada');
  await ada.page.emulateMedia({ forcedColors: 'active' });
  await ada.press('Settings');
  const styles = await ada.evaluate(() => {
    const styleOf = (/** @type {string} */ selector, pseudo = '') => getComputedStyle(document.querySelector(selector), pseudo || null);
    return {
      track: styleOf('#settings-remote').borderTopStyle,
      knob: styleOf('#settings-remote', '::before').borderTopStyle,
      selectedTab: styleOf('#tab-now').textDecorationLine,
      otherTab: styleOf('#tab-queue').textDecorationLine,
    };
  });
  assert.deepEqual(styles, { track: 'solid', knob: 'solid', selectedTab: 'underline', otherTab: 'none' });
});
