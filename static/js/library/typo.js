// PURE: recognises words with one wrong, missing, superfluous or transposed letter.

/** Shorter words are not searched with typos, because too many other words differ from them by one letter. */
export const MIN_TYPO_LENGTH = 5;

/**
 * Whether `word` begins with `typed`, apart from at most one typo.
 * @param {string} typed at least MIN_TYPO_LENGTH letters
 * @param {string} word
 */
export function beginsWithTypo(typed, word) {
  if (word.length < typed.length - 1) return false;
  let i = 0;
  while (i < typed.length && typed.charCodeAt(i) === word.charCodeAt(i)) i += 1;
  if (i === typed.length) return true;
  const rest = typed.slice(i + 1);
  const isSubstituted = word.startsWith(rest, i + 1);
  const isSuperfluous = word.startsWith(rest, i);
  const isMissing = word.startsWith(typed.slice(i), i + 1);
  const isTransposed = rest !== '' && typed[i] === word[i + 1] && typed[i + 1] === word[i] && word.startsWith(typed.slice(i + 2), i + 2);
  return isSubstituted || isSuperfluous || isMissing || isTransposed;
}
