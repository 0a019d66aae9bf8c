// Shows reactions over the cover: emoji that rise and fade. With `prefers-reduced-motion`, a count instead. Only transforms and
// opacities are animated, and there are never more than MAX_FLOATING elements.

import { formatNumber } from '../../format.js';
import { addCounts, countTexts, sampleReactions } from '../../room/reactions.js';
import { queryElement, setHidden, setText } from '../dom.js';

/** @typedef {import('../../room/reactions.js').ReactionCounts} ReactionCounts */

const MAX_FLOATING = 24;
/** The most emoji that one event adds. */
const MAX_PER_EVENT = 8;
const RISE_MS = 2_400;
/** How far emoji sway, of the height of the cover. */
const SWAY = 0.2;
/** The emoji of one event begin within this time, so that events look like one flow. */
const SPREAD_MS = 300;
/** How long the count stays after the last reaction. */
const COUNT_MS = 5_000;
/** Kinds of reactions in the count. */
const MAX_COUNTED_KINDS = 4;

const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)');

/**
 * @param {object} options
 * @param {HTMLElement} options.frame the cover
 * @param {() => boolean} options.isVisible whether the cover is in the visible view
 */
export function createReactionLayer({ frame, isVisible }) {
  const layer = queryElement(frame, '.reaction-layer', HTMLElement);
  const countText = queryElement(frame, '.reaction-count', HTMLElement);
  let heightPx = 0;
  /** @type {ReactionCounts} */
  let counts = {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  // Observed, because measuring it for each emoji would force a layout.
  new ResizeObserver(([entry]) => (heightPx = entry?.contentRect.height ?? 0)).observe(layer);

  /** @param {string} emoji */
  function float(emoji) {
    const element = document.createElement('span');
    element.textContent = emoji;
    element.style.insetInlineStart = `${5 + Math.random() * 78}%`;
    layer.append(element);
    const swayPx = (Math.random() - 0.5) * SWAY * heightPx;
    const scale = 0.8 + Math.random() * 0.5;
    const at = (/** @type {number} */ height, /** @type {number} */ sway) => `translate(${swayPx * sway}px, ${-heightPx * height}px) scale(${scale})`;
    const keyframes = [
      { transform: at(0, 0), opacity: 0 },
      { transform: at(0.15, 1), opacity: 1, offset: 0.15 },
      { transform: at(0.6, -1), opacity: 1, offset: 0.7 },
      { transform: at(0.85, 0), opacity: 0 },
    ];
    const animation = element.animate(keyframes, { duration: RISE_MS, delay: Math.random() * SPREAD_MS, fill: 'both', easing: 'linear' });
    animation.onfinish = () => element.remove();
  }

  /** @param {ReactionCounts} more */
  function count(more) {
    counts = addCounts(counts, more);
    setText(countText, countTexts(counts, formatNumber).slice(0, MAX_COUNTED_KINDS).join('  '));
    setHidden(countText, false);
    clearTimeout(timer);
    timer = setTimeout(() => {
      counts = {};
      setHidden(countText, true);
    }, COUNT_MS);
  }

  /** @param {ReactionCounts} more */
  return (more) => {
    if (!isVisible() || document.visibilityState === 'hidden') return;
    if (reducedMotion.matches) return count(more);
    const free = MAX_FLOATING - layer.childElementCount;
    for (const emoji of sampleReactions(more, Math.min(MAX_PER_EVENT, free))) float(emoji);
  };
}
