//! Tests of whole files, most of them built by hand or changed from the fixtures.

use std::fs;
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use LengthSource::{Counted, Header};

fn try_measure(bytes: &[u8]) -> Result<Length, LengthError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let mut reader = PeekReader::new(&file, bytes.len() as u64);
    let found = find_format(&mut reader, true)?;
    measure(&mut reader, found)
}

/// The duration in seconds, rounded to milliseconds, and how it was determined.
fn length(bytes: &[u8]) -> (f64, LengthSource) {
    let length = try_measure(bytes).unwrap();
    ((length.duration_sec * 1e3).round() / 1e3, length.source)
}

fn fixture(extension: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read(folder.join(format!("fixture.{extension}"))).unwrap()
}

fn find(bytes: &[u8], pattern: &[u8]) -> usize {
    let mut windows = bytes.windows(pattern.len());
    windows.position(|window| window == pattern).unwrap()
}

fn replace(bytes: &[u8], at: usize, replacement: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + replacement.len()].copy_from_slice(replacement);
    bytes
}

/// A silent MP3 frame at 44.1 kHz, which plays for 1152 samples: 417 bytes at 128 kbit/s or 208 bytes at 64 kbit/s.
fn mp3_frame(kbit_per_s: u32) -> Vec<u8> {
    let (third, size) = if kbit_per_s == 128 {
        (0x90, 417)
    } else {
        (0x50, 208)
    };
    let mut frame = vec![0xff, 0xfb, third, 0];
    frame.resize(size, 0);
    frame
}

/// Frames with a changing bit rate, as many as play for about `frames` times 26 ms.
fn vbr_frames(frames: usize) -> Vec<u8> {
    let frame = |at| mp3_frame(if at % 3 == 0 { 128 } else { 64 });
    (0..frames).flat_map(frame).collect()
}

/// An MP3 file whose first frame declares `frames` frames and their bytes.
fn mp3_with_tag(frames: usize) -> Vec<u8> {
    let audio = vbr_frames(frames);
    let mut first = mp3_frame(128);
    let size = (first.len() + audio.len()) as u32;
    first[36..40].copy_from_slice(b"Xing");
    first[43] = 3;
    first[44..48].copy_from_slice(&(frames as u32).to_be_bytes());
    first[48..52].copy_from_slice(&size.to_be_bytes());
    [first, audio].concat()
}

#[test]
fn frames_of_an_mp3_without_a_tag_are_counted() {
    assert_eq!(length(&vbr_frames(100)), (2.612, Counted));
}

#[test]
fn mp3_tag_is_used_only_if_the_file_has_its_size() {
    let file = mp3_with_tag(100);
    assert_eq!(length(&file), (2.612, Header));
    let id3v1 = [b"TAG".to_vec(), vec![0; 125]].concat();
    assert_eq!(length(&[&file[..], &id3v1].concat()), (2.612, Header));
    // 48 whole frames and a part of one.
    let half = file.len() / 2;
    assert_eq!(length(&file[..half]), (1.254, Counted));
    // The tag of the second file is a frame of silence.
    assert_eq!(length(&[&file[..], &file].concat()), (5.251, Counted));
}

#[test]
fn tags_zeros_and_junk_around_the_frames_are_skipped() {
    let id3v2 = [&b"ID3\x04\0\0\0\0\x01\0"[..], &[0xff; 128]].concat();
    let lyrics = b"LYRICSBEGININD0000200000018LYRICS200".to_vec();
    let frames = vbr_frames(50);
    for file in [
        [id3v2.clone(), id3v2.clone(), frames.clone()].concat(),
        [vec![0; 100_000], id3v2, frames.clone()].concat(),
        [b"junk\xff\xfb\x90junk".to_vec(), frames.clone()].concat(),
        [frames.clone(), vec![0; 5_000]].concat(),
        [frames.clone(), lyrics].concat(),
    ] {
        assert_eq!(length(&file), (1.306, Counted));
    }
    let with_junk_inside = [&frames[..], b"hello \xff\xff\xff\xfb ", &frames].concat();
    assert_eq!(length(&with_junk_inside), (2.612, Counted));
}

#[test]
fn any_number_of_zeros_may_precede_the_audio() {
    for extension in ["flac", "ogg", "opus"] {
        for zeros in [4, 6, 7, 1_000] {
            let file = [vec![0; zeros], fixture(extension)].concat();
            assert_eq!(length(&file).0, 1.5, "{zeros} zeros, {extension}");
        }
    }
}

#[test]
fn frames_with_different_sample_rates_add_up() {
    // 576 samples at 16 kHz, 48 kbit/s.
    let mut slow = vec![0xff, 0xf3, 0x68, 0xc0];
    slow.resize(216, 0);
    let file = [vbr_frames(50), slow.repeat(50)].concat();
    assert_eq!(length(&file), (3.106, Counted));
}

#[test]
fn adts_frames_are_counted() {
    // 1024 samples at 24 kHz, as in HE-AAC of 48 kHz; frames of 100 and of 50 bytes.
    let frame = |size: usize| {
        let (high, low) = ((size >> 3) as u8, (size as u8) << 5 | 0x1f);
        let mut frame = vec![0xff, 0xf1, 0x58, 0x80, high, low, 0xfc];
        frame.resize(size, 0);
        frame
    };
    let file: Vec<u8> = (0..60)
        .flat_map(|at| frame(if at < 10 { 100 } else { 50 }))
        .collect();
    // The first frame is silence.
    assert_eq!(length(&file), (2.517, Counted));
    let padding = try_measure(&file).unwrap().padding.unwrap();
    assert_eq!((padding.lead_sec, padding.whole_sec), (0.042667, 2.56));
    assert_eq!(length(&file[..file.len() - 10]), (2.475, Counted));
}

#[test]
fn flac_without_a_sample_count_or_truncated_is_measured_by_its_frames() {
    let file = fixture("flac");
    assert_eq!(length(&file), (1.5, Header));
    let info = find(&file, b"fLaC") + 8;
    let streamed = replace(&file, info + 14, &[0; 4]);
    assert_eq!(length(&streamed), (1.5, Counted));
    let (sec, source) = length(&file[..file.len() * 4 / 5]);
    assert_eq!(source, Counted);
    assert!((0.5..1.4).contains(&sec), "{sec}");
    let id3v2 = b"ID3\x04\0\0\0\0\0\x02\0\0".to_vec();
    assert_eq!(length(&[id3v2, file].concat()), (1.5, Header));
}

/// Changes each page of an Ogg file, and renews the checksums.
fn change_pages(file: &[u8], mut change: impl FnMut(&mut [u8])) -> Vec<u8> {
    let mut changed = file.to_vec();
    let mut at = 0;
    while at < changed.len() {
        let segments = usize::from(changed[at + 26]);
        let table = &changed[at + 27..at + 27 + segments];
        let body: usize = table.iter().map(|size| usize::from(*size)).sum();
        let page = &mut changed[at..at + 27 + segments + body];
        change(page);
        let checksum = ogg_page::checksum(page);
        page[22..26].copy_from_slice(&checksum.to_le_bytes());
        at += page.len();
    }
    changed
}

/// Adds `offset` to the positions of all pages with sound.
fn shift_positions(file: &[u8], offset: u64) -> Vec<u8> {
    change_pages(file, |page| {
        let position = u64::from_le_bytes(page[6..14].try_into().unwrap());
        if position > 0 && position < u64::MAX {
            page[6..14].copy_from_slice(&(position + offset).to_le_bytes());
        }
    })
}

#[test]
fn ogg_positions_may_begin_at_any_number() {
    for extension in ["ogg", "opus"] {
        let file = fixture(extension);
        let ten_hours = 36_000 * 48_000;
        assert_eq!(length(&file).0, 1.5, "{extension}");
        assert_eq!(
            length(&shift_positions(&file, ten_hours)).0,
            1.5,
            "{extension}"
        );
    }
}

#[test]
fn ogg_audio_on_the_last_page_of_the_headers_counts() {
    for extension in ["ogg", "opus"] {
        let file = fixture(extension);
        let offsets: Vec<_> = (0..file.len())
            .filter(|at| file[*at..].starts_with(b"OggS\0"))
            .collect();
        let parts = |page: &[u8]| {
            let body = 27 + usize::from(page[26]);
            (page[27..body].to_vec(), page[body..].to_vec())
        };
        // The second page holds the other headers, the third page the first audio.
        let (headers, audio) = (
            &file[offsets[1]..offsets[2]],
            &file[offsets[2]..offsets.get(3).copied().unwrap_or(file.len())],
        );
        let ((table, body), (audio_table, audio_body)) = (parts(headers), parts(audio));
        let mut joined = [&audio[..26], &[(table.len() + audio_table.len()) as u8]].concat();
        joined.extend([table, audio_table, body, audio_body].concat());
        let rest = &file[offsets[2] + audio.len()..];
        let file = [&file[..offsets[1]], &joined, rest].concat();
        assert_eq!(length(&change_pages(&file, |_| {})).0, 1.5, "{extension}");
    }
}

#[test]
fn links_of_an_ogg_chain_add_up_even_with_equal_serial_numbers() {
    let (vorbis, opus) = (fixture("ogg"), fixture("opus"));
    assert_eq!(length(&[&vorbis[..], &opus].concat()), (3.0, Counted));
    assert_eq!(length(&[&opus[..], &opus, &opus].concat()), (4.5, Counted));
}

#[test]
fn ogg_with_another_stream_before_the_audio_is_measured() {
    let vorbis = fixture("ogg");
    let skeleton = [
        &b"OggS\0\x02"[..],
        &[0; 8],
        b"skel\0\0\0\0\0\0\0\0\x01\x08fishead\0",
    ]
    .concat();
    let file = [change_pages(&skeleton, |_| {}), vorbis].concat();
    assert_eq!(length(&file), (1.5, Counted));
    let mut found = tempfile::tempfile().unwrap();
    found.write_all(&file).unwrap();
    let mut reader = PeekReader::new(&found, file.len() as u64);
    let format = find_format(&mut reader, false).unwrap();
    let headers = ogg_headers_for_tag_parser(&mut reader, format).unwrap();
    assert!(headers.starts_with(b"OggS") && find(&headers, b"Fixture OGG") > 0);
}

#[test]
fn ogg_without_audio_holds_no_audio() {
    let theora = [
        &b"OggS\0\x02"[..],
        &[0; 8],
        b"theo\0\0\0\0\0\0\0\0\x01\x07\x80theora",
    ]
    .concat();
    assert!(matches!(try_measure(&theora), Err(LengthError::NoAudio)));
}

#[test]
fn wav_with_a_placeholder_or_wrong_size_plays_to_its_end() {
    let file = fixture("wav");
    let at = find(&file, b"data") + 4;
    assert_eq!(length(&file), (1.5, Header));
    for size in [0_u32, u32::MAX, 0x7fff_ffff] {
        let file = replace(&file, at, &size.to_le_bytes());
        assert_eq!(length(&file), (1.5, Counted), "{size:x}");
    }
    let truncated = &file[..at + 4 + 8_000];
    assert_eq!(length(truncated), (0.5, Counted));
    assert!(matches!(
        try_measure(&file[..at + 4]),
        Err(LengthError::NoAudio)
    ));
}

#[test]
fn rf64_has_the_size_of_its_data_in_another_chunk() {
    let mut file = b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0".to_vec();
    file.extend([[0; 8], 4_000_u64.to_le_bytes(), [0; 8]].concat());
    file.extend([0; 4]);
    file.extend(
        b"fmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\xff\xff\xff\xff",
    );
    file.resize(file.len() + 4_000, 0);
    assert_eq!(length(&file), (0.25, Header));
}

#[test]
fn aiff_with_wrong_sizes_plays_to_its_end() {
    let file = fixture("aiff");
    assert_eq!(length(&file), (1.5, Header));
    let sound = find(&file, b"SSND");
    let truncated = &file[..sound + 16 + 8_000];
    assert_eq!(length(truncated), (0.5, Counted));
    let frames = find(&file, b"COMM") + 10;
    let (sec, source) = length(&replace(&file, frames, &[0; 4]));
    assert_eq!((sec, source), (1.5, Counted));
}

#[test]
fn mp4_plays_what_its_edit_list_selects() {
    // 25 packets of 1024 samples at 16 kHz: neither the first packet nor the end of the last one is played.
    assert_eq!(length(&fixture("m4a")), (1.5, Header));
}

fn mp4_box(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = 8 + content.len() as u32;
    [&size.to_be_bytes()[..], kind, content].concat()
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect()
}

/// The box `moov` of an audio track with 8000 units per second. `tables` are the sample tables.
fn movie(codec: &[u8; 4], tables: &[Vec<u8>], extends: &[u8]) -> Vec<u8> {
    let descriptions = mp4_box(
        b"stsd",
        &[&numbers(&[0, 1, 16])[..], codec, &[0; 8]].concat(),
    );
    let tables = mp4_box(b"stbl", &[descriptions, tables.concat()].concat());
    let media = [
        mp4_box(b"mdhd", &numbers(&[0, 0, 0, 8_000, 0, 0])),
        mp4_box(
            b"hdlr",
            &[&numbers(&[0, 0])[..], b"soun", &[0; 12]].concat(),
        ),
        mp4_box(b"minf", &tables),
    ];
    let track = [
        mp4_box(b"tkhd", &numbers(&[0, 0, 0, 7, 0, 0])),
        mp4_box(b"mdia", &media.concat()),
    ];
    let content = [
        mp4_box(b"mvhd", &numbers(&[0, 0, 0, 1_000, 0, 0])),
        mp4_box(b"trak", &track.concat()),
        extends.to_vec(),
    ];
    mp4_box(b"moov", &content.concat())
}

fn file_type() -> Vec<u8> {
    mp4_box(b"ftyp", b"M4A \0\0\0\0")
}

#[test]
fn packets_of_a_fragmented_mp4_are_counted() {
    let defaults = mp4_box(b"trex", &numbers(&[0, 7, 1, 1_000, 10, 0]));
    let extends = mp4_box(b"mvex", &defaults);
    let fragment = |run: &[u32], size: usize| {
        let header = mp4_box(b"tfhd", &numbers(&[0, 7]));
        let track = mp4_box(b"traf", &[header, mp4_box(b"trun", &numbers(run))].concat());
        [mp4_box(b"moof", &track), mp4_box(b"mdat", &vec![0; size])].concat()
    };
    let file = [
        file_type(),
        movie(b"mp4a", &[], &extends),
        // Four packets with the defaults, and two with their own durations and sizes.
        fragment(&[0, 4], 40),
        fragment(&[0x300, 2, 2_000, 30, 2_000, 50], 80),
    ]
    .concat();
    assert_eq!(length(&file), (1.0, Counted));
    // The last packet is incomplete.
    assert_eq!(length(&file[..file.len() - 20]), (0.75, Counted));
}

#[test]
fn packets_of_a_truncated_mp4_are_counted_up_to_its_end() {
    let media = mp4_box(b"mdat", &[0; 100]);
    let media_start = file_type().len() as u32 + 8;
    let tables = [
        mp4_box(b"stts", &numbers(&[0, 1, 10, 800])),
        mp4_box(b"stsz", &numbers(&[0, 10, 10])),
        mp4_box(b"stsc", &numbers(&[0, 1, 1, 5, 1])),
        mp4_box(b"stco", &numbers(&[0, 2, media_start, media_start + 50])),
    ];
    let file = [file_type(), media, movie(b"mp4a", &tables, &[])].concat();
    assert_eq!(length(&file), (1.0, Header));

    let movie_size = movie(b"mp4a", &tables, &[]).len() as u32;
    let shift = |at: u32| at + movie_size;
    let tables = [
        mp4_box(b"stts", &numbers(&[0, 1, 10, 800])),
        mp4_box(
            b"stsz",
            &[numbers(&[0, 0, 10]), numbers(&[10; 10])].concat(),
        ),
        mp4_box(b"stsc", &numbers(&[0, 1, 1, 5, 1])),
        mp4_box(
            b"stco",
            &numbers(&[0, 2, shift(media_start) + 40, shift(media_start) + 90]),
        ),
    ];
    let movie_first = [
        file_type(),
        movie(b"mp4a", &tables, &[]),
        mp4_box(b"mdat", &[0; 100]),
    ];
    let movie_first = movie_first.concat();
    assert_eq!(length(&movie_first), (1.0, Header));
    assert_eq!(
        length(&movie_first[..movie_first.len() - 25]),
        (0.7, Counted)
    );
}

#[test]
fn reasons_for_files_that_cannot_be_played_are_specific() {
    let encrypted = [file_type(), movie(b"drms", &[], &[])].concat();
    for (file, reason) in [
        (&b""[..], "the file is empty"),
        (
            b"This is a text.",
            "the content of the file is not of a known format",
        ),
        (
            b"\x1a\x45\xdf\xa3....",
            "the file holds Matroska or WebM, a format that is not supported",
        ),
        (
            &file_type(),
            "the MP4 file is incomplete: it has no box moov",
        ),
        (&encrypted, "the audio of the file is encrypted"),
        (b"RIFF\0\0\0\0WAVE", "the file holds no audio"),
    ] {
        assert_eq!(try_measure(file).unwrap_err().to_string(), reason);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_files_have_a_finite_length_or_none(
        extension in prop::sample::select(vec!["mp3", "flac", "ogg", "opus", "m4a", "wav", "aiff"]),
        cut in 0.0..1.0_f64,
        noise in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 0..12),
        head_noise in prop::collection::vec((0..900_usize, any::<u8>()), 0..6),
    ) {
        let mut bytes = fixture(extension);
        bytes.truncate((bytes.len() as f64 * (1.0 - cut * cut)) as usize);
        let length = bytes.len();
        let noise = noise.iter().map(|(at, byte)| ((at * length as f64) as usize, *byte));
        for (at, byte) in noise.chain(head_noise) {
            if let Some(changed) = bytes.get_mut(at) {
                *changed = byte;
            }
        }
        if let Ok(length) = try_measure(&bytes) {
            prop_assert!(length.duration_sec > 0.0 && length.duration_sec.is_finite());
        }
    }
}
