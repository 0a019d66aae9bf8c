// Reports this phone's sync measurements to the server, which shows them on the other phones and announces starts early
// enough for this phone.

import { reportSync } from './api.js';
import { isPausedAlone, isSoundElsewhere, waitsForTap } from '../room/own-silence.js';
import { after } from '../timer.js';

/** @typedef {import('../types.js').SyncReport} SyncReport */

const MIN_INTERVAL_MS = 5_000;

/** Smaller changes since the last report are not reported. */
const MIN_SYNC_ERROR_CHANGE_MS = 2;
const MIN_NEEDS_CHANGE_MS = 20;

/**
 * @param {SyncReport | null} lastReport the last report that was sent on this connection
 * @param {SyncReport} report
 */
export function differsEnough(lastReport, report) {
  if (lastReport === null || lastReport.waitsForTap !== report.waitsForTap || lastReport.pausedAlone !== report.pausedAlone || lastReport.kind !== report.kind) return true;
  if ((lastReport.offMs === null) !== (report.offMs === null)) return true;
  return (
    Math.abs((lastReport.offMs ?? 0) - (report.offMs ?? 0)) >= MIN_SYNC_ERROR_CHANGE_MS ||
    Math.abs(lastReport.needsMs - report.needsMs) >= MIN_NEEDS_CHANGE_MS
  );
}

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {() => SyncReport | null} options.getReport returns `null` before the first clock estimate
 */
export function startSyncReporter({ store, getReport }) {
  /** @type {SyncReport | null} */
  let lastReport = null;
  /** Cancels the timer of the minimum interval after a report; `null` while no such timer runs. */
  /** @type {(() => void) | null} */
  let cancelInterval = null;
  /** Whether a report is on its way. A second one could overtake it, and the server would keep the older one. */
  let isSending = false;

  async function reportIfChanged() {
    const { connection, settings } = store.get();
    if (connection !== 'open' || settings.isRemoteControl || isSoundElsewhere(store.get()) || cancelInterval || isSending) return;
    const report = getReport();
    if (!report || !differsEnough(lastReport, report)) return;
    lastReport = report;
    cancelInterval = after(MIN_INTERVAL_MS, () => {
      cancelInterval = null;
      reportIfChanged();
    });
    isSending = true;
    await reportSync(report).catch(() => {
      // A lost report is repeated after the interval: nothing else may change, and other phones would show the older one.
      if (lastReport === report) lastReport = null;
    });
    isSending = false;
    reportIfChanged();
  }

  store.subscribe((state, previous) => {
    if (state.connection !== previous.connection || isSoundElsewhere(state) !== isSoundElsewhere(previous)) lastReport = null;
    // Other phones may wait for the end of the track on this one, to request the next track.
    const hasEnded = previous.sound.isSounding && !state.sound.isSounding && state.room?.playState.mode === 'playing';
    const isOtherSilence = waitsForTap(state) !== waitsForTap(previous) || isPausedAlone(state) !== isPausedAlone(previous);
    // This end, and a change of what the phone needs to sound, are reported without waiting for the interval.
    if (hasEnded || isOtherSilence) {
      cancelInterval?.();
      cancelInterval = null;
    }
    reportIfChanged();
  });
}
