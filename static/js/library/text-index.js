// An index of documents by their words, which finds the documents that contain words with given beginnings.

import { searchWordsOf } from './fold.js';
import { MIN_TYPO_LENGTH, beginsWithTypo } from './typo.js';

/** Weights of a document's fields, in the order of the fields: a match in the title counts more than one in the album. */
const FIELD_WEIGHTS = [8, 5, 4, 1];

/** Added if the whole word was typed. */
const WHOLE_WORD_WEIGHT = 2;

/** Bits of a posting that hold the number of the field. */
const FIELD_BITS = 2;

/** @typedef {ReturnType<typeof createTextIndex>} TextIndex */

export function createTextIndex() {
  /** Documents and fields that contain a word, as `document << FIELD_BITS | field`. @type {Map<string, number[]>} */
  const postings = new Map();
  /** All words, sorted; `null` after a document was added. @type {string[] | null} */
  let sortedWords = null;
  let documentCount = 0;

  function words() {
    sortedWords ??= [...postings.keys()].sort();
    return sortedWords;
  }

  /** @param {string} typed @param {boolean} mayHaveTypos @returns {string[]} the words of the index that begin with `typed` */
  function matchingWords(typed, mayHaveTypos) {
    if (mayHaveTypos && typed.length >= MIN_TYPO_LENGTH) return words().filter((word) => beginsWithTypo(typed, word));
    const from = lowerBound(words(), typed);
    let end = from;
    while (words()[end]?.startsWith(typed)) end += 1;
    return words().slice(from, end);
  }

  return {
    /** @param {readonly string[]} fields at most four texts, the most important first */
    add: (fields) => {
      fields.forEach((field, fieldNumber) => {
        for (const word of searchWordsOf(field)) {
          const list = postings.get(word);
          const posting = (documentCount << FIELD_BITS) | fieldNumber;
          if (!list) postings.set(word, [posting]);
          else if (list.at(-1) !== posting) list.push(posting);
        }
      });
      documentCount += 1;
      sortedWords = null;
    },

    /** Sorts the words, which the first search would do otherwise. */
    prepare: () => void words(),

    /**
     * The numbers of the documents in which each of the words is the beginning of a word: best matches first, and otherwise
     * in the order in which they were added.
     * @param {readonly string[]} typedWords folded
     * @param {boolean} mayHaveTypos
     * @returns {number[]}
     */
    find: (typedWords, mayHaveTypos) => {
      const matchCounts = new Uint8Array(documentCount);
      const totals = new Uint16Array(documentCount);
      const weights = new Uint8Array(documentCount);
      typedWords.forEach((typed, wordNumber) => {
        weights.fill(0);
        for (const word of matchingWords(typed, mayHaveTypos)) {
          const bonus = word === typed ? WHOLE_WORD_WEIGHT : 0;
          for (const posting of postings.get(word) ?? []) {
            const weight = (FIELD_WEIGHTS[posting & ((1 << FIELD_BITS) - 1)] ?? 1) + bonus;
            const document = posting >> FIELD_BITS;
            if ((weights[document] ?? 0) < weight) weights[document] = weight;
          }
        }
        for (let document = 0; document < documentCount; document += 1) {
          if (weights[document] === 0 || matchCounts[document] !== wordNumber) continue;
          matchCounts[document] = wordNumber + 1;
          totals[document] = (totals[document] ?? 0) + (weights[document] ?? 0);
        }
      });
      return inOrderOfWeight(totals, (document) => matchCounts[document] === typedWords.length);
    },
  };
}

/** The index of the first word that is not before `word`. @param {readonly string[]} words sorted @param {string} word */
function lowerBound(words, word) {
  let [from, end] = [0, words.length];
  while (from < end) {
    const middle = (from + end) >> 1;
    if (/** @type {string} */ (words[middle]) < word) from = middle + 1;
    else end = middle;
  }
  return from;
}

/** @param {Uint16Array} totals @param {(document: number) => boolean} isFound @returns {number[]} */
function inOrderOfWeight(totals, isFound) {
  /** Documents by their total: there are few different totals, so this is faster than sorting. @type {number[][]} */
  const buckets = [];
  totals.forEach((total, document) => {
    if (isFound(document)) (buckets[total] ??= []).push(document);
  });
  return buckets.reverse().flatMap((bucket) => bucket ?? []);
}
