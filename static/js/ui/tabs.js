// The two tabs, as in the ARIA tabs pattern: arrow keys, Home and End change the selected tab. The current track's
// cover moves from its position in the old tab to its position in the new one. Wide windows show both views beside each other,
// the selected one larger.

import { elementById, lineDirection } from './dom.js';
import { animateCoverMove } from './motion.js';

/** @typedef {'now' | 'queue'} TabName */

/** Hash of the address that the manifest's shortcut to the queue opens. */
const QUEUE_HASH = '#queue';

/** As in css/wide.css. */
const WIDE_WINDOW = matchMedia('(min-width: 900px) and (min-height: 561px)');

/**
 * @param {object} views
 * @param {Pick<ReturnType<typeof import('./now-view.js').createNowView>, 'cover' | 'isVisible'>} views.nowView
 * @param {Pick<ReturnType<typeof import('./queue/queue-view.js').createQueueView>, 'reset'>} views.queueView
 * @param {{cover: HTMLElement}} views.dock shows the cover while the Queue tab is selected
 */
export function startTabs({ nowView, queueView, dock }) {
  const names = /** @type {const} */ (['now', 'queue']);
  const tabs = names.map((name) => elementById(`tab-${name}`, HTMLButtonElement));
  const panels = names.map((name) => elementById(`panel-${name}`, HTMLElement));
  const roomView = elementById('room-view', HTMLElement);
  const currentCover = () => (nowView.isVisible() ? nowView.cover : dock.cover);

  /** @param {TabName} name */
  function select(name) {
    if (roomView.dataset['tab'] === name) return;
    animateCoverMove(currentCover, () => {
      show(name);
      if (name === 'queue' && !WIDE_WINDOW.matches) queueView.reset();
    });
  }

  function showPanels() {
    panels.forEach((panel, i) => (panel.hidden = !WIDE_WINDOW.matches && names[i] !== roomView.dataset['tab']));
  }

  /** @param {TabName} name */
  function show(name) {
    tabs.forEach((tab, i) => {
      tab.setAttribute('aria-selected', String(names[i] === name));
      tab.tabIndex = names[i] === name ? 0 : -1;
    });
    roomView.dataset['tab'] = name;
    showPanels();
  }

  tabs.forEach((tab, i) => {
    tab.addEventListener('click', () => select(names[i] ?? 'now'));
    tab.addEventListener('keydown', (event) => {
      const direction = lineDirection(tab);
      const targetIndex = { ArrowLeft: i - direction, ArrowRight: i + direction, Home: 0, End: tabs.length - 1 }[event.key];
      if (targetIndex === undefined) return;
      event.preventDefault();
      const selectedIndex = (targetIndex + tabs.length) % tabs.length;
      select(names[selectedIndex] ?? 'now');
      tabs[selectedIndex]?.focus();
    });
  });

  WIDE_WINDOW.addEventListener('change', () => {
    showPanels();
    // A queue that was shown before keeps its list, for example when a tablet is turned.
    if (WIDE_WINDOW.matches && roomView.dataset['tab'] === 'now') queueView.reset();
  });
  showPanels();
  if (WIDE_WINDOW.matches) queueView.reset();
  if (location.hash === QUEUE_HASH) select('queue');
}
