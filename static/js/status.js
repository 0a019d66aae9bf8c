// PURE: the one line that says how this phone is doing, by what matters most just now.

import { formatName } from './format.js';
import { currentTrack, percent, waitedFor } from './state.js';

/** @typedef {import('./types.js').AppState} AppState */

/**
 * `figure` is for the eye only: a screen reader that heard every change would say nothing else.
 * @typedef {{text: string, figure: string, tone: 'calm' | 'good' | 'fair' | 'poor' | 'busy'}} Status
 */

/** In milliseconds: up to here phones in one room sound like one, and like an echo of each other. */
const GOOD_MS = 20;
const FAIR_MS = 60;

/**
 * @param {AppState} state
 * @returns {Status}
 */
export function statusOf(state) {
  const { room, connection, index, download, settings, sound, unplayable, held } = state;
  if (connection === 'reconnecting') return line(state.trouble ?? 'reconnecting…', 'busy');
  if (!room || connection === 'connecting') return line('connecting…', 'busy');
  const current = currentTrack(room);
  if (current === null) {
    if (!state.scanning) return line('no music on the server yet', 'calm');
    const { read, total } = state.scanning;
    return { text: 'the server reads its music', figure: `${read} of ${total} files`, tone: 'busy' };
  }
  if (settings.remote) return line('remote only: no sound from this phone', 'calm');
  const reason = unplayable.get(current);
  if (reason === 'room') return line('no room on this phone for this track; it sits this one out', 'poor');
  if (reason === 'format') {
    const format = formatName(index.get(current)?.mime ?? '');
    return line(`this phone can't play ${format}; it sits this one out`, 'poor');
  }
  if (reason === 'fetch') return line("this track can't be fetched from the server; trying again", 'poor');
  if (!held.has(current)) {
    const fetched = download?.trackId === current ? percent(download.receivedBytes, download.size) : 0;
    return { text: 'downloading', figure: `${fetched} %`, tone: 'busy' };
  }
  if (room.barrier) {
    const { members, ready } = room.barrier;
    return waitedFor(room).length === 0
      ? line('starting…', 'busy')
      : line(`waiting for others (${ready.length}/${members.length} ready)`, 'busy');
  }
  if (room.playState.mode === 'paused') return line('paused', 'calm');
  if (sound.mute) return line('no sound output here: connect one, then tap', 'poor');
  if (sound.locked) return line('no sound here: tap to rejoin', 'poor');
  if (!sound.sounding) return line('starting…', 'busy');
  if (sound.errorMs === null) return line('playing', 'good');
  const tone = toneOf(sound.errorMs);
  // Further off nobody would call it that, whatever the figure.
  return { text: tone === 'poor' ? 'catching up' : 'in step', figure: offText(sound.errorMs), tone };
}

/**
 * @param {number} offMs
 * @returns {'good' | 'fair' | 'poor'}
 */
export function toneOf(offMs) {
  const off = Math.abs(offMs);
  return off < GOOD_MS ? 'good' : off < FAIR_MS ? 'fair' : 'poor';
}

/** @param {number} offMs */
function offText(offMs) {
  return `±${Math.max(1, Math.round(Math.abs(offMs)))} ms`;
}

/**
 * @param {string} text
 * @param {Status['tone']} tone
 * @returns {Status}
 */
function line(text, tone) {
  return { text, figure: '', tone };
}

/**
 * What a listener does, as the list says it.
 * @param {import('./state.js').ListenerRow} row
 */
export function doingText({ doing, percent: fetched, offMs }) {
  switch (doing) {
    case 'remote':
      return 'remote';
    case 'unable':
      return "can't play this";
    case 'downloading':
      return `downloading ${fetched} %`;
    case 'waiting':
      return 'getting ready';
    case 'locked':
      return 'waits for a tap';
    case 'playing':
      return offMs === null ? 'playing' : `playing ${offText(offMs)}`;
    case 'ready':
      return 'ready';
    case 'away':
      return 'away';
  }
}
