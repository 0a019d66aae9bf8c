// Files of music that are made up: each says what it is, for a sound card and an element that are made up as well.

/** Its bytes are there at once, for time that passes when a test says so. */
class Song extends Blob {
  /** @param {object} says */
  constructor(says) {
    super([JSON.stringify(says)], { type: 'audio/song' });
    this.says = says;
  }
  async arrayBuffer() {
    return new TextEncoder().encode(JSON.stringify(this.says)).buffer;
  }
}

/**
 * @param {string} song
 * @param {number} seconds
 * @param {{decodable?: boolean, playable?: boolean}} [is] by a context, and by an element
 */
export function songOf(song, seconds, { decodable = true, playable = true } = {}) {
  return new Song({ song, seconds, decodable, playable });
}
