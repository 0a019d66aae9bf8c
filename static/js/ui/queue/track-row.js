// One row of a track in the Queue tab. Its element is created once and reused for other tracks.

import { formatTime, initials, memberHue } from '../../format.js';
import { currentLocale, text } from '../../language/texts.js';
import { objection } from '../../room/permissions.js';
import { pickOf, picksOf } from '../../room/picks.js';
import { rulesOf } from '../../room/rules.js';
import { currentTrackId, memberName, nextUpId } from '../../room/selectors.js';
import { renderCover } from '../cover.js';
import { cloneTemplate, queryElement, setAttribute, setCssVariable, setHidden, setText } from '../dom.js';
import { setPermitted } from '../rules/reasons.js';
import { createVoteBox } from '../rules/vote-box.js';
import { setTitledLabel } from './titled-label.js';

/** @typedef {import('../../types.js').AppState} AppState */
/** @typedef {import('../../types.js').MemberId} MemberId */
/** @typedef {import('../../types.js').Room} Room */
/** @typedef {import('../../types.js').Track} Track */
/** @typedef {import('./queue-items.js').TrackItem} TrackItem */

/**
 * @typedef {object} RowContent
 * @property {string} trackId
 * @property {Track | undefined} track
 * @property {TrackItem['place']} place
 * @property {string} title
 * @property {string} artist
 * @property {string} aside the duration, or when the track was played
 * @property {string} number of the track on its album; '' shows the cover instead
 * @property {'now' | 'next' | ''} badge
 * @property {MemberId | null} by who asked for the track
 * @property {string} byName
 * @property {boolean} isCached
 * @property {boolean} canPlayNext
 * @property {boolean} isKnown whether the library still has the track
 * @property {boolean} isPinned whether a host or the DJ has put the pick first
 * @property {number | null} voteCount of a pick; `null` unless votes decide the order
 * @property {boolean} isOwnVote
 * @property {boolean} isMovable whether the rules let anybody move picks
 * @property {string} refused what the rules do not let this phone do with the track, as a list of rights
 * @property {boolean} isCoverDeferred whether the cover is omitted while the user scrolls fast or types
 * @property {string} locale
 */

/**
 * @param {TrackItem} item
 * @param {{index: AppState['index'], room: Room, cachedTrackIds: AppState['cachedTrackIds'], memberId: MemberId | null}} state
 * @param {boolean} isCoverDeferred
 * @returns {RowContent}
 */
export function rowContent({ trackId, place, entry, number, hidesArtist }, { index, room, cachedTrackIds, memberId }, isCoverDeferred) {
  const track = index.get(trackId);
  const isCurrent = trackId === currentTrackId(room);
  const isNext = !isCurrent && trackId === nextUpId(room);
  const by = entry ? entry.by : isCurrent ? (room.pickedBy ?? null) : (pickOf(room, trackId)?.by ?? null);
  const pick = pickOf(room, trackId);
  const isPick = pick !== undefined;
  return {
    trackId,
    track,
    place,
    title: track?.tags.title ?? entry?.title ?? '…',
    artist: hidesArtist ? '' : (track?.tags.artist ?? entry?.artist ?? ''),
    aside: entry ? formatClock(entry.startedAt) : track?.duration ? formatTime(track.duration) : '',
    number: place === 'song' && number !== undefined ? String(number) : '',
    badge: place === 'played' ? '' : isCurrent ? 'now' : isNext ? 'next' : '',
    by: by !== null && by in room.clients ? by : null,
    byName: by !== null && by in room.clients ? memberName(room, by) : '',
    isCached: cachedTrackIds.has(trackId),
    canPlayNext: !isCurrent && !(isNext && isPick) && place !== 'played' && track !== undefined,
    isKnown: room.queue.length > 0 && track !== undefined,
    isPinned: place === 'pick' && (pick?.pinned ?? false),
    voteCount: place === 'pick' && rulesOf(room).order === 'votes' ? (pick?.votes.length ?? 0) : null,
    isOwnVote: memberId !== null && (pick?.votes.includes(memberId) ?? false),
    isMovable: rulesOf(room).order === 'first',
    refused: ROW_RIGHTS.filter((right) => objection(room, memberId, right, [trackId]) !== null).join(' '),
    isCoverDeferred,
    locale: currentLocale(),
  };
}

/** The rights for what a row offers. */
const ROW_RIGHTS = /** @type {const} */ (['pick', 'nudge', 'unpick', 'move']);

/** @param {string} rfc3339 @returns {string} `21:34` */
function formatClock(rfc3339) {
  const date = new Date(rfc3339);
  return Number.isNaN(date.getTime()) ? '' : date.toLocaleTimeString(currentLocale(), { hour: 'numeric', minute: '2-digit' });
}

/** The place of a pick in line, from 1; 0 for a track that is no pick. @param {Room} room @param {string} trackId */
export function placeInLine(room, trackId) {
  return picksOf(room).findIndex((pick) => pick.trackId === trackId) + 1;
}

/** @param {(item: TrackItem, isCoverDeferred: boolean) => RowContent} contentOf */
export function createTrackRow(contentOf) {
  const element = cloneTemplate('queue-row-template');
  const cover = queryElement(element, '.cover', HTMLElement);
  const number = queryElement(element, '.number', HTMLElement);
  const title = queryElement(element, '.title', HTMLElement);
  const artist = queryElement(element, '.artist', HTMLElement);
  const aside = queryElement(element, '.duration', HTMLElement);
  const inlineAside = queryElement(element, '.inline-duration', HTMLElement);
  const badge = queryElement(element, '.badge', HTMLElement);
  const by = queryElement(element, '.by', HTMLElement);
  const avatar = queryElement(element, '.avatar', HTMLElement);
  const byName = queryElement(element, '.by-name', HTMLElement);
  const cachedMark = queryElement(element, '.cached-mark', HTMLElement);
  const pin = queryElement(element, '.pin', HTMLElement);
  const button = (/** @type {string} */ name) => queryElement(element, `[data-action="${name}"]`, HTMLButtonElement);
  const [add, again, nudge, remove, more, move] = [button('add'), button('again'), button('nudge'), button('remove'), button('more'), button('move')];
  const voteBox = createVoteBox(queryElement(element, '.vote-box', HTMLElement));
  /** @type {RowContent | null} */
  let rendered = null;

  /** @param {RowContent} content */
  function renderButtons({ place, title: name, canPlayNext, isKnown, isMovable, refused, voteCount, isOwnVote }) {
    const refusedRights = refused.split(' ');
    setPermitted(add, 'pick', !refusedRights.includes('pick'));
    setPermitted(again, 'pick', !refusedRights.includes('pick'));
    setPermitted(nudge, 'nudge', !refusedRights.includes('nudge'));
    setPermitted(remove, 'unpick', !refusedRights.includes('unpick'));
    setPermitted(move, 'move', !refusedRights.includes('move'));
    voteBox.setHidden(voteCount === null);
    if (voteCount !== null) voteBox.renderCount(voteCount, isOwnVote);
    setAttribute(voteBox.button, 'aria-label', text('queue.voteUpTitle', { title: name }));
    setHidden(add, (place !== 'ring' && place !== 'song') || !isKnown);
    setHidden(again, place !== 'played' || !isKnown);
    setHidden(nudge, !canPlayNext || place === 'pick');
    setHidden(remove, place !== 'pick');
    setHidden(move, place !== 'pick' || !isMovable);
    setHidden(more, !isKnown);
    setAttribute(add, 'aria-label', text('queue.addTitle', { title: name }));
    if (!again.hidden) setTitledLabel(again, 'queue.addTitleAgain', 'queue.addAgain', name);
    setAttribute(nudge, 'aria-label', text('queue.playTitleNext', { title: name }));
    setAttribute(remove, 'aria-label', text('queue.removeTitle', { title: name }));
    setAttribute(more, 'aria-label', text('queue.moreForTitle', { title: name }));
    setAttribute(move, 'aria-label', text('queue.moveTitle', { title: name }));
  }

  return {
    element,
    cover,
    hasDeferredCover: () => rendered?.isCoverDeferred ?? false,
    focusTarget: () => [add, again, more].find((control) => !control.hidden),
    release: () => {
      element.classList.remove('dragged', 'menu-open');
      element.style.removeProperty('--drag');
    },
    /** @param {TrackItem} item @param {boolean} areCoversDeferred */
    render: (item, areCoversDeferred) => {
      const newContent = contentOf(item, areCoversDeferred);
      const previous = rendered;
      const isCoverRendered = previous !== null && previous.trackId === newContent.trackId && previous.track === newContent.track && !previous.isCoverDeferred;
      const content = isCoverRendered ? { ...newContent, isCoverDeferred: false } : newContent;
      if (previous && hasSameFields(previous, content)) return;
      rendered = content;
      element.dataset['track'] = content.trackId;
      element.dataset['place'] = content.place;
      element.dataset['canNudge'] = String(content.canPlayNext && !content.refused.split(' ').includes('nudge'));
      element.dataset['canPick'] = String(!content.refused.split(' ').includes('pick'));
      element.dataset['canRemove'] = String(!content.refused.split(' ').includes('unpick'));
      setAttribute(element, 'aria-current', content.badge === 'now' && content.place === 'current' ? 'true' : null);
      element.classList.toggle('next', content.badge === 'next');
      element.classList.toggle('numbered', content.number !== '');
      element.classList.toggle('cover-deferred', content.isCoverDeferred);
      if (!content.isCoverDeferred && content.number === '') renderCover(cover, content.track);
      setText(number, content.number);
      setText(title, content.title);
      setText(artist, content.artist);
      setText(aside, content.aside);
      setText(inlineAside, content.aside);
      setText(badge, content.badge === '' ? '' : text(content.badge === 'now' ? 'queue.badgeNow' : 'queue.badgeNext'));
      setHidden(pin, !content.isPinned);
      setHidden(by, content.by === null);
      if (content.by !== null) {
        setCssVariable(avatar, '--placeholder-hue', String(memberHue(content.by)));
        setText(avatar, [...initials(content.byName)][0] ?? '');
        setText(byName, content.byName);
        setAttribute(by, 'aria-label', text('queue.pickedBy', { name: content.byName }));
      }
      setHidden(cachedMark, !content.isCached);
      renderButtons(content);
    },
  };
}

/** @param {RowContent} a @param {RowContent} b */
function hasSameFields(a, b) {
  return /** @type {(keyof RowContent)[]} */ (Object.keys(b)).every((key) => a[key] === b[key]);
}
