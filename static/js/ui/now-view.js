// The Now view: the current track with its cover, the listeners, and the next track.

import { text } from '../language/texts.js';
import { shownRoom } from '../room/optimistic.js';
import { isPausedAlone, waitsForTap } from '../room/own-silence.js';
import { nextUpId } from '../room/selectors.js';
import { renderCover } from './cover.js';
import { shownTrack } from './current-track.js';
import { elementById, queryElement, setText } from './dom.js';
import { createMemberList } from './listeners.js';
import { slideIn } from './motion.js';
import { createNowNote } from './now-note.js';
import { createDjLine } from './rules/dj-line.js';
import { storageWarningOf } from './storage-warning.js';
import { createPageTint } from './tint.js';

/** @typedef {import('../types.js').AppState} AppState */

/** Delay of the titles' animation after the cover's. */
const TITLES_DELAY_MS = 60;

/**
 * @param {(memberId: string, trimDb: number) => Promise<unknown>} setTrim
 * @param {(makeCommand: import('../net/commands.js').MakeCommand) => unknown} sendCommand
 */
export function createNowView(setTrim, sendCommand) {
  const panel = elementById('panel-now', HTMLElement);
  const cover = elementById('now-cover', HTMLElement);
  const titleText = elementById('now-title', HTMLElement);
  const artistText = elementById('now-artist', HTMLElement);
  const albumText = elementById('now-album', HTMLElement);
  const titlesGroup = queryElement(document, '.titles', HTMLElement);
  const nextLine = elementById('now-next-line', HTMLElement);
  const nextTitleText = elementById('now-next', HTMLElement);
  const nextCoverFrame = elementById('now-next-cover', HTMLElement);
  const storageWarningText = elementById('storage-warning', HTMLElement);
  const renderListeners = createMemberList(setTrim, sendCommand);
  const renderNote = createNowNote();
  const renderDjLine = createDjLine(sendCommand);
  const tintPage = createPageTint();
  /** @type {string | null} */
  let renderedTrackId = null;

  return {
    cover,
    isVisible: () => !panel.hidden,
    /** @param {AppState} state */
    render: (state) => {
      const room = shownRoom(state);
      const track = shownTrack(state);
      setText(titleText, track?.tags.title || (state.scanProgress ? text('now.reading') : text('now.empty')));
      setText(artistText, track?.tags.artist ?? '');
      setText(albumText, track?.tags.album ?? '');
      renderCover(cover, track);
      tintPage(track);
      if (track && renderedTrackId !== null && renderedTrackId !== track.trackId) {
        slideIn(cover);
        slideIn(titlesGroup, TITLES_DELAY_MS);
      }
      renderedTrackId = track?.trackId ?? null;
      renderNote(state, room);
      renderDjLine(room, state.memberId);
      setText(storageWarningText, storageWarningOf(state));

      const nextTrack = state.index.get((room && nextUpId(room)) ?? '');
      setText(nextTitleText, nextTrack?.tags.title ?? '');
      renderCover(nextCoverFrame, nextTrack);
      nextLine.hidden = !nextTrack;

      renderListeners(room, state.memberId, { sync: { waitsForTap: waitsForTap(state), pausedAlone: isPausedAlone(state) }, hasOtherOutput: state.hasOtherOutput });
    },
  };
}
