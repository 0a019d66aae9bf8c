// PURE: where the guessed delay of a phone's speaker comes from. The server keeps no names with the delays that it learns, so the
// phone to name is looked up among the listeners.

import { text } from '../language/texts.js';
import { memberName } from './selectors.js';

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Snapshot} Snapshot */

/** @type {Record<string, 'device.iphone' | 'device.ipad' | 'device.android' | 'device.mac' | 'device.windows' | 'device.linux'>} */
const DEVICE_TEXTS = {
  iphone: 'device.iphone',
  ipad: 'device.ipad',
  android: 'device.android',
  mac: 'device.mac',
  windows: 'device.windows',
  linux: 'device.linux',
};

/**
 * @param {Snapshot} room
 * @param {MemberId} memberId
 * @returns {string} '' if the delay is not a guess
 */
export function guessText(room, memberId) {
  const own = room.clients[memberId];
  if (!own?.guessed || !own.kind) return '';
  const system = own.kind.split('-')[1] ?? '';
  const device = text(DEVICE_TEXTS[system] ?? 'device.other');
  const sourceId = Object.entries(room.live.listeners).find(([otherId, { role }]) => {
    const other = room.clients[otherId];
    return otherId !== memberId && role === 'listener' && other?.kind === own.kind && other?.compared;
  })?.[0];
  if (sourceId === undefined) return text('delay.guessAsAnother', { device });
  return text('delay.guessAsOn', { name: memberName(room, sourceId), device });
}
