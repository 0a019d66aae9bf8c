// Several tabs of one phone: one of them sounds.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser, openPhone, phoneFromPage, screenshotOnFailure, waitForSameTrackStart } from '../support/phones.mjs';
import { startServer } from '../support/server.mjs';
import { tones } from '../support/tones.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

/** Runs before the page's scripts: a browser without BroadcastChannel. */
function removeBroadcastChannel() {
  Reflect.deleteProperty(globalThis, 'BroadcastChannel');
}

for (const [way, initScript] of /** @type {const} */ ([['BroadcastChannel', () => {}], ['localStorage', removeBroadcastChannel]])) {
  test(`one of two tabs sounds, and the other can take over (${way})`, async (t) => {
    const server = await startServer({ fill: tones({ 'Alpha Dance': 120, 'Beta Waltz': 90 }) });
    t.after(server.remove);
    const first = await openPhone(browser, server.url());
    t.after(first.close);
    await first.page.context().addInitScript(initScript);
    await first.page.reload();
    /** @type {import('../support/phones.mjs').Phone[]} */
    const tabs = [first];
    const openTab = async () => {
      const tab = await phoneFromPage(await first.page.context().newPage());
      tabs.push(tab);
      await tab.page.goto(server.url());
      return tab;
    };
    await screenshotOnFailure(t.name, () => tabs, async () => {
      await first.join('Ada');
      await first.waitForStoredTracks(2);
      await first.press('Play');
      await first.waitForStatus('in step');
      const startSec = await first.trackStartSec();

      const second = await openTab();
      await second.waitForStatus('another tab has the sound');
      // A tap elsewhere does not start this tab.
      await second.openTab('Queue');
      await second.waitForSilence();
      await second.press('Play here');
      await second.waitForPlayback();
      await second.waitForStatus('in step');
      // The status tells the accuracy; the element's silence starts later than the music on a busy machine.
      await waitForSameTrackStart([second], { toleranceSec: 1, expectedSec: [startSec] });
      await first.waitForStatus('another tab has the sound');
      await first.waitForSilence();

      await second.page.close();
      tabs.pop();
      await first.waitForPlayback();
      await waitForSameTrackStart([first], { toleranceSec: 1, expectedSec: [startSec] });
      for (const { errors } of tabs) assert.deepEqual(errors, []);
    });
  });
}
