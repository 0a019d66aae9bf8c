// PURE: the languages of the page, and which one is shown.

/** The name of each language in that language. English is part of the page; the others are in `tables/`. */
export const LANGUAGES = /** @type {const} */ ({
  en: 'English',
  de: 'Deutsch',
  fr: 'Français',
  es: 'Español',
  it: 'Italiano',
  pt: 'Português',
  pl: 'Polski',
  ja: '日本語',
  zh: '简体中文',
});

/** @typedef {keyof typeof LANGUAGES} Language */

/** The value of the setting that leaves the choice to the browser. */
export const AUTOMATIC = 'auto';

/** Tags of Chinese that is written in traditional characters, for which there is no table. */
const TRADITIONAL_CHINESE = /^zh-(hant|tw|hk|mo)\b/i;

/** @param {unknown} value @returns {value is Language} */
export function isLanguage(value) {
  return typeof value === 'string' && Object.hasOwn(LANGUAGES, value);
}

/**
 * The language to show, and the BCP 47 tag by which numbers and dates are formatted: the browser's, where it names the region.
 * @param {Language | typeof AUTOMATIC} setting
 * @param {readonly string[]} browserLanguages in the order of the user's preference
 * @returns {{language: Language, locale: string}}
 */
export function chooseLanguage(setting, browserLanguages) {
  for (const locale of browserLanguages) {
    const language = locale.split('-')[0]?.toLowerCase();
    if (!isLanguage(language) || TRADITIONAL_CHINESE.test(locale)) continue;
    if (setting === AUTOMATIC || setting === language) return { language, locale };
  }
  const language = setting === AUTOMATIC ? 'en' : setting;
  return { language, locale: htmlLanguage(language) };
}

/** The value of `<html lang>`, by which browsers choose fonts and voices. @param {Language} language */
export function htmlLanguage(language) {
  return language === 'zh' ? 'zh-Hans' : language;
}
