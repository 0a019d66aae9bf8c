//! Reads the text frames of ID3v2.2, 2.3 and 2.4 tags. A malformed frame costs itself, and not the frames after it: where a
//! frame does not end at the beginning of another frame, the reader searches for the next known frame.
//!
//! `lofty` 0.22 discards a whole tag because of one malformed frame, takes the plain frame sizes that iTunes writes into
//! ID3v2.4 tags for synchsafe sizes, and does not tell which texts are in an unknown character set.
//!
//! Sources: <https://id3.org/id3v2-00>, <https://id3.org/id3v2.3.0>, <https://id3.org/id3v2.4.0-structure>.

use std::io::Read;

use flate2::read::ZlibDecoder;
use lofty::picture::PictureType;

use super::fields::{Field, MAX_VALUE_SIZE, TagValues, Value};
use super::source::Source;

/// The size of the tag's header, and of its footer.
const TAG_HEADER_SIZE: u64 = 10;
/// The most bytes of a frame that are read: enough for many values, and for a text after a long description.
const MAX_FRAME_SIZE: usize = 64 << 10;
/// The size of the largest picture frame that is read.
const MAX_PICTURE_SIZE: usize = 16 << 20;
/// The most bytes in all pictures of a file that are read, because they are in memory at the same time.
pub(super) const MAX_PICTURES_SIZE: usize = 32 << 20;
/// The largest tag with tag-wide unsynchronization that is read as a whole. Of a larger tag, only this much is read.
const MAX_UNSYNCHRONIZED_TAG_SIZE: usize = 16 << 20;
/// How far the reader searches for the frame after a malformed frame.
const MAX_SEARCH_SIZE: usize = 1 << 20;
/// The most frames of a tag. A tag with more frames is malformed or hostile.
const MAX_FRAMES: usize = 2_000;

/// Frames with a text, by their ids in ID3v2.3 and 2.4 and in ID3v2.2, and the fields that they hold.
const TEXT_FRAMES: [(&[u8; 4], &[u8; 3], Field); 13] = [
    (b"TIT2", b"TT2", Field::Title),
    (b"TPE1", b"TP1", Field::Artist),
    (b"TALB", b"TAL", Field::Album),
    (b"TPE2", b"TP2", Field::AlbumArtist),
    (b"TRCK", b"TRK", Field::TrackNumber),
    (b"TPOS", b"TPA", Field::Disc),
    (b"TCON", b"TCO", Field::Genre),
    (b"TDRC", b"TYE", Field::Date),
    (b"TYER", b"TYE", Field::Date),
    (b"TDRL", b"TRD", Field::OtherDate),
    (b"TDOR", b"TOR", Field::OtherDate),
    (b"TORY", b"TOR", Field::OtherDate),
    (b"TCMP", b"TCP", Field::Compilation),
];
/// Other frames that are read, with their ids in ID3v2.2. There is no RVA2 in ID3v2.2.
const OTHER_FRAMES: [(&[u8; 4], &[u8; 3]); 3] =
    [(b"TXXX", b"TXX"), (b"COMM", b"COM"), (b"RVA2", b"\0\0\0")];
/// Frames that are often between those that are read. The search for the next frame stops at them, too.
const FRAMES_AROUND: [(&[u8; 4], &[u8; 3]); 12] = [
    (b"APIC", b"PIC"),
    (b"TSSE", b"TSS"),
    (b"TENC", b"TEN"),
    (b"TLEN", b"TLE"),
    (b"TCOM", b"TCM"),
    (b"TBPM", b"TBP"),
    (b"TDAT", b"TDA"),
    (b"TCOP", b"TCR"),
    (b"TPUB", b"TPB"),
    (b"USLT", b"ULT"),
    (b"PRIV", b"\0\0\0"),
    (b"WXXX", b"WXX"),
];

/// Reads the tag at `offset`. Returns its values and the offset of its end; `None` if there is no tag at `offset`.
pub(super) fn read(source: &mut Source, offset: u64) -> Option<(TagValues, u64)> {
    let mut tag = TagValues::default();
    let end = for_each_frame(source, offset, |frames, frame| {
        frames.add_values(frame, &mut tag);
    })?;
    Some((tag, end))
}

/// The pictures in the tag at `offset`, in the order of the tag. If they have more than [`MAX_PICTURES_SIZE`] bytes, leaves out
/// some of them: if possible, none that is marked as front cover.
pub(super) fn read_pictures(source: &mut Source, offset: u64) -> Vec<(PictureType, Vec<u8>)> {
    let (pictures, are_all) = read_pictures_of_kind(source, offset, |_| true);
    let is_front = |kind| kind == PictureType::CoverFront;
    if are_all || pictures.iter().any(|(kind, _)| is_front(*kind)) {
        return pictures;
    }
    let (front_covers, _) = read_pictures_of_kind(source, offset, is_front);
    if front_covers.is_empty() {
        pictures
    } else {
        front_covers
    }
}

/// The pictures in the tag at `offset` whose kind `is_wanted`, at most [`MAX_PICTURES_SIZE`] bytes; and whether these are all.
fn read_pictures_of_kind(
    source: &mut Source,
    offset: u64,
    is_wanted: impl Fn(PictureType) -> bool,
) -> (Vec<(PictureType, Vec<u8>)>, bool) {
    let (mut found, mut size, mut are_all) = (Vec::new(), 0, true);
    for_each_frame(source, offset, |frames, frame| {
        if !is_picture(frame) {
            return;
        }
        let content = frames.content(frame, MAX_PICTURE_SIZE).unwrap_or_default();
        let Some((kind, data)) = parse_picture(&content, frames.version) else {
            return;
        };
        let kind = PictureType::from_u8(kind);
        if !is_wanted(kind) {
            return;
        }
        if size + data.len() > MAX_PICTURES_SIZE {
            are_all = false;
            return;
        }
        size += data.len();
        found.push((kind, data.to_vec()));
    });
    (found, are_all)
}

/// Whether the frame holds a picture that is neither empty nor larger than [`MAX_PICTURE_SIZE`].
fn is_picture(frame: &Frame) -> bool {
    // The smallest pictures are larger than the fields before them.
    const MIN_SIZE: u64 = 64;
    matches!(&frame.id, b"APIC" | b"PIC\0")
        && (MIN_SIZE..=MAX_PICTURE_SIZE as u64).contains(&(frame.end - frame.content_offset))
}

/// The kind and the data in the content of a picture frame.
fn parse_picture(content: &[u8], version: u8) -> Option<(u8, &[u8])> {
    let (encoding, rest) = content.split_first()?;
    let rest = if version == 2 {
        // The format, such as `JPG`.
        rest.get(3..)?
    } else {
        let media_type_size = rest.iter().take(256).position(|byte| *byte == 0)?;
        &rest[media_type_size + 1..]
    };
    let (kind, rest) = rest.split_first()?;
    let is_utf16 = matches!(encoding, 1 | 2);
    let description_size = if is_utf16 {
        2 * rest.chunks_exact(2).position(|unit| unit == [0, 0])? + 2
    } else {
        rest.iter().position(|byte| *byte == 0)? + 1
    };
    let data = &rest[description_size..];
    (!data.is_empty()).then_some((*kind, data))
}

/// Calls `on_frame` with each frame of the tag at `offset`, and returns the offset of the tag's end; `None` if there is no
/// tag at `offset`.
fn for_each_frame(
    source: &mut Source,
    offset: u64,
    mut on_frame: impl FnMut(&mut Frames, &Frame),
) -> Option<u64> {
    let header = source.read(offset, TAG_HEADER_SIZE as usize);
    let size = u64::from(synchsafe(header.get(6..10)?)?);
    let (version, flags) = (header[3], header[5]);
    if !header.starts_with(b"ID3") || !(2..=4).contains(&version) {
        return None;
    }
    let has_footer = version == 4 && flags & 0x10 != 0;
    let end = offset + TAG_HEADER_SIZE + size + if has_footer { TAG_HEADER_SIZE } else { 0 };
    let is_unsynchronized = flags & 0x80 != 0;
    let start = offset + TAG_HEADER_SIZE;
    let length = size.min(source.size().saturating_sub(start));
    let mut body = Body {
        memory: None,
        start,
        length,
        source,
    };
    if is_unsynchronized && version < 4 {
        let stored = body.read(0, MAX_UNSYNCHRONIZED_TAG_SIZE);
        let memory = remove_unsynchronization(&stored);
        body.length = memory.len() as u64;
        body.memory = Some(memory);
    }
    let mut frames = Frames {
        body,
        version,
        is_unsynchronized,
    };
    let has_extended_header = version > 2 && flags & 0x40 != 0;
    let mut at = if has_extended_header {
        frames.extended_header_size()
    } else {
        0
    };
    for _ in 0..MAX_FRAMES {
        let Some(frame) = frames.frame_at(at) else {
            break;
        };
        at = frame.end;
        on_frame(&mut frames, &frame);
    }
    Some(end)
}

/// The value of a "synchsafe" integer, which has seven bits in each byte. `None` if the highest bit of a byte is set.
fn synchsafe(bytes: &[u8]) -> Option<u32> {
    let is_synchsafe = bytes.iter().all(|byte| *byte < 0x80);
    is_synchsafe.then(|| {
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 7 | u32::from(*byte))
    })
}

/// The value of a big-endian integer.
fn plain_integer(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// Removes the zero that unsynchronization inserts after each byte 0xff. Returns the bytes as they are if they contain what
/// unsynchronization never leaves, because some programs set the flag without unsynchronizing.
fn remove_unsynchronization(bytes: &[u8]) -> Vec<u8> {
    if bytes
        .windows(2)
        .any(|pair| pair[0] == 0xff && pair[1] >= 0xe0)
    {
        return bytes.to_vec();
    }
    let mut result = Vec::with_capacity(bytes.len());
    let mut follows_ff = false;
    for byte in bytes {
        if !(follows_ff && *byte == 0) {
            result.push(*byte);
        }
        follows_ff = *byte == 0xff;
    }
    result
}

/// The bytes of a tag after its header: in the file, or in memory if the whole tag was unsynchronized.
struct Body<'s, 'f> {
    source: &'s mut Source<'f>,
    memory: Option<Vec<u8>>,
    /// The offset of the body in the file.
    start: u64,
    length: u64,
}

impl Body<'_, '_> {
    /// At most `length` bytes at `at`; fewer at the end of the tag.
    fn read(&mut self, at: u64, length: usize) -> Vec<u8> {
        let available = self.length.saturating_sub(at);
        let length = usize::try_from(available).map_or(length, |available| length.min(available));
        match &self.memory {
            None => self.source.read(self.start + at, length),
            Some(memory) => {
                let start = usize::try_from(at).unwrap_or(usize::MAX).min(memory.len());
                memory[start..memory.len().min(start + length)].to_vec()
            }
        }
    }
}

/// A frame, and where it lies in the body of its tag.
struct Frame {
    id: [u8; 4],
    flags: u8,
    content_offset: u64,
    /// The offset after the frame.
    end: u64,
}

struct Frames<'s, 'f> {
    body: Body<'s, 'f>,
    version: u8,
    /// The flag in the header of the tag.
    is_unsynchronized: bool,
}

impl Frames<'_, '_> {
    fn id_size(&self) -> usize {
        if self.version == 2 { 3 } else { 4 }
    }

    fn header_size(&self) -> usize {
        if self.version == 2 { 6 } else { 10 }
    }

    /// The size of the extended header, whose flag is set in the header of the tag. 0 if there is a frame instead.
    fn extended_header_size(&mut self) -> u64 {
        let bytes = self.body.read(0, 10);
        let Some(size) = bytes.get(..4) else { return 0 };
        if bytes.len() == 10 && self.is_frame_id(size) {
            return 0;
        }
        match (self.version, synchsafe(size)) {
            (3, _) => 4 + u64::from(plain_integer(size)),
            (_, Some(size)) => size.into(),
            (_, None) => 0,
        }
    }

    fn is_frame_id(&self, id: &[u8]) -> bool {
        let is_id_char = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        // iTunes writes ids of ID3v2.2 into newer tags, filled up with a zero or a space.
        id.len() == self.id_size()
            && id[0].is_ascii_uppercase()
            && id[..3].iter().all(is_id_char)
            && id
                .get(3)
                .is_none_or(|last| is_id_char(last) || matches!(last, 0 | b' '))
    }

    /// The possible sizes of the content of a frame with this header, the most probable first.
    fn sizes(&self, header: &[u8]) -> Vec<u64> {
        let size = &header[self.id_size()..];
        let sizes = match self.version {
            2 => vec![Some(plain_integer(&size[..3]))],
            // Some programs write synchsafe sizes into ID3v2.3 tags, and iTunes writes plain sizes into ID3v2.4 tags.
            3 => vec![Some(plain_integer(&size[..4])), synchsafe(&size[..4])],
            _ => vec![synchsafe(&size[..4]), Some(plain_integer(&size[..4]))],
        };
        sizes.into_iter().flatten().map(u64::from).collect()
    }

    /// Whether the frames end at `at`, or whether another frame begins there.
    fn is_boundary(&mut self, at: u64) -> bool {
        if at > self.body.length {
            return false;
        }
        let header_size = self.header_size();
        let header = self.body.read(at, header_size);
        let is_id = |id: &[u8]| self.is_frame_id(id);
        header.iter().all(|byte| *byte == 0)
            || header.len() == header_size && header.get(..self.id_size()).is_some_and(is_id)
    }

    /// The frame at `at`, or the first known frame after bytes that are not a frame. `None` after the last frame.
    fn frame_at(&mut self, at: u64) -> Option<Frame> {
        let header_size = self.header_size();
        let mut at = at;
        let mut header = self.body.read(at, header_size);
        if header.len() < header_size || header.iter().all(|byte| *byte == 0) {
            return None;
        }
        if !self.is_frame_id(&header[..self.id_size()]) {
            at = self.find_known_frame(at)?;
            header = self.body.read(at, header_size);
        }
        let content = at + header_size as u64;
        let mut id = [0; 4];
        id[..self.id_size()].copy_from_slice(&header[..self.id_size()]);
        let ends: Vec<_> = self
            .sizes(&header)
            .iter()
            .map(|size| content + size)
            .collect();
        let well_formed = ends.iter().find(|end| self.is_boundary(**end)).copied();
        let end = well_formed.unwrap_or_else(|| {
            // The size is wrong, or bytes that are not a frame follow.
            let next = self.find_known_frame(content);
            let fitting = ends.into_iter().find(|end| *end <= self.body.length);
            match (next, fitting) {
                (Some(next), Some(fitting)) => next.min(fitting),
                (Some(end), None) | (None, Some(end)) => end,
                (None, None) => self.body.length,
            }
        });
        Some(Frame {
            id,
            flags: header.get(9).copied().unwrap_or(0),
            content_offset: content,
            end,
        })
    }

    /// The offset of the first known frame at or after `at` whose size fits into the tag.
    fn find_known_frame(&mut self, at: u64) -> Option<u64> {
        let bytes = self.body.read(at, MAX_SEARCH_SIZE);
        let (id_size, header_size) = (self.id_size(), self.header_size());
        let starts = bytes.windows(header_size).enumerate();
        let mut known = starts.filter(|(_, header)| {
            header[0].is_ascii_uppercase() && is_known_frame(&header[..id_size])
        });
        known.find_map(|(skipped, header)| {
            let start = at + skipped as u64;
            let content = start + header_size as u64;
            let mut sizes = self.sizes(header).into_iter();
            sizes
                .any(|size| content + size <= self.body.length)
                .then_some(start)
        })
    }

    /// The content of a frame without unsynchronization and compression. `None` if the content is encrypted or malformed. At
    /// most `max_size` bytes are read.
    fn content(&mut self, frame: &Frame, max_size: usize) -> Option<Vec<u8>> {
        let size = usize::try_from(frame.end - frame.content_offset).ok()?;
        let stored = self.body.read(frame.content_offset, size.min(max_size));
        let (flags, mut skipped) = (frame.flags, 0);
        let (is_compressed, is_encrypted, is_unsynchronized) = match self.version {
            2 => (false, false, false),
            3 => {
                let is_compressed = flags & 0x80 != 0;
                // The decompressed size, and the id of a group.
                skipped += if is_compressed { 4 } else { 0 } + usize::from(flags & 0x20 != 0);
                (is_compressed, flags & 0x40 != 0, false)
            }
            _ => {
                let has_length = flags & 0x01 != 0;
                skipped += if has_length { 4 } else { 0 } + usize::from(flags & 0x40 != 0);
                let is_unsynchronized = flags & 0x02 != 0 || self.is_unsynchronized;
                (flags & 0x08 != 0, flags & 0x04 != 0, is_unsynchronized)
            }
        };
        if is_encrypted {
            return None;
        }
        let mut content = stored.get(skipped..)?.to_vec();
        if is_unsynchronized {
            content = remove_unsynchronization(&content);
        }
        if is_compressed {
            let mut decompressed = Vec::new();
            let decoder = ZlibDecoder::new(&*content).take(max_size as u64);
            // Keeps the bytes that were decompressed before an error: a frame that was read only in part ends with an error.
            let _ = { decoder }.read_to_end(&mut decompressed);
            content = decompressed;
        }
        Some(content)
    }

    /// Adds what the index uses of a frame to `tag`.
    fn add_values(&mut self, frame: &Frame, tag: &mut TagValues) {
        let id = frame.id.strip_suffix(b"\0").or(frame.id.strip_suffix(b" "));
        let id = id.unwrap_or(&frame.id).to_vec();
        let text_frame = TEXT_FRAMES
            .iter()
            .find(|(new, old, _)| id == **new || id == **old);
        if let Some((_, _, field)) = text_frame {
            let content = self.content(frame, MAX_FRAME_SIZE).unwrap_or_default();
            for value in parse_texts(&content) {
                tag.push(*field, value);
            }
        } else if matches!(&*id, b"TXXX" | b"TXX") {
            let content = self.content(frame, MAX_FRAME_SIZE).unwrap_or_default();
            let mut texts = parse_texts(&content).into_iter();
            if let Some(Value::Text(name)) = texts.next() {
                if let Some(field) = Field::named(&name) {
                    texts.for_each(|value| tag.push(field, value));
                }
            }
        } else if matches!(&*id, b"COMM" | b"COM") {
            let content = self.content(frame, MAX_FRAME_SIZE).unwrap_or_default();
            // A language of three letters stands between the encoding and the description.
            if let [encoding, _, _, _, rest @ ..] = &*content {
                let texts = parse_texts(&[&[*encoding], rest].concat());
                if let [Value::Text(name), value, ..] = &*texts {
                    if Field::named(name) == Some(Field::SoundCheck) {
                        tag.push(Field::SoundCheck, value.clone());
                    }
                }
            }
        } else if is_picture(frame) {
            tag.has_picture = true;
        } else if *id == *b"RVA2" {
            let content = self.content(frame, MAX_FRAME_SIZE).unwrap_or_default();
            if let Some((field, gain_db)) = relative_volume(&content) {
                tag.push(field, Value::Text(format!("{gain_db} dB")));
            }
        }
    }
}

fn is_known_frame(id: &[u8]) -> bool {
    let texts = TEXT_FRAMES.iter().map(|(new, old, _)| (*new, *old));
    let others = OTHER_FRAMES.into_iter().chain(FRAMES_AROUND);
    texts.chain(others).any(|(new, old)| id == new || id == old)
}

/// The gain of the master volume in an RVA2 frame, in dB, and the field to which the gain belongs.
fn relative_volume(content: &[u8]) -> Option<(Field, f64)> {
    let end = content.iter().position(|byte| *byte == 0)?;
    let field = match &content[..end].to_ascii_lowercase()[..] {
        b"album" => Field::AlbumGain,
        _ => Field::TrackGain,
    };
    const MASTER_VOLUME: u8 = 1;
    match content[end + 1..] {
        [MASTER_VOLUME, high, low, ..] => {
            let fixed_point = i16::from_be_bytes([high, low]);
            Some((field, f64::from(fixed_point) / 512.0))
        }
        _ => None,
    }
}

/// The texts of a text frame: a byte with the encoding, and texts that are separated by zeros.
fn parse_texts(content: &[u8]) -> Vec<Value> {
    let Some((encoding, texts)) = content.split_first() else {
        return Vec::new();
    };
    let is_utf16 = matches!(texts, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    match encoding {
        // Some programs declare Latin-1 and write UTF-16.
        0 | 1 | 3 if is_utf16 => utf16_texts(texts, false),
        // Others declare UTF-16 and write bytes: UTF-16 without a zero byte would be a text without ASCII.
        1 | 2 if !texts.is_empty() && texts.iter().all(|byte| matches!(byte, 0x09..=0x7f)) => {
            byte_texts(texts)
        }
        1 => utf16_texts(texts, false),
        2 => utf16_texts(texts, true),
        3 => texts
            .split(|byte| *byte == 0)
            .map(|text| Value::from_utf8(truncated(text)))
            .collect(),
        // The byte is not an encoding, but the first letter of the text.
        0x20.. => byte_texts(content),
        _ => byte_texts(texts),
    }
}

fn truncated(text: &[u8]) -> &[u8] {
    &text[..text.len().min(MAX_VALUE_SIZE)]
}

fn byte_texts(texts: &[u8]) -> Vec<Value> {
    let texts = texts.split(|byte| *byte == 0);
    texts
        .map(|text| Value::from_bytes(truncated(text)))
        .collect()
}

/// The texts in UTF-16. Without a byte order mark, the order is that of the text before, or `is_big_endian` for the first
/// text, unless the zero bytes of ASCII characters tell otherwise. An odd last byte is ignored.
fn utf16_texts(bytes: &[u8], is_big_endian: bool) -> Vec<Value> {
    const BOM: u16 = 0xfeff;
    const SWAPPED_BOM: u16 = 0xfffe;
    let pairs = || bytes.chunks_exact(2);
    let has_bom = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    let zeros_at = |at: usize| {
        pairs()
            .filter(|pair| pair[at] == 0 && pair[1 - at] != 0)
            .count()
    };
    let mut is_big_endian = match (zeros_at(0), zeros_at(1)) {
        (high, low) if !has_bom && high != low => high > low,
        _ => is_big_endian,
    };
    let units: Vec<_> = pairs()
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    units
        .split(|unit| *unit == 0)
        .map(|text| {
            let text = match text {
                [BOM, text @ ..] => {
                    is_big_endian = false;
                    text
                }
                [SWAPPED_BOM, text @ ..] => {
                    is_big_endian = true;
                    text
                }
                text => text,
            };
            let text = text.iter().take(MAX_VALUE_SIZE);
            let units = text.map(|unit| {
                if is_big_endian {
                    unit.swap_bytes()
                } else {
                    *unit
                }
            });
            let chars = char::decode_utf16(units).filter_map(Result::ok);
            Value::Text(chars.collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{file_of, id3v2_frame as frame, id3v2_tag as tag, source};
    use super::*;

    fn values(bytes: &[u8]) -> Vec<(Field, Value)> {
        let file = file_of(bytes);
        let mut source = source(&file);
        read(&mut source, 0).unwrap().0.values
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn title_and_artist(bytes: &[u8]) -> bool {
        values(bytes)
            == [
                (Field::Title, text("Title")),
                (Field::Artist, text("Artist")),
            ]
    }

    const TITLE: &[u8] = b"\x03Title";
    const ARTIST: &[u8] = b"\x03Artist";

    #[test]
    fn reads_the_frames_of_each_version() {
        for version in [3, 4] {
            let frames = [frame(b"TIT2", TITLE), frame(b"TPE1", ARTIST)];
            assert!(title_and_artist(&tag(version, 0, &frames.concat())));
        }
        let old = b"TT2\0\0\x06\0TitleTP1\0\0\x07\0Artist";
        assert!(title_and_artist(&tag(2, 0, old)));
    }

    #[test]
    fn a_frame_of_the_wrong_size_costs_no_other_frame() {
        for wrong_size in [0_u32, 3, 20, 0x7f00, 0xffff_ffff] {
            let mut comment = frame(b"TENC", b"\x03encoder");
            comment[4..8].copy_from_slice(&wrong_size.to_be_bytes());
            let frames = [comment, frame(b"TIT2", TITLE), frame(b"TPE1", ARTIST)];
            for version in [3, 4] {
                let bytes = tag(version, 0, &frames.concat());
                assert!(title_and_artist(&bytes), "{wrong_size}, version {version}");
            }
        }
    }

    #[test]
    fn reads_plain_sizes_in_2_4_and_synchsafe_sizes_in_2_3() {
        let picture = vec![0x55; 300];
        let mut plain_size = frame(b"APIC", &picture);
        plain_size[4..8].copy_from_slice(&300_u32.to_be_bytes());
        let mut synchsafe_size = frame(b"APIC", &picture);
        synchsafe_size[4..8].copy_from_slice(&[0, 0, 2, 44]);
        for (version, picture) in [(4, &plain_size), (3, &synchsafe_size), (4, &synchsafe_size)] {
            let frames = [
                frame(b"TIT2", TITLE),
                picture.clone(),
                frame(b"TPE1", ARTIST),
            ];
            assert!(title_and_artist(&tag(version, 0, &frames.concat())));
        }
    }

    #[test]
    fn removes_unsynchronization_of_frames_and_of_tags() {
        let utf16 = b"\x01\xff\xfeT\0i\0t\0l\0e\0";
        let stored = b"\x01\xff\0\xfeT\0i\0t\0l\0e\0";
        let mut marked = frame(b"TIT2", stored);
        marked[9] = 2;
        let artist = frame(b"TPE1", ARTIST);
        assert!(title_and_artist(&tag(
            4,
            0,
            &[&marked[..], &artist].concat()
        )));
        let unmarked = frame(b"TIT2", stored);
        assert!(title_and_artist(&tag(
            4,
            0x80,
            &[&unmarked[..], &artist].concat()
        )));
        let mut whole = frame(b"TIT2", utf16);
        whole.splice(11..13, [0xff, 0, 0xfe]);
        assert!(title_and_artist(&tag(
            3,
            0x80,
            &[&whole[..], &artist].concat()
        )));
        let not_unsynchronized = frame(b"TIT2", utf16);
        let frames = [&not_unsynchronized[..], &artist].concat();
        assert!(title_and_artist(&tag(4, 0x80, &frames)));
    }

    #[test]
    fn reads_data_lengths_groups_and_compressed_frames() {
        let mut compressor = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
        std::io::Write::write_all(&mut compressor, TITLE).unwrap();
        let compressed = compressor.finish().unwrap();
        let artist = frame(b"TPE1", ARTIST);
        for (version, flags, prefix, content) in [
            (4, 0x01, &b"\0\0\0\x06"[..], TITLE),
            (4, 0x40, b"G", TITLE),
            (4, 0x09, b"\0\0\0\x06", &compressed),
            (3, 0x20, b"G", TITLE),
            (3, 0x80, b"\0\0\0\x06", &compressed),
        ] {
            let mut title = frame(b"TIT2", &[prefix, content].concat());
            title[9] = flags;
            let bytes = tag(version, 0, &[&title[..], &artist].concat());
            assert!(title_and_artist(&bytes), "{flags:#x}, version {version}");
        }
    }

    #[test]
    fn decodes_texts_with_a_wrong_or_incomplete_encoding() {
        for (content, expected) in [
            (&b"\x01\xff\xfeT\0i\0t\0l\0e\0x"[..], "Title"),
            (b"\x01\xfe\xff\0T\0i\0t\0l\0e", "Title"),
            (b"\x01T\0i\0t\0l\0e\0", "Title"),
            (b"\x01\0T\0i\0t\0l\0e", "Title"),
            (b"\x02T\0i\0t\0l\0e\0", "Title"),
            (b"\x00\xff\xfeT\0i\0t\0l\0e\0", "Title"),
            (b"\x01Title", "Title"),
            (b"Title", "Title"),
            (b"\x01\xff\xfeT\0\x00\xd8i\0", "Ti"),
        ] {
            assert_eq!(parse_texts(content)[0], text(expected), "{content:x?}");
        }
        assert_eq!(
            parse_texts(b"\x03Caf\xe9"),
            [Value::Bytes(b"Caf\xe9".to_vec())]
        );
        assert_eq!(
            parse_texts(b"\x00Caf\xe9"),
            [Value::Bytes(b"Caf\xe9".to_vec())]
        );
        assert_eq!(parse_texts(b"\x03One\0Two"), [text("One"), text("Two")]);
    }

    #[test]
    fn reads_user_defined_and_loudness_frames() {
        let frames = [
            frame(b"TXXX", b"\x03replaygain_track_gain\0-6.5 dB"),
            frame(
                b"TXXX",
                b"\x01\xff\xfeY\0E\0A\0R\0\0\0\xff\xfe1\x009\x009\x009\0",
            ),
            frame(b"COMM", b"\0engiTunNORM\0 00000100 00000200"),
            frame(b"COMM", b"\0eng\0A comment"),
            frame(b"RVA2", b"album\0\x01\xfc\0\x10\0\0"),
        ];
        assert_eq!(
            values(&tag(4, 0, &frames.concat())),
            [
                (Field::TrackGain, text("-6.5 dB")),
                (Field::Date, text("1999")),
                (Field::SoundCheck, text(" 00000100 00000200")),
                (Field::AlbumGain, text("-2 dB")),
            ]
        );
    }

    #[test]
    fn reads_all_pictures_and_removes_their_unsynchronization() {
        let rest = [b'x'; 60];
        let jpeg = [&b"\xff\xd8\xff\xe0jpeg\xff\0"[..], &rest].concat();
        let stored = [&b"\xff\xd8\xff\0\xe0jpeg\xff\0\0"[..], &rest].concat();
        let back = frame(b"APIC", &[&b"\0image/png\0\x04\0"[..], &rest].concat());
        for (version, tag_flags, frame_flags, data) in [
            (3, 0, 0, &jpeg[..]),
            (4, 0, 2, &stored),
            (4, 0x80, 2, &stored),
            (4, 0x80, 0, &stored),
        ] {
            let before: &[u8] = if frame_flags + tag_flags == 0 {
                b"\x01image/jpeg\0\x03\xff\xfex\0\0\0"
            } else {
                b"\x01image/jpeg\0\x03\xff\0\xfex\0\0\0"
            };
            let content = [before, data].concat();
            let mut front = frame(b"APIC", &content);
            front[9] = frame_flags;
            let bytes = tag(version, tag_flags, &[&back[..], &front].concat());
            let file = file_of(&bytes);
            let mut source = source(&file);
            let found = read_pictures(&mut source, 0);
            let back = (PictureType::CoverBack, rest.to_vec());
            assert_eq!(
                found,
                [back, (PictureType::CoverFront, jpeg.clone())],
                "version {version}, {tag_flags:#x} {frame_flags}"
            );
        }
        let bytes = tag(3, 0, &back);
        let file = file_of(&bytes);
        let found = read_pictures(&mut source(&file), 0);
        assert_eq!(found, [(PictureType::CoverBack, rest.to_vec())]);
    }

    #[test]
    fn skips_an_extended_header_and_ignores_a_false_flag() {
        let frames = [frame(b"TIT2", TITLE), frame(b"TPE1", ARTIST)].concat();
        let extended = [&b"\0\0\0\x06\0\0\0\0\0\0"[..], &frames].concat();
        assert!(title_and_artist(&tag(3, 0x40, &extended)));
        let extended = [&b"\0\0\0\x06\x01\0"[..], &frames].concat();
        assert!(title_and_artist(&tag(4, 0x40, &extended)));
        assert!(title_and_artist(&tag(4, 0x40, &frames)));
    }

    proptest! {
        #[test]
        fn reads_damaged_tags_without_a_panic(
            version in 2..5_u8,
            flags in any::<u8>(),
            noise in prop::collection::vec(any::<(usize, u8)>(), 0..20),
            cut in 0..60_usize,
        ) {
            let frames = [
                frame(b"TIT2", b"\x01\xff\xfeT\0i\0t\0"),
                frame(b"TXXX", b"\x03YEAR\x001999"),
                frame(b"COMM", b"\0engiTunNORM\0 0"),
                frame(b"RVA2", b"track\0\x01\0\0"),
                frame(b"APIC", &[&b"\x01image/png\0\x03\0\0"[..], &[b'x'; 60]].concat()),
            ];
            let mut bytes = tag(version, flags, &frames.concat());
            bytes.truncate(bytes.len() - cut);
            for (at, byte) in noise {
                let length = bytes.len();
                bytes[at % length] = byte;
            }
            let file = file_of(&bytes);
            let mut source = source(&file);
            read_pictures(&mut source, 0);
            let tag = read(&mut source, 0);
            prop_assert!(tag.is_none_or(|(tag, _)| tag.values.len() < 100));
        }
    }
}
