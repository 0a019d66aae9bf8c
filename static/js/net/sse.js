// Parses an event stream (`text/event-stream`, WHATWG HTML section 9.2) chunk by chunk into the data of its messages.
// The parser keeps the incomplete line and message between two chunks. Comments and the fields `event`, `id` and
// `retry` are ignored.

/**
 * @returns {(chunk: string) => string[]} takes the next chunk, and returns the data of the messages that the chunk
 *   completes
 */
export function createEventParser() {
  /** The text after the last line break, which the next chunk may continue. */
  let incompleteLine = '';
  /** The `data` fields of the incomplete message. */
  /** @type {string[]} */
  let dataLines = [];

  return (chunk) => {
    const lines = (incompleteLine + chunk).split('\n');
    incompleteLine = lines.pop() ?? '';
    /** @type {string[]} */
    const messages = [];
    for (const rawLine of lines) {
      const line = rawLine.replace(/\r$/, '');
      if (line === '') {
        if (dataLines.length > 0) messages.push(dataLines.join('\n'));
        dataLines = [];
      } else if (line.startsWith('data:')) {
        dataLines.push(line.slice('data:'.length).replace(/^ /, ''));
      }
    }
    return messages;
  };
}
