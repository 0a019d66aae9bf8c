// Two tabs, as ARIA has them: one is chosen, arrow keys move between them.

import { byId } from './dom.js';

/** @typedef {'now' | 'queue'} Tab */

/** @param {(tab: Tab, show: () => void) => void} onChange Calls `show`, which changes the view. */
export function createTabs(onChange) {
  const names = /** @type {const} */ (['now', 'queue']);
  const tabs = names.map((name) => byId(`tab-${name}`, HTMLButtonElement));
  const panels = names.map((name) => byId(`panel-${name}`, HTMLElement));
  const frame = byId('room-view', HTMLElement);

  /** @param {Tab} name */
  function choose(name) {
    if (frame.dataset['tab'] === name) return;
    onChange(name, () => {
      tabs.forEach((tab, i) => {
        tab.setAttribute('aria-selected', String(names[i] === name));
        tab.tabIndex = names[i] === name ? 0 : -1;
      });
      panels.forEach((panel, i) => (panel.hidden = names[i] !== name));
      frame.dataset['tab'] = name;
    });
  }

  tabs.forEach((tab, i) => {
    tab.addEventListener('click', () => choose(names[i] ?? 'now'));
    tab.addEventListener('keydown', (event) => {
      const to = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const chosen = (to + tabs.length) % tabs.length;
      choose(names[chosen] ?? 'now');
      tabs[chosen]?.focus();
    });
  });

  // A shortcut of the installed page leads there.
  if (location.hash === '#queue') choose('queue');
}
