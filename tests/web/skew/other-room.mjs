// Another room of the measured server, in which muted phones listen to music of their own.

import { openBrowser, openPhone } from '../support/phones.mjs';

const NAMES = ['Olga', 'Otto'];

/** Opens the room, and plays in it until it is closed. @param {string} url of the server */
export async function openOtherRoom(url) {
  const browser = await openBrowser();
  try {
    const phones = await Promise.all(NAMES.map(async (name) => {
      const phone = await openPhone(browser, url);
      await phone.join(name);
      return phone;
    }));
    const roomId = await phones[0]?.evaluate(async () => {
      const response = await fetch('/rooms', { method: 'POST', body: JSON.stringify({ name: 'Other' }) });
      if (!response.ok) throw new Error(`POST /rooms: ${response.status}`);
      return (await response.json()).roomId;
    });
    for (const phone of phones) {
      await phone.evaluate(async (id) => {
        const response = await fetch(`/rooms/${id}/enter`, { method: 'POST', body: '{}' });
        if (!response.ok) throw new Error(`POST /rooms/${id}/enter: ${response.status}`);
      }, roomId);
      await phone.page.goto(`${url}rooms/${roomId}/`);
    }
    for (const phone of phones) {
      for (const name of NAMES) await phone.waitForListener(name);
      // A page makes no sound before its first gesture.
      await phone.openTab('Queue');
    }
    await phones[0]?.openTab('Now');
    await phones[0]?.press('Play');
    await Promise.all(phones.map((phone) => phone.waitForPlayback()));
  } catch (error) {
    await browser.close();
    throw error;
  }
  return { close: () => browser.close() };
}
