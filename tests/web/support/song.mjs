// Fake music files for the fake sound card and element: JSON with the song's name and duration.

/** A Blob whose `arrayBuffer` does no real I/O, so that it resolves in virtual time. */
class Song extends Blob {
  /** @param {object} content */
  constructor(content) {
    super([JSON.stringify(content)], { type: 'audio/song' });
    this.content = content;
  }
  /** Without the bytes: a header of music is not in them. */
  slice() {
    return this;
  }
  async arrayBuffer() {
    return new TextEncoder().encode(JSON.stringify(this.content)).buffer;
  }
}

/**
 * @param {string} song name of the song
 * @param {number} seconds duration of the song
 * @param {{decodable?: boolean, playable?: boolean, channels?: number}} [support] `decodable` by an AudioContext, `playable` by an element
 */
export function songOf(song, seconds, { decodable = true, playable = true, channels = 2 } = {}) {
  return new Song({ song, seconds, decodable, playable, channels });
}
