// Shows the page in the language of the setting or of the browser. Tables other than English are loaded when they are needed;
// without its table, a language cannot be chosen, and the page stays in the language that it has.

import { en } from '../language/en.js';
import { AUTOMATIC, chooseLanguage, htmlLanguage } from '../language/languages.js';
import { setTexts, text } from '../language/texts.js';
import { keepLanguageOffline } from '../net/service-worker.js';
import { sleep } from '../timer.js';
import { translatePage } from '../ui/page-texts.js';

/** @typedef {import('../language/languages.js').Language} Language */
/** @typedef {import('../language/texts.js').TextTable} TextTable */

/** The page starts in English after this time, and changes the language when the table arrives. */
const LOAD_TIMEOUT_MS = 1_500;

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {(message: string) => void} options.showMessage
 * @returns {Promise<void>} resolves when the page has its language, or after a timeout
 */
export function startLanguage({ store, showMessage }) {
  let lastChoice = '';

  async function update() {
    const setting = store.get().settings.language;
    const { language, locale } = chooseLanguage(setting, navigator.languages);
    const choice = `${language} ${locale}`;
    if (choice === lastChoice) return;
    lastChoice = choice;
    const table = await loadTable(language).catch(() => null);
    // The user may have chosen another language in the meantime.
    if (choice !== lastChoice) return;
    if (!table) {
      lastChoice = '';
      if (setting !== AUTOMATIC && store.get().view === 'room') showMessage(text('settings.languageNotLoaded'));
      return;
    }
    setTexts(locale, table);
    translatePage(htmlLanguage(language));
    store.update({ locale });
  }

  store.subscribe((state, previous) => {
    if (state.settings.language !== previous.settings.language) update();
  });
  addEventListener('languagechange', update);
  return Promise.race([update(), sleep(LOAD_TIMEOUT_MS)]);
}

let failedLoadCount = 0;

/** @param {Language} language @returns {Promise<TextTable>} @throws if the table cannot be loaded */
async function loadTable(language) {
  if (language === 'en') return en;
  try {
    // Browsers remember a failed import under its address (HTML standard, "module map").
    const suffix = failedLoadCount > 0 ? `?${failedLoadCount}` : '';
    const module = await import(`../language/tables/${language}.js${suffix}`);
    keepLanguageOffline(language);
    return module[language];
  } catch (error) {
    failedLoadCount += 1;
    throw error;
  }
}
