// The event stream: opened, watched, opened again. What its messages mean is not known here.

/** @typedef {import('./types.js').Message} Message */

/** Waits before the first, second, … try to reopen. */
const BACKOFF_MS = [500, 1_000, 2_000, 4_000];

/**
 * @param {object} options
 * @param {() => string} options.query what the server is to know of this phone, anew for each try
 * @param {() => void} options.onOpen
 * @param {(message: Message) => void} options.onMessage
 * @param {() => Promise<boolean>} options.onLost says whether to try again
 */
export function createStream({ query, onOpen, onMessage, onLost }) {
  /** @type {EventSource | null} */
  let source = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let tries = 0;
  let turn = 0;
  let wanted = false;

  function open() {
    drop();
    wanted = true;
    const events = new EventSource(`/events${query()}`);
    source = events;
    events.onopen = () => {
      tries = 0;
      onOpen();
    };
    events.onmessage = ({ data }) => onMessage(JSON.parse(data));
    // The browser's own reconnecting would repeat the address, and with it where the music was when
    // the stream was opened; so each try is a stream of its own.
    events.onerror = () => lost();
  }

  function drop() {
    turn += 1;
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  async function lost() {
    drop();
    const own = turn;
    const again = await onLost();
    if (!again || own !== turn) return;
    timer = setTimeout(open, BACKOFF_MS[Math.min(tries, BACKOFF_MS.length - 1)]);
    tries += 1;
  }

  return {
    open,
    close: () => {
      wanted = false;
      drop();
    },
    /** To be called when the network gives reason to think that the stream is dead but silent. */
    suspect: () => {
      if (source) lost();
    },
    /** Tries at once what would be tried later, or is being tried in vain. */
    hurry: () => {
      if (!source && wanted) {
        tries = 0;
        open();
      }
    },
  };
}
