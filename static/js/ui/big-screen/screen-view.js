// What the big screen shows of the room: the current track, its progress, who picked it, and what follows.

import { formatTime } from '../../format.js';
import { text } from '../../language/texts.js';
import { currentPicker, upcomingTracks } from '../../room/upcoming.js';
import { shownRoom } from '../../room/optimistic.js';
import { memberName } from '../../room/selectors.js';
import { offsetAt } from '../../sound/clock.js';
import { roomPositionSec } from '../../sound/goal.js';
import { renderAvatar } from '../avatar.js';
import { renderCover } from '../cover.js';
import { shownTrack } from '../current-track.js';
import { cloneTemplate, elementById, queryElement, setCssVariable, setHidden, setText } from '../dom.js';
import { slideIn } from '../motion.js';
import { noteOf } from './screen-note.js';

/** @typedef {import('../../types.js').AppState} AppState */
/** @typedef {import('../../types.js').Room} Room */

const UPCOMING_COUNT = 4;
/** Longer titles may need more than two lines of large letters. */
const LONG_TITLE_WIDTH = 28;

/** Letters of Chinese, Japanese and Korean are about twice as wide. @param {string} title */
const widthOf = (title) => title.length + (title.match(/[\u2E80-\uFFEF]/g)?.length ?? 0);

export function createScreenView() {
  const cover = elementById('screen-cover', HTMLElement);
  const titles = elementById('screen-titles', HTMLElement);
  const titleText = elementById('screen-title', HTMLElement);
  const artistText = elementById('screen-artist', HTMLElement);
  const pickedBy = elementById('screen-picked-by', HTMLElement);
  const noteText = elementById('screen-note', HTMLElement);
  const bar = elementById('screen-bar', HTMLElement);
  const elapsedText = elementById('screen-elapsed', HTMLElement);
  const remainingText = elementById('screen-remaining', HTMLElement);
  const upNext = elementById('screen-next', HTMLElement);
  const list = elementById('screen-next-list', HTMLElement);
  /** @type {string | null} */
  let renderedTrackId = null;

  /** @param {AppState} state @param {Room | null} room */
  function renderCurrent(state, room) {
    const track = shownTrack(state);
    const title = track?.tags.title || text('now.empty');
    setText(titleText, title);
    titleText.classList.toggle('long', widthOf(title) > LONG_TITLE_WIDTH);
    setText(artistText, track?.tags.artist ?? '');
    renderCover(cover, track);
    if (track && renderedTrackId !== null && renderedTrackId !== track.trackId) {
      slideIn(cover);
      slideIn(titles);
    }
    renderedTrackId = track?.trackId ?? null;
    const picker = room && currentPicker(room);
    setHidden(pickedBy, !picker);
    if (!room || !picker) return;
    const name = memberName(room, picker);
    renderAvatar(queryElement(pickedBy, '.avatar', HTMLElement), picker, name);
    setText(queryElement(pickedBy, '.text', HTMLElement), text('now.addedBy', { name }));
  }

  /** @param {AppState} state @param {Room | null} room */
  function renderUpcoming({ index }, room) {
    const upcoming = room ? upcomingTracks(room, UPCOMING_COUNT) : [];
    setHidden(upNext, upcoming.length === 0);
    while (list.childElementCount > upcoming.length) list.lastElementChild?.remove();
    while (list.childElementCount < upcoming.length) list.append(cloneTemplate('screen-track-template'));
    upcoming.forEach(({ trackId, by }, i) => {
      const row = /** @type {HTMLElement} */ (list.children[i]);
      const track = index.get(trackId);
      renderCover(queryElement(row, '.cover', HTMLElement), track);
      setText(queryElement(row, '.title', HTMLElement), track?.tags.title ?? '');
      setText(queryElement(row, '.artist', HTMLElement), track?.tags.artist ?? '');
      const avatar = queryElement(row, '.avatar', HTMLElement);
      setHidden(avatar, by === null);
      const name = room && by !== null ? memberName(room, by) : '';
      if (by !== null) renderAvatar(avatar, by, name);
      setText(queryElement(row, '.by-name', HTMLElement), name);
    });
  }

  /** @param {AppState} state */
  function renderProgress(state) {
    const room = shownRoom(state);
    const durationSec = shownTrack(state)?.duration ?? 0;
    const nowMs = performance.now();
    const positionSec = room ? roomPositionSec(room, offsetAt(state.clock, nowMs), nowMs, durationSec) : 0;
    setCssVariable(bar, '--progress', durationSec > 0 ? Math.min(1, positionSec / durationSec).toFixed(3) : '0');
    setText(elapsedText, formatTime(positionSec));
    setText(remainingText, durationSec > 0 ? `−${formatTime(durationSec - Math.floor(positionSec))}` : '');
  }

  return {
    renderProgress,
    /** @param {AppState} state */
    render: (state) => {
      const room = shownRoom(state);
      renderCurrent(state, room);
      renderUpcoming(state, room);
      setText(noteText, noteOf(state, room));
      renderProgress(state);
    },
  };
}
