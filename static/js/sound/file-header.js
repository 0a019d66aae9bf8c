// PURE: what the first bytes of a music file say: where the music begins, and how many channels it has.

/** Bytes of a file that are read for its header. */
export const HEADER_BYTES = 64 * 1024;

const DEFAULT_CHANNELS = 2;

/** Where the byte with the number of channels is, from the name of the codec on. */
const OGG_CHANNEL_OFFSETS = /** @type {const} */ ([['OpusHead', 9], ['\x01vorbis', 11]]);

/** The length of the ID3v2 tag at the beginning of a file; 0 without a tag. @param {Uint8Array} bytes at least the first ten */
export function id3Length(bytes) {
  if (bytes.length < 10 || textAt(bytes, 0, 3) !== 'ID3') return 0;
  // Four bytes of seven bits each, and ten bytes more if the tag has a footer.
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(6, 10);
  const hasFooter = ((bytes[5] ?? 0) & 0x10) !== 0;
  return 10 + (((a & 127) << 21) | ((b & 127) << 14) | ((c & 127) << 7) | (d & 127)) + (hasFooter ? 10 : 0);
}

/**
 * The number of channels; 2 if unknown.
 * @param {Uint8Array} bytes from the beginning of the music on; for MP4 any part that contains the sample description
 */
export function channelCount(bytes) {
  return Math.max(1, readChannelCount(bytes) || DEFAULT_CHANNELS);
}

/** @param {Uint8Array} bytes @returns {number} 0 if unknown */
function readChannelCount(bytes) {
  const byte = (/** @type {number} */ offset) => bytes[offset] ?? 0;
  const start = textAt(bytes, 0, 4);
  if (start === 'fLaC') return ((byte(20) >> 1) & 7) + 1;
  if (start === 'RIFF' || start === 'RF64') {
    const format = indexOf(bytes, 'fmt ');
    return format < 0 ? 0 : byte(format + 10) + 256 * byte(format + 11);
  }
  if (start === 'FORM') {
    const common = indexOf(bytes, 'COMM');
    return common < 0 ? 0 : byte(common + 9);
  }
  if (start === 'OggS') {
    for (const [name, offset] of OGG_CHANNEL_OFFSETS) {
      const header = indexOf(bytes, name);
      if (header >= 0) return byte(header + offset);
    }
    const flac = indexOf(bytes, 'fLaC');
    return flac < 0 ? 0 : ((byte(flac + 20) >> 1) & 7) + 1;
  }
  // ADTS: three bits across two bytes.
  if (byte(0) === 0xff && (byte(1) & 0xf6) === 0xf0) return aacChannels(((byte(2) & 1) << 2) | (byte(3) >> 6));
  // AAC in MP4: the decoder's configuration is in nested descriptors. The number of channels beside the name of the codec is 2 in
  // most files, whatever they contain.
  const descriptors = indexOf(bytes, 'esds');
  if (descriptors >= 0) {
    const decoder = contentOf(bytes, descriptors + 8) + 3;
    const configuration = contentOf(bytes, contentOf(bytes, decoder) + 13);
    return aacChannels((byte(configuration + 1) >> 3) & 15);
  }
  for (const codec of ['alac', 'fLaC', 'Opus']) {
    // The entry of the sample description: its name, 16 bytes, and the number of channels.
    const entry = indexOf(bytes, codec);
    if (entry >= 0 && byte(entry + 20) === 0 && byte(entry + 21) <= 24) return byte(entry + 21);
  }
  return 0;
}

/**
 * Reads what is needed of a file: the music without a tag in front of it, and its number of channels.
 * @param {Blob} blob
 * @returns {Promise<{music: Blob, channels: number}>}
 */
export async function readHeader(blob) {
  const read = async (/** @type {Blob} */ part) => new Uint8Array(await part.arrayBuffer());
  const tagLength = id3Length(await read(blob.slice(0, 10)));
  const afterTag = tagLength > 0 && tagLength < blob.size ? blob.slice(tagLength, blob.size, blob.type) : blob;
  const head = await read(afterTag.slice(0, HEADER_BYTES));
  const isMp4 = textAt(head, 4, 4) === 'ftyp';
  const isDescriptionAtEnd = isMp4 && readChannelCount(head) === 0 && blob.size > HEADER_BYTES;
  const channels = channelCount(isDescriptionAtEnd ? await read(blob.slice(-4 * HEADER_BYTES)) : head);
  // Firefox does not know a FLAC file behind a tag. MP3 files keep theirs, which all browsers know.
  return { music: textAt(head, 0, 4) === 'fLaC' ? afterTag : blob, channels };
}

/** Where the content of an MPEG-4 descriptor begins: after its tag, and its length in groups of seven bits. @param {Uint8Array} bytes @param {number} offset */
function contentOf(bytes, offset) {
  let end = offset + 1;
  while (((bytes[end] ?? 0) & 0x80) !== 0) end += 1;
  return end + 1;
}

/** @param {number} configuration of AAC */
function aacChannels(configuration) {
  return configuration === 7 ? 8 : configuration;
}

/** @param {Uint8Array} bytes @param {number} offset @param {number} length */
function textAt(bytes, offset, length) {
  return String.fromCharCode(...bytes.subarray(offset, offset + length));
}

/** @param {Uint8Array} bytes @param {string} text @returns {number} −1 if absent */
function indexOf(bytes, text) {
  const first = text.charCodeAt(0);
  for (let i = bytes.indexOf(first); i >= 0; i = bytes.indexOf(first, i + 1)) {
    if (textAt(bytes, i, text.length) === text) return i;
  }
  return -1;
}
