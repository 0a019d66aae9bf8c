// Makes picture.png, which the README shows: the page on a phone while a song plays. Run after a change of that view:
// `cargo build && node tests/web/picture.mjs`

import { openBrowser, openPhone } from './support/phones.mjs';
import { DEMO_MUSIC, copyMusicFrom, startServer } from './support/server.mjs';

const browser = await openBrowser();
const server = await startServer({ fill: copyMusicFrom(DEMO_MUSIC) });
try {
  const [ada, ben] = [await openPhone(browser, server.url()), await openPhone(browser, server.url())];
  await ada.join('Ada');
  await ben.join('Ben');
  await ben.openTab('Queue');
  await ben.openSegment('Songs');
  await ada.waitForTitle('Porch Swing');
  await ada.press('Play');
  await ada.waitForStatus('in step');
  await ada.waitForListener('Ben playing ±');
  await ada.waitFor('the covers', () => ['#now-cover img', '#now-next-line img'].every((image) => document.querySelector(image)?.matches('.loaded')));
  await ben.press('Add Rain on the Skylight');
  // The sentence stands for some seconds, in which the next track's cover loads.
  await ada.waitFor('who has added what, with its cover', () =>
    document.querySelector('.has-happening #now-happening')?.textContent === 'Ben added Rain on the Skylight' && document.querySelector('#now-next-line img')?.matches('.loaded'));
  await ada.waitFor('the end of the animations', () => document.getAnimations().every((animation) => animation.playState !== 'running' || animation.effect.getTiming().iterations === Infinity));
  await ada.page.screenshot({ path: new URL('picture.png', import.meta.url).pathname });
} finally {
  await browser.close();
  await server.remove();
}
