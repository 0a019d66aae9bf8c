// The steps by which users install the certificate authority, for each device and browser.

import assert from 'node:assert/strict';
import test from 'node:test';
import { messageText } from '../../../static/js/language/texts.js';
import { browserOf, certificateFileFor, stepsFor } from '../../../static/js/ui/certificate-steps.js';

const AUTHORITY = 'Lockstep on pi (3f9a2c)';

/** @param {Parameters<typeof stepsFor>} args */
const stepTexts = (...args) => stepsFor(...args).map(messageText);

const browsers = [
  ['an iPhone', 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile/15E148 Safari/604.1', 5, 'iphone', false],
  ['Firefox on an iPhone', 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 FxiOS/133.0 Mobile/15E148 Safari/605.1.15', 5, 'iphone', false],
  ['an iPad posing as a Mac', 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15', 5, 'iphone', false],
  ['a Mac', 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15', 0, 'mac', false],
  ['an Android phone', 'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/130.0.0.0 Mobile Safari/537.36', 5, 'android', false],
  ['Firefox on Android', 'Mozilla/5.0 (Android 15; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0', 5, 'android', true],
  ['Windows', 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36', 0, 'windows', false],
  ['Firefox on Linux', 'Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0', 0, 'other', true],
];
for (const [name, userAgent, maxTouchPoints, device, hasOwnCertificateStore] of browsers) {
  test(`${name} gets steps from Download to Check`, () => {
    const browser = browserOf({ userAgent, maxTouchPoints });
    assert.deepEqual(browser, { device, hasOwnCertificateStore });
    const steps = stepTexts(browser, AUTHORITY);
    assert.ok(steps.length >= 3);
    assert.match(steps[0], /Download/);
    assert.match(steps.at(-1), /Check/);
  });
}

test('an iPhone gets a profile and a step for Certificate Trust Settings', () => {
  const browser = { device: 'iphone', hasOwnCertificateStore: false };
  assert.equal(certificateFileFor(browser).path, '/ca.mobileconfig');
  const steps = stepTexts(browser, AUTHORITY).join('\n');
  assert.match(steps, /Certificate Trust Settings, and switch “Lockstep on pi \(3f9a2c\)” on/);
});

test('the steps contain the name of the downloaded file', () => {
  for (const device of ['android', 'other']) {
    const browser = { device, hasOwnCertificateStore: false };
    assert.ok(stepTexts(browser, 'x').join('\n').includes(`“${certificateFileFor(browser).saveAs}”`), device);
  }
});
