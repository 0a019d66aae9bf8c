// Every view and sheet in two pseudo-languages: one with longer words, one with Arabic letters from right to left. Nothing overflows or
// is cut off, and every visible word is from the table of texts.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { cutTexts, layoutFaults, unreachableElements } from '../support/layout-checks.mjs';
import { openBrowser, phoneFromPage, screenshotOnFailure } from '../support/phones.mjs';
import { PSEUDO_LANGUAGES, foreignWords, accentedText, usePseudoLanguage } from '../support/pseudo-language.mjs';
import { PAIRING_CODE, startServer } from '../support/server.mjs';
import { album, taggedTones } from '../support/tagged-tones.mjs';

/** 42 tracks, because the strip of letters is shown only beside long lists. */
const ALBUMS = ['Harbour', 'Lichtung', 'Meridian', 'Nightfall', 'Orchard', 'Paper', 'Quartz'].map((name, i) =>
  album({ album: name, artist: `Band ${name}`, year: 2001 + i, seconds: 12, ...(i === 1 ? { disc: 2 } : {}) }, ['Alpha', 'Beta', 'Gamma', 'Delta', 'Epsilon', 'Zeta'].map((word) => `${word} ${name}`)));
const TRACKS = ALBUMS.flat();
/** What a person types, and the names of playlists. */
const USER_TEXTS = ['nothing', 'Friday', 'Harb'];
const CONTENT = [...TRACKS.flatMap(({ title, artist, album: name }) => [title, artist ?? '', name ?? '']), ...USER_TEXTS, 'Ada', 'Ben'];
const VIEWPORTS = [[320, 568], [390, 844], [1280, 800]];

async function fillWithPlaylist(/** @type {string} */ folder) {
  await taggedTones(TRACKS)(folder);
  await writeFile(join(folder, 'Friday.m3u'), 'Harbour/001.wav\nHarbour/002.wav\n');
}

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
before(async () => {
  browser = await openBrowser();
  server = await startServer({ fill: fillWithPlaylist, flags: ['--tls'] });
});
after(async () => {
  await browser.close();
  await server.remove();
});

/** Elements of states that are hard to reach, and are shown here without their state. */
const HIDDEN_ELEMENTS = ['#settings-limit-line', '#measure', '#measure-apply', '#start-now', '#unlock-sound', '#trim-line', '#invite-share', '#install-download', '#drop-target'];
/** Views that the page shows instead of the room. */
const OTHER_VIEWS = ['#start-error-view', '#migrating-view', '#migrated-view'];

/** The longest texts of the status line and of the warning. */
const LONG_STATES = [
  { '#status .text': 'status.noMoreSound', '#storage-warning': 'now.storageFull', '.listener .activity': 'activity.unable' },
  { '#status .text': 'status.notDownloaded', '#storage-warning': 'now.storageFailed', '.listener .activity': 'activity.silent' },
];

/** The server's address, which the big screen shows in parts. */
const addressParts = () => {
  const { host, hostname, port } = new URL(server.url());
  return [host, hostname, `:${port}`];
};

/** @param {import('../support/phones.mjs').Phone} phone @param {string} id */
const click = (phone, id) => phone.page.locator(id).click();

/** @param {import('../support/phones.mjs').Phone} phone */
async function joinRoom(phone) {
  await phone.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
  await phone.page.locator('#join-code').fill(PAIRING_CODE);
  await phone.page.locator('#join-name').fill('Ada');
  await click(phone, '#join-button');
  await phone.waitFor('the room view', () => !document.querySelector('#room-view').hidden);
}

/**
 * Opens every list, page, menu and message of the Queue tab.
 * @param {import('../support/phones.mjs').Phone} phone
 * @param {(view: string, sheet?: string, open?: () => Promise<void>) => Promise<void>} check
 */
async function checkQueue(phone, check) {
  /** Presses a button of the first row of a kind; in a small window, the rows from the library are below the picks. */
  const press = (/** @type {string} */ place, /** @type {string} */ action) =>
    phone.waitFor(`a button ${action}: ${place}`, (placeName, actionName) => {
      document.querySelector('#queue-scroller').scrollTop += placeName === 'ring' ? 20 : 0;
      const buttons = [...document.querySelectorAll(`.row[data-place=${placeName}] [data-action=${actionName}]`)];
      const button = buttons.find((candidate) => candidate.checkVisibility({ visibilityProperty: true }));
      button?.click();
      return Boolean(button);
    }, place, action);
  const countPicks = () => phone.evaluate(() => document.querySelectorAll('.row[data-place=pick]:not([hidden])').length);
  const earlierCount = await countPicks();
  for (const addedCount of [1, 2]) {
    await press('ring', 'add');
    await phone.waitFor('the added track', (count) => document.querySelectorAll('.row[data-place=pick]:not([hidden])').length >= count, earlierCount + addedCount);
  }
  await phone.waitFor('the bubble', () => document.querySelector('.bubble button:not([hidden])'));
  // A copy does not disappear.
  await phone.evaluate(() => {
    const bubble = document.querySelector('.bubble');
    bubble.replaceWith(bubble.cloneNode(true));
  });
  await check('Up next with a message');
  await phone.evaluate(() => document.querySelectorAll('.bubble').forEach((bubble) => bubble.remove()));
  for (const place of ['pick', 'ring']) {
    await check(`The menu of a track: ${place}`, '#track-menu', async () => {
      await phone.page.keyboard.press('Escape');
      // A click on the row would reach another one of its buttons.
      await press(place, 'more');
      await phone.waitFor('the menu', () => !document.querySelector('#track-menu').hidden && document.getAnimations().every((animation) => animation.playState !== 'running' || animation.effect.getTiming().iterations === Infinity));
    });
    await phone.page.keyboard.press('Escape');
  }
  await phone.evaluate(() => (document.querySelector('#queue-scroller').scrollTop = 0));
  await phone.waitFor('the played track', () => document.querySelector('.row[data-place=played]:not([hidden])'));
  await check('Up next with the history');
  for (const segment of ['albums', 'artists', 'songs', 'playlists']) {
    await click(phone, `#segment-${segment}`);
    await phone.page.locator('#queue-rows button:visible').first().waitFor();
    await check(segment);
    if (segment === 'songs') continue;
    await phone.page.locator('#queue-rows button:visible').first().click();
    await phone.waitFor('the page', () => !document.querySelector('#queue-page').hidden);
    await check(`A page of ${segment}`);
    await click(phone, '#page-back');
  }
  await phone.page.locator('#filter').fill('Harb');
  await phone.waitFor('the results', () => document.querySelectorAll('#queue-rows h2').length > 1);
  await check('Search');
  await phone.page.locator('#filter').fill('nothing');
  await phone.waitFor('no result', () => !document.querySelector('#queue-empty').hidden);
  await check('Search without a result');
  await phone.page.locator('#filter').fill('');
}

/**
 * Opens the rules, and lets votes decide: the first phone of the server becomes host, and later ones see the rules read-only. Then shows
 * the votes on Now, and this phone as DJ.
 * @param {import('../support/phones.mjs').Phone} phone
 * @param {(view: string, sheet?: string) => Promise<void>} check
 */
async function checkRules(phone, check) {
  await click(phone, '#settings-button');
  await click(phone, '#rules-button');
  await check('Rules', '#settings-sheet');
  if (await phone.page.locator('.rule select').first().isEnabled()) {
    for (const [i, value] of /** @type {[number, string][]} */ ([[0, 'dj'], [2, 'votes'], [4, '0.5']])) await phone.page.locator('.rule select').nth(i).selectOption(value);
    await phone.waitFor('the host', () => !document.querySelector('#rules-step-down').hidden);
    // The toast about the new host covers the title of the sheet until it is pressed.
    await phone.page.locator('#toasts > *').first().click();
    await phone.waitFor('no toast', () => document.querySelector('#toasts').childElementCount === 0);
    await check('Rules for the host', '#settings-sheet');
  }
  await phone.page.keyboard.press('Escape');
  await phone.waitFor('the line of the DJ', () => !document.querySelector('#dj-line').hidden && !document.querySelector('#skip-box').hidden);
  await check('Now without a DJ');
  await phone.page.locator('.dj-vote:visible').first().click();
  await phone.waitFor('the DJ', () => !document.querySelector('#dj-step-down').hidden);
  await check('Now, as DJ');
  await click(phone, '#dj-step-down');
  await phone.waitFor('no DJ', () => document.querySelector('#dj-step-down').hidden);
}

/** Shows an upload that the server has refused, one under way, one whose file is missing, one of another phone, and the target of dragged files. */
async function showUploads(/** @type {import('../support/phones.mjs').Phone} */ phone) {
  const chooseFile = (/** @type {string} */ name, /** @type {number} */ size) =>
    phone.page.locator('#upload-files').setInputFiles({ name, mimeType: 'audio/mpeg', buffer: Buffer.alloc(size) });
  await chooseFile('Alpha Harbour', 50);
  await phone.waitFor('the refused upload', () => document.querySelector('.upload.failed'));
  // This request is never answered.
  await phone.page.route('**/uploads/*', () => {});
  await chooseFile('Beta Harbour', 5_000);
  await phone.waitFor('an upload under way', () => document.querySelectorAll('.upload-bar:not([hidden])').length > 0);
  await phone.evaluate(async () => {
    const { text } = await import('/js/language/texts.js');
    const row = document.querySelector('.upload.failed').cloneNode(true);
    const choose = row.querySelector('.upload-choose');
    choose.hidden = false;
    choose.textContent = text('upload.chooseAgain', { name: 'Gamma Harbour' });
    row.querySelector('.upload-text').hidden = true;
    document.querySelector('#upload-list').append(row);
    const others = document.querySelector('#room-uploads');
    others.hidden = false;
    others.append(Object.assign(document.createElement('li'), { textContent: text('upload.bringing', { name: 'Ada', title: 'Gamma Harbour', percent: 43 }) }));
  });
}

for (const name of /** @type {(keyof typeof PSEUDO_LANGUAGES)[]} */ (Object.keys(PSEUDO_LANGUAGES))) {
  test(`no view overflows or shows other words: ${name}`, async (t) => {
    const context = await browser.newContext({ locale: 'de-DE', viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
    t.after(() => context.close());
    await usePseudoLanguage(context, name);
    const phone = await phoneFromPage(await context.newPage());
    await phone.page.goto(server.url());
    const content = [...CONTENT, ...addressParts(), /** @type {string} */ (await authorityName())];
    /** @type {string[]} */
    const faults = [];
    /** @param {string} view @param {string} [sheet] its selector @param {() => Promise<void>} [open] opens what a resize closes */
    const check = async (view, sheet, open) => {
      for (const [width, height] of VIEWPORTS) {
        await phone.resize(width, height);
        await open?.();
        const found = [
          ...(await phone.evaluate(layoutFaults)),
          ...(await phone.evaluate(cutTexts)),
          ...(await phone.evaluate(foreignWords, content)),
          ...(sheet ? await phone.evaluate(unreachableElements, `${sheet} `) : []),
        ];
        faults.push(...found.map((fault) => `${view} at ${width}×${height}: ${fault}`));
      }
    };

    await screenshotOnFailure(t.name, () => [phone], async () => {
      await phone.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
      await check('Join');
      await phone.page.locator('#join-code').fill('1');
      await click(phone, '#join-button');
      await check('Join with a short code');
      await phone.page.locator('#join-code').fill('000000');
      await click(phone, '#join-button');
      await phone.waitFor('the answer', () => !document.querySelector('#join-button').disabled);
      await check('Join with a wrong code');
      await joinRoom(phone);
      await phone.waitForStoredTracks(2);
      await check('Now');
      await checkRules(phone, check);
      await click(phone, '#play');
      await phone.waitFor('the sync figure', () => document.querySelector('#status .figure').textContent !== '');
      await check('Now, playing');
      await click(phone, '.trim-button');
      await check('Now, with the trim');
      await click(phone, '.trim-button');
      await phone.waitFor('a track that enters the history', () => document.querySelector('audio').currentTime > 6);
      await click(phone, '#next');
      // Paused, so that the lists stay as they are.
      await phone.waitFor('playback', () => document.querySelector('#room-view').dataset.playing === 'true');
      await click(phone, '#play');
      await click(phone, '#tab-queue');
      await phone.waitFor('the history', () => document.querySelector('#queue-scroller').scrollTop > 0);
      await check('Up next without picks');
      await checkQueue(phone, check);
      await showUploads(phone);
      await check('Queue with uploads');
      await click(phone, '#tab-now');
      await click(phone, '#invite-button');
      await check('Invite', '#invite-sheet');
      await phone.page.keyboard.press('Escape');
      await click(phone, '#chat-button');
      await check('Chat without a message', '#chat-sheet');
      await phone.page.locator('#chat-text').fill('Alpha Harbour');
      await click(phone, '.chat-send');
      await phone.waitFor('the message', () => document.querySelector('.message'));
      await check('Chat', '#chat-sheet');
      await phone.page.route('**/chat', (route) => route.fulfill({ status: 422, contentType: 'application/problem+json', body: '{"code":"message-too-long"}' }));
      await phone.page.locator('#chat-text').fill('Alpha Harbour');
      await click(phone, '.chat-send');
      await phone.waitFor('the reason', () => document.querySelector('#chat-error').textContent !== '');
      await check('Chat with a refused message', '#chat-sheet');
      await phone.evaluate(async () => {
        const { text } = await import('/js/language/texts.js');
        const latest = document.querySelector('#chat-latest');
        latest.textContent = text('chat.newMessages', { count: 100 });
        latest.hidden = false;
      });
      await check('Chat with news');
      await phone.page.unroute('**/chat');
      await phone.page.keyboard.press('Escape');
      await click(phone, '#react-button');
      await check('Reactions', undefined, async () => {
        if (await phone.evaluate(() => document.querySelector('#reaction-picker').hidden)) await click(phone, '#react-button');
      });
      await phone.page.keyboard.press('Escape');
      await click(phone, '#settings-button');
      await phone.waitFor('the install guide', () => !document.querySelector('#install-guide').hidden);
      await phone.evaluate(() => document.querySelectorAll('details').forEach((details) => (details.open = true)));
      await check('Settings', '#settings-sheet');
      await click(phone, '#install-check');
      await phone.waitFor('the result of the check', () => !document.querySelector('#install-check').disabled);
      await phone.evaluate((selectors) => selectors.forEach((selector) => (document.querySelector(selector).hidden = false)), HIDDEN_ELEMENTS);
      await check('Settings with everything');
      await click(phone, '#rooms-button');
      await phone.page.locator('#rooms-new [type=text]').fill('Harbour');
      await phone.page.locator('#rooms-new [type=password]').fill('Harbour');
      await click(phone, '#rooms-new [type=submit]');
      await phone.waitFor('the new room', () => document.querySelectorAll('.room-row').length === 2);
      await check('Rooms', '#rooms-sheet');
      await click(phone, '.room-row:not(.here) button');
      await phone.waitFor('the other room', () => document.querySelector('#room-name').textContent === 'Harbour');
      await click(phone, '#room-name');
      await click(phone, '#rooms-change summary');
      await phone.waitFor('the forms', () => document.querySelector('#rooms-change .remove'));
      await check('Rooms, with changes', '#rooms-sheet');
      await click(phone, '#rooms-change .remove');
      await click(phone, '#rooms-change .remove');
      await phone.waitFor('the only room', () => document.querySelector('#room-name').hidden);
      await phone.page.keyboard.press('Escape');
      await click(phone, '#settings-button');
      await click(phone, '#screen-open');
      await phone.waitFor('the code', () => document.querySelector('#screen-code').textContent !== '');
      // A window in full screen cannot be resized.
      await click(phone, '#screen-full');
      await phone.waitFor('the window', () => document.fullscreenElement === null);
      await check('Big screen');
      await phone.page.keyboard.press('Escape');

      // A command without a server shows a message.
      await context.setOffline(true);
      await click(phone, '#next');
      await phone.waitFor('a message', () => document.querySelector('.toast'));
      await check('Now, without the server');
      await context.setOffline(false);

      const { texts } = await phone.evaluate(async (states) => {
        const { text } = await import('/js/language/texts.js');
        return { texts: states.map((state) => Object.fromEntries(Object.entries(state).map(([selector, key]) => [selector, text(key)]))) };
      }, LONG_STATES);
      for (const [i, state] of texts.entries()) {
        for (const [width, height] of VIEWPORTS) {
          await phone.resize(width, height);
          await phone.evaluate((texts) => {
            for (const [selector, text] of Object.entries(texts)) document.querySelector(selector).textContent = text;
            for (const id of ['start-now', 'unlock-sound']) document.getElementById(id).hidden = false;
          }, state);
          const found = [...(await phone.evaluate(layoutFaults)), ...(await phone.evaluate(cutTexts))];
          faults.push(...found.map((fault) => `long texts ${i} at ${width}×${height}: ${fault}`));
        }
      }
      for (const view of OTHER_VIEWS) {
        await phone.evaluate((selector) => document.querySelectorAll('main, #room-view').forEach((element) => (element.hidden = !element.matches(selector))), view);
        await check(view);
      }
      assert.deepEqual(faults, []);
      assert.deepEqual(phone.errors, []);
    });
  });
}

test('a change of the language reaches every view', async (t) => {
  const context = await browser.newContext({ locale: 'en-GB', viewport: { width: 390, height: 844 } });
  t.after(() => context.close());
  await usePseudoLanguage(context, 'longer');
  const phone = await phoneFromPage(await context.newPage());
  await phone.page.goto(server.url());
  const content = [...CONTENT, ...addressParts(), /** @type {string} */ (await authorityName())];
  await screenshotOnFailure(t.name, () => [phone], async () => {
    await joinRoom(phone);
    await phone.waitForStoredTracks(2);
    // Everything is rendered in English first.
    await click(phone, '#tab-queue');
    await click(phone, '#tab-now');
    await click(phone, '#invite-button');
    await phone.waitFor('the code', () => document.querySelector('#invite-code').textContent !== '');
    await click(phone, '#settings-button');
    await phone.waitFor('the install guide', () => !document.querySelector('#install-guide').hidden);
    await phone.evaluate(() => document.querySelectorAll('details').forEach((details) => (details.open = true)));
    await click(phone, '#install-check');
    await click(phone, '#rules-button');
    await phone.waitFor('the result of the check', () => !document.querySelector('#install-check').disabled);
    await phone.page.locator('#settings-language').selectOption('de');
    await phone.waitFor('the pseudo-language', (expected) => document.querySelector('#settings-title').textContent === expected, accentedText('This phone'));
    const assertTranslated = async (/** @type {string} */ view) => {
      assert.deepEqual(await phone.evaluate(foreignWords, content), [], view);
    };
    await phone.waitFor('a frame', () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(true)))));
    await assertTranslated('Settings');
    await phone.page.keyboard.press('Escape');
    await assertTranslated('Now');
    await click(phone, '#invite-button');
    await assertTranslated('Invite');
    await phone.page.keyboard.press('Escape');
    await click(phone, '#tab-queue');
    await assertTranslated('Queue');
    assert.deepEqual(phone.errors, []);
  });
});

/** The name of the server's certificate authority, which the steps of the install guide contain. */
async function authorityName() {
  return (await (await fetch(`${server.url('127.0.0.1')}secure`)).json()).authority;
}
