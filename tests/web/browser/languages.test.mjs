// The page in other languages: chosen by the browser or in Settings, changed without a reload, and available offline.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isPageCached } from '../support/page-checks.mjs';
import { openBrowser, openPhone, screenshotOnFailure } from '../support/phones.mjs';
import { PAIRING_CODE, startServer } from '../support/server.mjs';
import { tones } from '../support/tones.mjs';
import { openVersionProxy } from '../support/version-proxy.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
before(async () => {
  browser = await openBrowser();
  server = await startServer({ fill: tones({ One: 90, Two: 90 }) });
});
after(async () => {
  await browser.close();
  await server.remove();
});

/** Joins by the fields' ids, because their labels are in the language of the page. @param {import('../support/phones.mjs').Phone} phone */
async function join(phone) {
  await phone.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
  await phone.page.locator('#join-code').fill(PAIRING_CODE);
  await phone.page.locator('#join-name').fill('Ada');
  await phone.page.locator('#join-button').click();
  await phone.waitFor('the room view', () => !document.querySelector('#room-view').hidden);
}

/** @param {import('../support/phones.mjs').Phone} phone @param {string} language */
const waitForLanguage = (phone, language) => phone.waitFor(`the language ${language}`, (expected) => document.documentElement.lang === expected, language);

/** Opens a phone, and records the paths of the tables of languages that its page requests. @param {string} locale */
async function openPhoneWithTables(locale) {
  /** @type {string[]} */
  const tables = [];
  const newContext = async (/** @type {object} */ options) => {
    const context = await browser.newContext(options);
    context.on('request', (request) => {
      const path = new URL(request.url()).pathname;
      if (path.includes('/tables/')) tables.push(path);
    });
    return context;
  };
  return { phone: await openPhone(/** @type {any} */ ({ newContext }), server.url(), { locale }), tables };
}

test('a German browser gets the page in German, and an English one no table', async (t) => {
  const { phone, tables } = await openPhoneWithTables('de-AT');
  const { phone: englishPhone, tables: englishTables } = await openPhoneWithTables('en-GB');
  t.after(() => Promise.all([phone.close(), englishPhone.close()]));
  await screenshotOnFailure(t.name, () => [phone], async () => {
    await waitForLanguage(phone, 'de');
    await phone.page.getByRole('textbox', { name: 'Kopplungscode' }).fill('000000');
    await phone.page.getByRole('textbox', { name: 'Dein Name' }).fill('Ada');
    await phone.page.getByRole('button', { name: 'Mitmachen' }).click();
    await phone.waitFor('the sentence for the wrong code', () => document.querySelector('#join-error').textContent === 'Falscher Code. Der Code steht auf dem Bildschirm des Servers.');
    await join(phone);
    await phone.page.getByRole('button', { name: 'Wiedergabe' }).waitFor();
    await phone.page.getByRole('tab', { name: 'Liste' }).click();
    await phone.waitFor('the number of tracks in German', () => document.querySelector('#queue-count').textContent === '2 Titel');
    await phone.page.getByRole('button', { name: 'Einstellungen' }).click();
    await phone.waitFor('the storage in German', () => /^\d+,\d MB Musik, in/.test(document.querySelector('#settings-storage').textContent));
    assert.deepEqual(tables, ['/js/language/tables/de.js']);
    await englishPhone.waitFor('the join view', () => !document.querySelector('#join-view').hidden);
    assert.deepEqual(englishTables, []);
    assert.deepEqual([...phone.errors, ...englishPhone.errors], []);
  });
});

test('a change in Settings applies at once, while the sound goes on', async (t) => {
  const phone = await openPhone(browser, server.url(), { locale: 'en-GB' });
  t.after(phone.close);
  await screenshotOnFailure(t.name, () => [phone], async () => {
    await phone.join('Ada');
    await phone.waitForStoredTracks(2);
    await phone.press('Play');
    await phone.waitForPlayback();
    await phone.openTab('Queue');
    await phone.evaluate(() => {
      globalThis.interruptions = [];
      for (const type of ['pause', 'seeking', 'emptied', 'waiting']) document.querySelector('audio').addEventListener(type, () => globalThis.interruptions.push(type));
    });
    await phone.press('Settings');
    const select = phone.page.getByRole('combobox', { name: 'Language' });
    assert.deepEqual(await select.locator('option').allTextContents(), ['Automatic', 'English', 'Deutsch', 'Français', 'Español', 'Italiano', 'Português', 'Polski', '日本語', '简体中文']);
    await select.selectOption('fr');
    await waitForLanguage(phone, 'fr');
    await phone.waitFor('every view in French', () => {
      const labels = ['#play', '#settings-button'].map((selector) => document.querySelector(selector).getAttribute('aria-label'));
      const texts = ['#tab-queue', '#settings-title', '#queue-count', '.badge'].map((selector) => document.querySelector(selector).textContent);
      return `${[...labels, ...texts]}` === 'Pause,Réglages,File,Ce téléphone,2 titres,en cours';
    });
    await phone.page.getByRole('combobox', { name: 'Langue' }).selectOption('auto');
    await waitForLanguage(phone, 'en');
    await phone.waitFor('every view in English', () => document.querySelector('#settings-title').textContent === 'This phone' && document.querySelector('#queue-count').textContent === '2 tracks');
    await phone.waitForPlayback();
    assert.deepEqual(await phone.evaluate(() => globalThis.interruptions), []);
    await phone.page.keyboard.press('Escape');
    await phone.press('Pause');
    assert.deepEqual(phone.errors, []);
  });
});

test('a chosen language is kept, also in a page that starts offline', async (t) => {
  const proxy = await openVersionProxy(server.url('127.0.0.1'));
  t.after(proxy.stop);
  const phone = await openPhone(browser, proxy.url(), { locale: 'en-GB' });
  t.after(phone.close);
  await screenshotOnFailure(t.name, () => [phone], async () => {
    await phone.join('Ada');
    await phone.waitFor('the page to be cached', isPageCached);
    await phone.press('Settings');
    await phone.page.getByRole('combobox', { name: 'Language' }).selectOption('pl');
    await waitForLanguage(phone, 'pl');
    const cachedTables = async () => {
      const names = (await caches.keys()).filter((name) => name.startsWith('lockstep-shell-'));
      const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
      const paths = requests.flat().map(({ url }) => new URL(url).pathname).filter((path) => path.includes('/tables/'));
      return paths.length > 0 && paths;
    };
    assert.deepEqual(await phone.waitFor('the table to be cached', cachedTables), ['/js/language/tables/pl.js']);
    await proxy.stop();
    await phone.page.reload();
    await phone.waitFor('the sentence for an unreachable server', () => document.querySelector('#start-error').textContent === 'Nie można połączyć się z serwerem.');
    assert.equal(await phone.evaluate(() => document.querySelector('#start-error-view .intro').textContent), 'Lockstep nie może teraz niczego odtworzyć. Ta strona sama spróbuje ponownie.');
    await proxy.start();
    await phone.waitFor('the room view', () => !document.querySelector('#room-view').hidden);
    proxy.reportVersion('next');
    await phone.page.reload();
    await phone.waitFor('the new version, with the table', async () => {
      const names = (await caches.keys()).filter((name) => name.startsWith('lockstep-shell-'));
      return names.length === 1 && names[0].startsWith('lockstep-shell-next') && (await caches.match('/js/language/tables/pl.js')) !== undefined;
    });
    assert.deepEqual(phone.errors, []);
  });
});

test('without its table a language cannot be chosen, until the server has it again', async (t) => {
  const phone = await openPhone(browser, server.url(), { locale: 'en-GB' });
  t.after(phone.close);
  await screenshotOnFailure(t.name, () => [phone], async () => {
    await phone.join('Ada');
    await phone.page.route('**/tables/it.js*', (route) => route.abort());
    await phone.press('Settings');
    const select = phone.page.locator('#settings-language');
    await select.selectOption('it');
    await phone.page.getByRole('alert').filter({ hasText: 'This language could not be loaded' }).waitFor();
    assert.equal(await phone.evaluate(() => document.documentElement.lang), 'en');
    await phone.page.unroute('**/tables/it.js*');
    await select.selectOption('en');
    await select.selectOption('it');
    await waitForLanguage(phone, 'it');
  });
});
