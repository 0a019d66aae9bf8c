//! The length of the audio in an MP4 file. The sample tables state the duration of each packet, and an edit list states which
//! part of them is played. If the file is truncated, the packets in the file are counted. A fragmented file has its packets in
//! tables that are spread over the file.
//!
//! Sources: ISO/IEC 14496-12 (boxes), "QuickTime File Format Specification".

use std::io;
use std::ops::Range;

use super::bytes::{be32, be64};
use super::{Length, LengthError, LengthSource};
use crate::library::peek_reader::{MAX_PEEK, PeekReader};

/// The most boxes of one kind that are read in one other box. A file with more is malformed.
const MAX_BOXES: usize = 100_000;
/// The most edits of a track that are read.
const MAX_EDITS: u32 = 1_000;
/// The number of bytes of a table that are read at a time.
const TABLE_CHUNK: usize = 16 << 10;

/// A box: its type, and the offsets of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mp4Box {
    kind: [u8; 4],
    content: Range<u64>,
    /// Whether the file ends before the box ends.
    is_truncated: bool,
}

/// The box at `offset`, at most up to `end`. `None` if there is none.
fn read_box(reader: &mut PeekReader, offset: u64, end: u64) -> io::Result<Option<Mp4Box>> {
    let head = reader.peek(offset, 16)?;
    let (Some(size), Some(kind)) = (be32(head, 0), head.get(4..8)) else {
        return Ok(None);
    };
    let kind = kind.try_into().unwrap_or_default();
    let (header_size, size) = match size {
        0 => (8, end.saturating_sub(offset)),
        1 => (16, be64(head, 8).unwrap_or(0)),
        size => (8, size.into()),
    };
    let declared_end = offset.checked_add(size);
    let content_end = declared_end.map_or(end, |declared| declared.min(end));
    Ok(
        (size >= header_size && offset + header_size <= end).then(|| Mp4Box {
            kind,
            content: offset + header_size..content_end,
            is_truncated: declared_end.is_none_or(|declared| declared > end),
        }),
    )
}

/// Calls `visit` with each box in `range`, until it returns false.
fn for_each_box(
    reader: &mut PeekReader,
    range: Range<u64>,
    mut visit: impl FnMut(&mut PeekReader, Mp4Box) -> io::Result<bool>,
) -> io::Result<()> {
    let mut at = range.start;
    for _ in 0..MAX_BOXES {
        let Some(found) = read_box(reader, at, range.end)? else {
            break;
        };
        at = found.content.end;
        if !visit(reader, found)? {
            break;
        }
    }
    Ok(())
}

/// The content of the first box at `path` below `range`.
fn find_box_content(
    reader: &mut PeekReader,
    range: &Range<u64>,
    path: &[&[u8; 4]],
) -> io::Result<Option<Range<u64>>> {
    let mut range = range.clone();
    for kind in path {
        let mut found = None;
        for_each_box(reader, range, |_, child| {
            found = (child.kind == **kind).then_some(child.content);
            Ok(found.is_none())
        })?;
        match found {
            Some(content) => range = content,
            None => return Ok(None),
        }
    }
    Ok(Some(range))
}

/// The first bytes of the content of a box, at most `size`.
fn head(reader: &mut PeekReader, content: &Range<u64>, size: u64) -> io::Result<Vec<u8>> {
    let size = size.min(content.end.saturating_sub(content.start));
    Ok(reader.peek(content.start, size as usize)?.to_vec())
}

/// An audio track.
#[derive(Debug)]
struct AudioTrack {
    id: u32,
    /// The unit of durations, per second.
    timescale: u32,
    codec: [u8; 4],
    /// The content of the box `stbl`.
    tables: Range<u64>,
    edit: Edit,
}

/// The part of a track that is played.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Edit {
    /// The duration of the skipped beginning, in units of the track.
    skipped: u64,
    /// The duration that is played, in seconds; 0 if the track is played to its end.
    duration_sec: f64,
}

/// What the top level of the file contains.
#[derive(Debug, Default)]
struct TopLevel {
    movie: Option<Range<u64>>,
    has_fragments: bool,
    media_bytes: u64,
    is_truncated: bool,
}

fn read_top_level(reader: &mut PeekReader) -> io::Result<TopLevel> {
    let mut top = TopLevel::default();
    for_each_box(reader, 0..reader.size(), |_, found| {
        match &found.kind {
            b"moov" if !found.is_truncated => {
                top.movie.get_or_insert(found.content.clone());
            }
            b"moof" => top.has_fragments = true,
            b"mdat" => {
                top.media_bytes += found.content.end - found.content.start;
                top.is_truncated |= found.is_truncated;
            }
            _ => {}
        }
        Ok(!(top.has_fragments && top.movie.is_some()))
    })?;
    Ok(top)
}

pub(super) fn measure(reader: &mut PeekReader) -> Result<Length, LengthError> {
    let top = read_top_level(reader)?;
    let Some(movie) = &top.movie else {
        return Err(LengthError::NotPlayable(if top.has_fragments {
            "the file is a segment of an MP4 stream, without the beginning of the stream"
        } else {
            "the MP4 file is incomplete: it has no box moov"
        }));
    };
    let Some(mut track) = find_audio_track(reader, movie)? else {
        return Err(LengthError::NoAudio);
    };
    if matches!(&track.codec, b"drms" | b"enca") {
        return Err(LengthError::NotPlayable(
            "the audio of the file is encrypted",
        ));
    }
    let table = Packets::of_tables(reader, &track.tables)?;
    let (packets, bytes, source) = if top.has_fragments {
        let fragments = count_fragments(reader, movie, &track)?;
        // Decoders ignore the edit list of a fragmented file, which was written before the fragments were.
        track.edit = Edit::default();
        (
            table.followed_by(fragments),
            fragments.bytes,
            LengthSource::Counted,
        )
    } else if top.is_truncated {
        let count = count_present_packets(reader, &track.tables)?;
        (
            table.truncated(count),
            top.media_bytes,
            LengthSource::Counted,
        )
    } else {
        (table, top.media_bytes, LengthSource::Header)
    };
    let duration_sec = played_sec(packets, &track);
    Length::new(duration_sec, source, bytes).ok_or(LengthError::NoAudio)
}

/// The duration of the part of `packets` that is played. Browsers stop at the end of the edit, within a packet.
fn played_sec(packets: Packets, track: &AudioTrack) -> f64 {
    let timescale = f64::from(track.timescale);
    let all = packets.duration(&track.codec) as f64;
    let present_sec = (all - track.edit.skipped as f64) / timescale;
    match track.edit.duration_sec {
        0.0 => present_sec,
        edit_sec => present_sec.min(edit_sec),
    }
}

/// The first audio track of the movie.
fn find_audio_track(reader: &mut PeekReader, movie: &Range<u64>) -> io::Result<Option<AudioTrack>> {
    let header = find_box_content(reader, movie, &[b"mvhd"])?;
    let movie_timescale = match header {
        Some(header) => parse_timescale(&head(reader, &header, 32)?),
        None => None,
    };
    let mut found = None;
    for_each_box(reader, movie.clone(), |reader, child| {
        if &child.kind == b"trak" {
            found = parse_audio_track(reader, &child.content, movie_timescale)?;
        }
        Ok(found.is_none())
    })?;
    Ok(found)
}

/// The timescale of a box `mvhd` or `mdhd`.
fn parse_timescale(header: &[u8]) -> Option<u32> {
    let has_long_times = *header.first()? == 1;
    be32(header, if has_long_times { 20 } else { 12 }).filter(|timescale| *timescale > 0)
}

/// Parses the box `trak` if it is an audio track.
fn parse_audio_track(
    reader: &mut PeekReader,
    track: &Range<u64>,
    movie_timescale: Option<u32>,
) -> io::Result<Option<AudioTrack>> {
    let Some(handler) = find_box_content(reader, track, &[b"mdia", b"hdlr"])? else {
        return Ok(None);
    };
    if head(reader, &handler, 12)?.get(8..12) != Some(b"soun") {
        return Ok(None);
    }
    let (Some(track_header), Some(media_header), Some(tables), Some(descriptions)) = (
        find_box_content(reader, track, &[b"tkhd"])?,
        find_box_content(reader, track, &[b"mdia", b"mdhd"])?,
        find_box_content(reader, track, &[b"mdia", b"minf", b"stbl"])?,
        find_box_content(reader, track, &[b"mdia", b"minf", b"stbl", b"stsd"])?,
    ) else {
        return Ok(None);
    };
    let track_header = head(reader, &track_header, 24)?;
    let id_offset = if track_header.first() == Some(&1) {
        20
    } else {
        12
    };
    let (Some(id), Some(timescale)) = (
        be32(&track_header, id_offset),
        parse_timescale(&head(reader, &media_header, 32)?),
    ) else {
        return Ok(None);
    };
    let descriptions = head(reader, &descriptions, 16)?;
    let codec = descriptions
        .get(12..16)
        .and_then(|codec| codec.try_into().ok());
    let edit = match (
        find_box_content(reader, track, &[b"edts", b"elst"])?,
        movie_timescale,
    ) {
        (Some(list), Some(movie_timescale)) => read_edit(reader, &list, movie_timescale)?,
        _ => Edit::default(),
    };
    Ok(Some(AudioTrack {
        id,
        timescale,
        codec: codec.unwrap_or_default(),
        tables,
        edit,
    }))
}

/// The first edit that plays something, prolonged by the edits after it.
fn read_edit(reader: &mut PeekReader, list: &Range<u64>, movie_timescale: u32) -> io::Result<Edit> {
    let header = head(reader, list, 8)?;
    let is_long = header.first() == Some(&1);
    let entry_size = if is_long { 20 } else { 12 };
    let count = be32(&header, 4).unwrap_or(0).min(MAX_EDITS);
    let mut edit: Option<Edit> = None;
    for index in 0..u64::from(count) {
        let start = list.start + 8 + index * entry_size;
        let entry = head(reader, &(start..list.end.max(start)), entry_size)?;
        let (duration, media_time) = if is_long {
            (be64(&entry, 0), be64(&entry, 8))
        } else {
            let media_time = be32(&entry, 4).map(|time| i64::from(time as i32) as u64);
            (be32(&entry, 0).map(u64::from), media_time)
        };
        let (Some(duration), Some(media_time)) = (duration, media_time) else {
            break;
        };
        // A negative time is an empty edit: silence before the sound.
        if media_time > i64::MAX as u64 {
            continue;
        }
        let duration_sec = duration as f64 / f64::from(movie_timescale);
        match &mut edit {
            Some(edit) => edit.duration_sec += duration_sec,
            None => {
                edit = Some(Edit {
                    skipped: media_time,
                    duration_sec,
                });
            }
        }
    }
    Ok(edit.unwrap_or_default())
}

/// The number of packets, and their duration in units of the track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Packets {
    count: u64,
    duration: u64,
    /// The duration of the first packet.
    packet_duration: u64,
    /// The duration of the last packet.
    last_duration: u64,
    bytes: u64,
}

impl Packets {
    fn add(&mut self, count: u64, packet_duration: u64) {
        if count == 0 {
            return;
        }
        if self.count == 0 {
            self.packet_duration = packet_duration;
        }
        self.count = self.count.saturating_add(count);
        self.duration = self
            .duration
            .saturating_add(count.saturating_mul(packet_duration));
        self.last_duration = packet_duration;
    }

    fn followed_by(self, other: Packets) -> Packets {
        if self.count == 0 || other.count == 0 {
            return if self.count == 0 { other } else { self };
        }
        Packets {
            count: self.count.saturating_add(other.count),
            duration: self.duration.saturating_add(other.duration),
            packet_duration: self.packet_duration,
            last_duration: other.last_duration,
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// The first `count` packets. Exact if all packets have the same duration.
    fn truncated(self, count: u64) -> Packets {
        if count >= self.count {
            return self;
        }
        let duration = u128::from(self.duration) * u128::from(count) / u128::from(self.count);
        Packets {
            count,
            duration: u64::try_from(duration).unwrap_or(u64::MAX),
            last_duration: self.packet_duration,
            ..self
        }
    }

    /// The duration that a decoder plays. A packet of AAC always has the same number of samples, whereas some programs declare a
    /// shorter last packet.
    fn duration(&self, codec: &[u8; 4]) -> u64 {
        if codec == b"mp4a" && self.last_duration < self.packet_duration {
            self.duration + self.packet_duration - self.last_duration
        } else {
            self.duration
        }
    }

    /// The packets according to the box `stts`.
    fn of_tables(reader: &mut PeekReader, tables: &Range<u64>) -> io::Result<Packets> {
        let mut packets = Packets::default();
        if let Some(table) = find_box_content(reader, tables, &[b"stts"])? {
            for_each_entry(reader, &table, 8, 8, |_, entry| {
                if let (Some(count), Some(duration)) = (be32(entry, 0), be32(entry, 4)) {
                    packets.add(count.into(), duration.into());
                }
                true
            })?;
        }
        Ok(packets)
    }
}

/// Calls `visit` with the index and the bytes of each entry of a table, until it returns false. The number of entries is at
/// offset `table_header - 4` of the table, and is limited by the size of the table.
fn for_each_entry(
    reader: &mut PeekReader,
    table: &Range<u64>,
    table_header: u64,
    entry_size: usize,
    mut visit: impl FnMut(u64, &[u8]) -> bool,
) -> io::Result<()> {
    let header = head(reader, table, table_header)?;
    let count = be32(&header, table_header as usize - 4).unwrap_or(0);
    let mut at = table.start + table_header;
    let left = table.end.saturating_sub(at) / entry_size as u64;
    let count = u64::from(count).min(left);
    let mut index = 0;
    while index < count {
        let wanted =
            (TABLE_CHUNK / entry_size).min(usize::try_from(count - index).unwrap_or(MAX_PEEK));
        let bytes = reader.peek(at, wanted * entry_size)?.to_vec();
        let entries = bytes.chunks_exact(entry_size);
        if entries.len() == 0 {
            break;
        }
        at += (entries.len() * entry_size) as u64;
        for entry in entries {
            if !visit(index, entry) {
                return Ok(());
            }
            index += 1;
        }
    }
    Ok(())
}

/// The number of packets of a truncated file that are in the file. Packets that lie behind a missing one do not count.
fn count_present_packets(reader: &mut PeekReader, tables: &Range<u64>) -> io::Result<u64> {
    let file_size = reader.size();
    let runs = read_chunk_runs(reader, tables)?;
    let offsets = match find_box_content(reader, tables, &[b"stco"])? {
        Some(table) => Some((table, 4)),
        None => find_box_content(reader, tables, &[b"co64"])?.map(|table| (table, 8)),
    };
    let (Some((offsets, offset_size)), Some(sizes)) =
        (offsets, find_box_content(reader, tables, &[b"stsz"])?)
    else {
        return Ok(0);
    };
    let sizes_header = head(reader, &sizes, 12)?;
    let equal_size = be32(&sizes_header, 4).unwrap_or(0);
    // The number of packets before the last chunk that begins within the file, and the offset of this chunk with its number of
    // packets.
    let (mut packets, mut last_chunk) = (0, None);
    let mut run = 0;
    let mut previous: Option<(u64, u64)> = None;
    for_each_entry(reader, &offsets, 8, offset_size, |index, entry| {
        let offset = match offset_size {
            4 => be32(entry, 0).map(u64::from),
            _ => be64(entry, 0),
        };
        let Some(offset) = offset.filter(|offset| *offset < file_size) else {
            return false;
        };
        while runs.get(run + 1).is_some_and(|next| next.0 <= index) {
            run += 1;
        }
        let per_chunk = runs.get(run).map_or(0, |run| run.1);
        if let Some((_, per_chunk)) = previous {
            packets += per_chunk;
        }
        previous = Some((offset, per_chunk));
        last_chunk = previous;
        true
    })?;
    let Some((mut offset, per_chunk)) = last_chunk else {
        return Ok(0);
    };
    // The last chunk may reach beyond the end of the file, so its packets are compared with the end one by one.
    let mut present = 0;
    let wanted = packets..packets.saturating_add(per_chunk);
    if equal_size > 0 {
        let whole = (file_size - offset) / u64::from(equal_size);
        return Ok(packets + whole.min(per_chunk));
    }
    let skipped = sizes.start + packets.saturating_mul(4);
    let rest = skipped..sizes.end.max(skipped);
    let mut at = rest.start + 12;
    for _ in wanted {
        let size = head(reader, &(at..rest.end.max(at)), 4)?;
        let Some(size) = be32(&size, 0) else { break };
        offset = offset.saturating_add(size.into());
        if offset > file_size {
            break;
        }
        present += 1;
        at += 4;
    }
    Ok(packets + present)
}

/// The box `stsc`: the index of the first chunk of each run of chunks, and the number of packets in each of its chunks.
fn read_chunk_runs(reader: &mut PeekReader, tables: &Range<u64>) -> io::Result<Vec<(u64, u64)>> {
    let mut runs = Vec::new();
    if let Some(table) = find_box_content(reader, tables, &[b"stsc"])? {
        for_each_entry(reader, &table, 8, 12, |_, entry| {
            if let (Some(first), Some(count)) = (be32(entry, 0), be32(entry, 4)) {
                runs.push((u64::from(first).saturating_sub(1), count.into()));
            }
            runs.len() < MAX_BOXES
        })?;
    }
    Ok(runs)
}

/// Counts the packets of `track` in all fragments.
fn count_fragments(
    reader: &mut PeekReader,
    movie: &Range<u64>,
    track: &AudioTrack,
) -> io::Result<Packets> {
    let defaults = read_defaults(reader, movie, track.id)?;
    let file_size = reader.size();
    let mut packets = Packets::default();
    // The runs of packets of the last fragment, which are counted once the size of its media is known.
    let mut at = 0;
    let mut runs: Vec<Run> = Vec::new();
    while let Some(found) = read_box(reader, at, file_size)? {
        at = found.content.end;
        match &found.kind {
            b"moof" => runs = read_fragment(reader, &found.content, track.id, defaults)?,
            b"mdat" => {
                let mut left = if found.is_truncated {
                    found.content.end - found.content.start
                } else {
                    u64::MAX
                };
                for run in std::mem::take(&mut runs) {
                    left = run.add_packets(reader, left, &mut packets)?;
                }
            }
            _ => {}
        }
    }
    Ok(packets)
}

/// The duration and the size of each packet that does not declare its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Defaults {
    duration: u32,
    size: u32,
}

/// The defaults of the track `id` from the box `trex`.
fn read_defaults(reader: &mut PeekReader, movie: &Range<u64>, id: u32) -> io::Result<Defaults> {
    let mut defaults = Defaults::default();
    let Some(extends) = find_box_content(reader, movie, &[b"mvex"])? else {
        return Ok(defaults);
    };
    for_each_box(reader, extends, |reader, child| {
        let content = head(reader, &child.content, 24)?;
        if &child.kind == b"trex" && be32(&content, 4) == Some(id) {
            defaults = Defaults {
                duration: be32(&content, 12).unwrap_or(0),
                size: be32(&content, 16).unwrap_or(0),
            };
        }
        Ok(true)
    })?;
    Ok(defaults)
}

/// A box `trun`: packets that follow each other.
#[derive(Debug)]
struct Run {
    count: u32,
    /// Where the entries of the packets are.
    entries: Range<u64>,
    entry_size: usize,
    /// The offset of the duration in an entry, and that of the size. `None` if the defaults apply.
    duration_at: Option<usize>,
    size_at: Option<usize>,
    defaults: Defaults,
}

/// The runs of the track `id` in a box `moof`.
fn read_fragment(
    reader: &mut PeekReader,
    fragment: &Range<u64>,
    id: u32,
    defaults: Defaults,
) -> io::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for_each_box(reader, fragment.clone(), |reader, child| {
        if &child.kind != b"traf" {
            return Ok(true);
        }
        let Some(header) = find_box_content(reader, &child.content, &[b"tfhd"])? else {
            return Ok(true);
        };
        let header = head(reader, &header, 40)?;
        if be32(&header, 4) != Some(id) {
            return Ok(true);
        }
        let defaults = parse_fragment_defaults(&header, defaults);
        for_each_box(reader, child.content, |reader, child| {
            if &child.kind == b"trun" {
                let header = head(reader, &child.content, 8)?;
                runs.extend(parse_run(&header, &child.content, defaults));
            }
            Ok(runs.len() < MAX_BOXES)
        })?;
        Ok(runs.len() < MAX_BOXES)
    })?;
    Ok(runs)
}

/// The defaults of a fragment from its box `tfhd`, or else those of the track.
fn parse_fragment_defaults(header: &[u8], defaults: Defaults) -> Defaults {
    let flags = be32(header, 0).unwrap_or(0);
    let mut at = 8;
    let mut field = |flag: u32, size: usize| {
        let is_present = flags & flag != 0;
        let value = is_present.then(|| be32(header, at)).flatten();
        at += if is_present { size } else { 0 };
        value
    };
    let _base_offset = field(1, 8);
    let _description = field(2, 4);
    let duration = field(8, 4);
    let size = field(0x10, 4);
    Defaults {
        duration: duration.unwrap_or(defaults.duration),
        size: size.unwrap_or(defaults.size),
    }
}

fn parse_run(header: &[u8], content: &Range<u64>, defaults: Defaults) -> Option<Run> {
    let (flags, count) = (be32(header, 0)?, be32(header, 4)?);
    let mut header_size = 8;
    for flag in [1, 4] {
        header_size += if flags & flag != 0 { 4 } else { 0 };
    }
    let mut entry_size = 0;
    let mut field = |flag: u32| {
        let is_present = flags & flag != 0;
        let at = is_present.then_some(entry_size);
        entry_size += if is_present { 4 } else { 0 };
        at
    };
    let (duration_at, size_at) = (field(0x100), field(0x200));
    let _flags = field(0x400);
    let _composition_offset = field(0x800);
    let start = content.start + header_size;
    Some(Run {
        count,
        entries: start..content.end.max(start),
        entry_size,
        duration_at,
        size_at,
        defaults,
    })
}

impl Run {
    /// Adds the packets that lie within the next `left` bytes to `packets`. Returns how many bytes are left.
    fn add_packets(
        &self,
        reader: &mut PeekReader,
        left: u64,
        packets: &mut Packets,
    ) -> io::Result<u64> {
        let default_size = u64::from(self.defaults.size);
        if self.entry_size == 0 {
            let present = left.checked_div(default_size).unwrap_or(u64::MAX);
            let count = u64::from(self.count).min(present).min(reader.size());
            packets.add(count, self.defaults.duration.into());
            let bytes = count.saturating_mul(default_size);
            packets.bytes = packets.bytes.saturating_add(bytes);
            return Ok(left.saturating_sub(bytes));
        }
        let mut left = left;
        let mut at = self.entries.start;
        for _ in 0..self.count {
            let entry = head(
                reader,
                &(at..self.entries.end.max(at)),
                self.entry_size as u64,
            )?;
            if entry.len() < self.entry_size {
                break;
            }
            at += self.entry_size as u64;
            let field =
                |at: Option<usize>, default| at.map_or(Some(default), |at| be32(&entry, at));
            let duration = field(self.duration_at, self.defaults.duration).unwrap_or(0);
            let size = u64::from(field(self.size_at, self.defaults.size).unwrap_or(0));
            if size > left {
                return Ok(0);
            }
            left -= size;
            packets.add(1, duration.into());
            packets.bytes = packets.bytes.saturating_add(size);
        }
        Ok(left)
    }
}
