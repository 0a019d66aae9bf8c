// Simulated phones of other engines for the measurement. Their clocks are the machine's: WebDriver runs no script before the page's.

import { openFirefox } from '../engines/firefox.mjs';
import { webDriverPhone } from '../engines/webdriver-phone.mjs';
import { openWebKit } from '../engines/webkit.mjs';

/** @typedef {'chromium' | 'firefox' | 'webkit'} Engine */

/**
 * @param {Exclude<Engine, 'chromium'>} engine
 * @param {{url: () => string, asProxy: () => object}} server
 * @param {NodeJS.ProcessEnv} env environment variables of its audio sink
 */
export async function openWebDriverPhone(engine, server, env) {
  const driver = await (engine === 'firefox' ? openFirefox : openWebKit)(server.asProxy(), env);
  const phone = webDriverPhone(driver);
  try {
    await phone.goto(server.url());
  } catch (error) {
    await driver.end();
    throw error;
  }
  return {
    ...phone,
    /** Waits until at least `count` tracks are marked as stored. @param {number} count */
    waitForStoredTracks: (count) =>
      phone.waitFor(`${count} tracks in storage`, (expected) => document.querySelectorAll('#panel-queue .cached-mark:not([hidden])').length >= expected, count),
    reload: () => phone.goto(server.url()),
  };
}
