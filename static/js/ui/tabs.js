// Two tabs, as ARIA has them: one is chosen, arrow keys move between them.

import { byId } from './dom.js';

/** @param {() => void} onShown */
export function createTabs(onShown) {
  const names = /** @type {const} */ (['now', 'queue']);
  const tabs = names.map((name) => byId(`tab-${name}`, HTMLButtonElement));
  const panels = names.map((name) => byId(`panel-${name}`, HTMLElement));
  const frame = byId('room-view', HTMLElement);

  /** @param {number} chosen */
  function choose(chosen) {
    tabs.forEach((tab, i) => {
      tab.setAttribute('aria-selected', String(i === chosen));
      tab.tabIndex = i === chosen ? 0 : -1;
    });
    panels.forEach((panel, i) => (panel.hidden = i !== chosen));
    frame.dataset['tab'] = names[chosen] ?? '';
    onShown();
  }

  tabs.forEach((tab, i) => {
    tab.addEventListener('click', () => choose(i));
    tab.addEventListener('keydown', (event) => {
      const to = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const chosen = (to + tabs.length) % tabs.length;
      choose(chosen);
      tabs[chosen]?.focus();
    });
  });
}
