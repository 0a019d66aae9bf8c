// Asks for a second press before something that cannot be taken back. The question stands for some seconds.

/** Time after which the button no longer asks for confirmation. */
const CONFIRM_TIMEOUT_MS = 5_000;

/**
 * @template K what identifies the button
 * @param {() => void} onChange called when the button that asks has changed
 */
export function createSecondPress(onChange) {
  /** @type {K | null} */
  let asking = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {K | null} key */
  function ask(key) {
    clearTimeout(timer);
    asking = key;
    if (key !== null) timer = setTimeout(ask, CONFIRM_TIMEOUT_MS, null);
    onChange();
  }

  return {
    /** @param {K} key */
    isAsking: (key) => asking === key,
    /** @param {K} key @param {MouseEvent} event @returns {boolean} whether this press confirms */
    press: (key, { detail }) => {
      // The second click of a double click must not confirm.
      if (detail > 1) return false;
      const isConfirmed = asking === key;
      ask(isConfirmed ? null : key);
      return isConfirmed;
    },
    /** Ignores a key that is held down, which must not confirm either. @param {HTMLElement} element that contains the buttons */
    ignoreHeldKeys: (element) => {
      element.addEventListener('keydown', (event) => {
        if (event.repeat && event.key === 'Enter') event.preventDefault();
      });
    },
  };
}
