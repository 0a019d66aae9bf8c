// PURE: the text of an event stream (WHATWG HTML 9.2) in, as it comes; the data of whole messages
// out. Comments and the fields that this app does not use are read over.

/** @returns {(chunk: string) => string[]} */
export function createEventParser() {
  /** The end of the text so far: a line that may go on in the next chunk. */
  let open = '';
  /** @type {string[]} */
  let data = [];

  return (chunk) => {
    const lines = (open + chunk).split('\n');
    open = lines.pop() ?? '';
    /** @type {string[]} */
    const messages = [];
    for (const ended of lines) {
      const line = ended.replace(/\r$/, '');
      if (line === '') {
        if (data.length > 0) messages.push(data.join('\n'));
        data = [];
      } else if (line.startsWith('data:')) {
        data.push(line.slice('data:'.length).replace(/^ /, ''));
      }
    }
    return messages;
  };
}
