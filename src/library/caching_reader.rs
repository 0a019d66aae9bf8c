//! A buffered reader for parsers that seek often, such as `lofty`. A seek makes no system call and keeps the buffer, whereas
//! `std::io::BufReader` discards its buffer at each `seek`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// The size of the buffer, in bytes.
const BUFFER_SIZE: usize = 16 << 10;
/// The buffer begins at an offset in the view that is a multiple of this number of bytes. So the buffer also holds bytes before the
/// requested offset, because parsers often seek back a little.
const BUFFER_ALIGNMENT: u64 = 4 << 10;

/// Reads a file through a buffer. Neither uses nor changes the offset of the open file.
#[derive(Debug)]
pub(super) struct CachingReader<'a> {
    file: &'a File,
    /// The offset in the file at which the view begins. All other offsets count from here.
    start: u64,
    /// The number of bytes in the view.
    size: u64,
    /// Bytes that the view has at its beginning instead of those of the file.
    signature: Option<[u8; 4]>,
    /// The offset of the next read.
    offset: u64,
    buffer: Vec<u8>,
    /// The offset of the buffer's first byte.
    buffer_offset: u64,
}

impl<'a> CachingReader<'a> {
    /// A view of `file`, which has `file_size` bytes, from offset `start` on.
    pub(super) fn new(file: &'a File, file_size: u64, start: u64) -> Self {
        CachingReader {
            file,
            start,
            size: file_size.saturating_sub(start),
            signature: None,
            offset: 0,
            buffer: Vec::new(),
            buffer_offset: 0,
        }
    }

    /// The same view with another signature in its first four bytes, for a parser that does not know the signature in the file.
    pub(super) fn with_signature(self, signature: [u8; 4]) -> Self {
        CachingReader {
            signature: Some(signature),
            ..self
        }
    }

    /// The buffered bytes from the current offset on.
    fn buffered(&self) -> &[u8] {
        let skipped = self.offset.checked_sub(self.buffer_offset);
        let skipped = skipped.and_then(|skipped| usize::try_from(skipped).ok());
        skipped
            .and_then(|skipped| self.buffer.get(skipped..))
            .unwrap_or_default()
    }

    /// Reads the part of the file around the current offset into the buffer.
    fn fill_buffer(&mut self) -> io::Result<()> {
        self.buffer_offset = self.offset - self.offset % BUFFER_ALIGNMENT;
        self.buffer.resize(BUFFER_SIZE, 0);
        let at = self.start.saturating_add(self.buffer_offset);
        let length = self.file.read_at(&mut self.buffer, at);
        self.buffer.truncate(*length.as_ref().unwrap_or(&0));
        if let (0, Some(signature)) = (self.buffer_offset, self.signature) {
            let replaced = self.buffer.iter_mut().zip(signature);
            replaced.for_each(|(byte, replacement)| *byte = replacement);
        }
        length.map(|_| ())
    }
}

impl Read for CachingReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let reads_signature = self.signature.is_some() && self.offset < 4;
        if self.buffered().is_empty() && (into.len() < BUFFER_SIZE || reads_signature) {
            self.fill_buffer()?;
        }
        let buffered = self.buffered();
        let length = if buffered.is_empty() {
            self.file
                .read_at(into, self.start.saturating_add(self.offset))?
        } else {
            let length = buffered.len().min(into.len());
            into[..length].copy_from_slice(&buffered[..length]);
            length
        };
        self.offset += length as u64;
        Ok(length)
    }
}

impl Seek for CachingReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let offset = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(by) => self.offset.checked_add_signed(by),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        self.offset = offset.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Read(usize),
        Seek(SeekFrom),
    }

    fn step() -> impl Strategy<Value = Step> {
        let relative = -70_000_i64..70_000;
        prop_oneof![
            (0_usize..40_000).prop_map(Step::Read),
            (0_usize..40).prop_map(Step::Read),
            (0_u64..60_000).prop_map(|to| Step::Seek(SeekFrom::Start(to))),
            relative
                .clone()
                .prop_map(|by| Step::Seek(SeekFrom::Current(by))),
            relative.prop_map(|by| Step::Seek(SeekFrom::End(by))),
        ]
    }

    proptest! {
        #[test]
        fn reads_and_seeks_like_a_cursor(
            steps in proptest::collection::vec(step(), 0..40),
            start in prop_oneof![Just(0_usize), 0..60_000_usize],
            has_signature: bool,
        ) {
            let bytes: Vec<u8> = (0..50_000_u32).map(|n| ((n * n) >> 7) as u8).collect();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let mut reader = CachingReader::new(&file, bytes.len() as u64, start as u64);
            let mut expected = bytes.get(start..).unwrap_or_default().to_vec();
            if has_signature {
                reader = reader.with_signature(*b"RIFF");
                for (byte, signature) in expected.iter_mut().zip(b"RIFF") {
                    *byte = *signature;
                }
            }
            let mut cursor = io::Cursor::new(&expected);
            for step in steps {
                match step {
                    Step::Read(length) => {
                        let (mut actual, mut expected) = (Vec::new(), Vec::new());
                        reader.by_ref().take(length as u64).read_to_end(&mut actual).unwrap();
                        cursor.by_ref().take(length as u64).read_to_end(&mut expected).unwrap();
                        prop_assert_eq!(actual, expected);
                    }
                    Step::Seek(to) => {
                        prop_assert_eq!(reader.seek(to).ok(), cursor.seek(to).ok());
                    }
                }
            }
        }
    }
}
