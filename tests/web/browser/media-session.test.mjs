// The Media Session: the content of the lock screen, and its keys.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from '../support/phones.mjs';
import { DEMO_MUSIC, copyMusicFrom } from '../support/server.mjs';
import { withRoom } from '../support/test-room.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

/** Runs in the page: records the Media Session's position state and action handlers. */
function recordMediaSession() {
  const session = navigator.mediaSession;
  const { setActionHandler, setPositionState } = session;
  globalThis.actionHandlers = {};
  session.setActionHandler = (action, handler) => {
    globalThis.actionHandlers[action] = handler;
    setActionHandler.call(session, action, handler);
  };
  session.setPositionState = (state) => {
    globalThis.positionState = state ?? null;
    setPositionState.call(session, state);
  };
}

test('the lock screen shows the track, and its keys pause this phone or skip', (t) =>
  withRoom(t, browser, { fill: copyMusicFrom(DEMO_MUSIC), names: ['Ada'], initScript: recordMediaSession }, async ([ada]) => {
    await ada.waitForStoredTracks(2);
    const pressKey = (/** @type {string} */ action) => ada.evaluate((name) => globalThis.actionHandlers[name]({ action: name }), action);
    const waitForState = (/** @type {string} */ state) => ada.waitFor(`the playback state ${state}`, (expected) => navigator.mediaSession.playbackState === expected, state);
    await ada.press('Play');
    await ada.waitForPlayback();
    await waitForState('playing');
    await ada.waitFor('metadata equal to the page', () => {
      const { title, artist, album } = navigator.mediaSession.metadata;
      const text = (/** @type {string} */ id) => document.querySelector(id).textContent;
      return title === text('#now-title') && artist === text('#now-artist') && album === text('#now-album');
    });
    const sizes = ['96x96', '192x192', '512x512'];
    await ada.waitFor('the artwork sizes', (expected) => {
      const { artwork } = navigator.mediaSession.metadata;
      return artwork.map(({ sizes: actual }) => actual).join() === expected.join();
    }, sizes);
    const widths = await ada.evaluate(async () => {
      const images = navigator.mediaSession.metadata.artwork.map(({ src }) => Object.assign(new Image(), { src }));
      await Promise.all(images.map((image) => image.decode()));
      return images.map(({ naturalWidth }) => `${naturalWidth}x${naturalWidth}`);
    });
    assert.deepEqual(widths, sizes);

    assert.deepEqual(await ada.evaluate(() => Object.keys(globalThis.actionHandlers)), ['play', 'pause', 'nexttrack', 'previoustrack']);
    await ada.waitFor('a shown position that advances at the normal rate', () => globalThis.positionState?.playbackRate === 1);
    await pressKey('pause');
    await ada.waitForSilence();
    await waitForState('paused');
    await ada.waitForStatus('paused on this phone');
    await pressKey('play');
    await ada.waitForPlayback();
    await waitForState('playing');
    const firstTitle = await ada.title();
    await pressKey('nexttrack');
    await ada.waitFor('the next track', (title) => navigator.mediaSession.metadata.title !== title, firstTitle);
    await ada.waitForPlayback();
    await ada.press('Settings');
    await ada.press('Leave');
    await ada.waitFor('a cleared Media Session', () => navigator.mediaSession.metadata === null && navigator.mediaSession.playbackState === 'none' && globalThis.positionState === null);
  }));

test('reconnecting or a corrected duration does not reload the lock screen cover', (t) =>
  withRoom(t, browser, { fill: copyMusicFrom(DEMO_MUSIC), names: ['Ada'] }, async ([ada], server) => {
    await ada.waitForStoredTracks(2);
    if (await ada.evaluate(() => !document.querySelector('#now-cover img').hasAttribute('src'))) await ada.press('Next');
    else await ada.press('Play');
    await ada.waitForStatus('in step');
    await ada.waitFor('three artwork sizes', () => navigator.mediaSession.metadata?.artwork.length === 3);
    await ada.evaluate(() => {
      const { get, set } = Object.getOwnPropertyDescriptor(MediaSession.prototype, 'metadata');
      globalThis.assignedArtworkCounts = [];
      Object.defineProperty(navigator.mediaSession, 'metadata', {
        get,
        set(metadata) {
          globalThis.assignedArtworkCounts.push(metadata?.artwork.length ?? null);
          set.call(this, metadata);
        },
      });
    });
    await server.stop();
    await ada.waitForStatus('reconnecting…');
    await ada.page.route('**/index', async (route) => {
      const response = await route.fetch({ url: route.request().url().replace('party.lan', '127.0.0.1') });
      const tracks = await response.json();
      await route.fulfill({ json: tracks.map((track) => ({ ...track, duration: track.duration + 0.2 })) });
    });
    // The page keeps the decoded length if the index differs by more than 0.25 s.
    const indexRefreshed = ada.page.waitForResponse('**/index');
    await server.start();
    await indexRefreshed;
    await ada.waitForStatus('in step');
    assert.deepEqual(await ada.evaluate(() => globalThis.assignedArtworkCounts), []);
    assert.equal(await ada.evaluate(() => navigator.mediaSession.metadata.artwork.length), 3);
  }));
