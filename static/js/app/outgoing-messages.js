// The chat messages that this phone is sending: shown until the server's copy arrives, and returned to the writer if they fail. The
// answer to a message may be lost although the message is not.

/** @typedef {import('../types.js').ChatMessage} ChatMessage */
/** @typedef {import('../types.js').MemberId} MemberId */

/** @typedef {{text: string, afterId: number, id: number | null}} Outgoing `afterId`: of the last message before; `id`: of the message, once the server has answered */

/** How long an answered message is shown without the server's copy, for example because it has been removed meanwhile. */
const COPY_TIMEOUT_MS = 10_000;

/** The text as the server cleans it, apart from rare characters. @param {string} text */
const cleaned = (text) => text.trim().replace(/\s+/g, ' ');

/**
 * @param {object} options
 * @param {(text: string) => Promise<number>} options.postMessage resolves to the id
 * @param {() => number} options.lastId of the messages that the page knows
 * @param {() => void} options.onChange called when other messages are being sent
 * @param {(text: string, error: unknown) => void} options.onFailed called with what has not been sent
 * @param {(text: string) => void} options.onArrivedLate called when a message that seemed to have failed has arrived
 */
export function createOutgoingMessages({ postMessage, lastId, onChange, onFailed, onArrivedLate }) {
  /** @type {Outgoing[]} */
  let waiting = [];
  /** The message that has just failed, which the server may have. @type {Outgoing | null} */
  let failed = null;
  let lastInQueue = Promise.resolve();

  /** @param {Outgoing} message */
  function forget(message) {
    if (!waiting.includes(message)) return;
    waiting = waiting.filter((other) => other !== message);
    onChange();
  }

  /** @param {Outgoing} message */
  async function deliver(message) {
    // An earlier one has failed, and this one was returned with it.
    if (!waiting.includes(message)) return;
    try {
      message.id = await postMessage(message.text);
      setTimeout(() => forget(message), COPY_TIMEOUT_MS);
    } catch (error) {
      // The server's copy has arrived without the answer.
      if (!waiting.includes(message)) return;
      const returned = waiting.filter(({ id }) => id === null);
      waiting = waiting.filter(({ id }) => id !== null);
      failed = message;
      onChange();
      onFailed(returned.map(({ text }) => text).join(' '), error);
    }
  }

  return {
    /** @param {string} text */
    send: (text) => {
      failed = null;
      /** @type {Outgoing} */
      const message = { text, afterId: lastId(), id: null };
      waiting = [...waiting, message];
      onChange();
      lastInQueue = lastInQueue.then(() => deliver(message));
    },

    /** What is being sent, oldest first. */
    texts: () => waiting.map(({ text }) => text),

    /** Compares with the messages that the page knows. @param {readonly ChatMessage[]} messages @param {MemberId | null} ownMemberId */
    settle: (messages, ownMemberId) => {
      const own = messages.filter(({ memberId }) => memberId === ownMemberId);
      const taken = new Set();
      const copyOf = (/** @type {Outgoing} */ { text, afterId, id }) =>
        own.find((message) => !taken.has(message.id) && (id === null ? message.id > afterId && cleaned(message.text) === cleaned(text) : message.id === id));
      for (const message of waiting) {
        const copy = copyOf(message);
        if (!copy) continue;
        taken.add(copy.id);
        forget(message);
        // An equal message that follows has another copy.
        for (const other of waiting) other.afterId = Math.max(other.afterId, copy.id);
      }
      if (!failed || !copyOf(failed)) return;
      const { text } = failed;
      failed = null;
      onArrivedLate(text);
    },
  };
}
