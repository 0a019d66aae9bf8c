//! Reads a file at any offset through buffers of bounded size. Parsers read a few bytes, and then choose the next offset.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The largest number of bytes that one call of [`PeekReader::peek`] returns.
pub(super) const MAX_PEEK: usize = 64 << 10;
/// The number of bytes read after a jump. Enough to recognise most files, to check their stated length and to read their tags.
const JUMP_READ_SIZE: usize = 8 << 10;
/// After a jump, the buffer begins at a multiple of this number of bytes, because parsers often jump back a little.
const JUMP_ALIGNMENT: u64 = 4 << 10;
/// The most bytes read at once while the parser proceeds from each buffer to the bytes behind it. The number of bytes doubles
/// with each such read, because many parsers read only a little beyond the first buffer.
const MAX_SEQUENTIAL_READ_SIZE: usize = 256 << 10;

const BUFFER_COUNT: usize = 3;

/// Consecutive bytes of the file.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// The offset of the first byte in the file.
    offset: u64,
}

impl Buffer {
    /// The bytes from `offset` on.
    fn from(&self, offset: u64) -> &[u8] {
        let skipped = offset.checked_sub(self.offset);
        let skipped = skipped.and_then(|skipped| usize::try_from(skipped).ok());
        skipped
            .and_then(|skipped| self.bytes.get(skipped..))
            .unwrap_or_default()
    }

    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

/// A buffered view of a file. Neither uses nor changes the offset of the open file.
#[derive(Debug)]
pub(super) struct PeekReader<'a> {
    file: &'a File,
    /// The size of the file in bytes.
    size: u64,
    /// The buffer that was used last comes first. There are several, because parsers alternate between the beginning of the file,
    /// the beginning of the audio, and the end of the file.
    buffers: [Buffer; BUFFER_COUNT],
    /// The number of bytes of the next read if the parser proceeds to the bytes behind the first buffer.
    next_sequential_size: usize,
}

impl<'a> PeekReader<'a> {
    /// A view of `file`, which has `size` bytes.
    pub(super) fn new(file: &'a File, size: u64) -> Self {
        PeekReader {
            file,
            size,
            buffers: Default::default(),
            next_sequential_size: 2 * JUMP_READ_SIZE,
        }
    }

    /// The size of the file in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// `length` bytes at `offset`, but at most [`MAX_PEEK`], and fewer only at the end of the file.
    ///
    /// # Errors
    /// The system's error if the file cannot be read.
    pub(super) fn peek(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let left = self.size.saturating_sub(offset);
        let length = length
            .min(MAX_PEEK)
            .min(usize::try_from(left).unwrap_or(MAX_PEEK));
        if length == 0 {
            return Ok(&[]);
        }
        let has_bytes = |buffer: &Buffer| buffer.from(offset).len() >= length;
        match self.buffers.iter().position(has_bytes) {
            Some(index) => self.buffers[..=index].rotate_right(1),
            None => self.fill(offset, length)?,
        }
        let buffered = self.buffers[0].from(offset);
        Ok(&buffered[..length.min(buffered.len())])
    }

    /// The bytes at `offset` if all of them exist.
    pub(super) fn array<const N: usize>(&mut self, offset: u64) -> io::Result<Option<[u8; N]>> {
        Ok(self.peek(offset, N)?.try_into().ok())
    }

    /// `length` bytes at `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// The system's error if the file cannot be read.
    pub(super) fn read(&mut self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        if length <= MAX_PEEK {
            return Ok(self.peek(offset, length)?.to_vec());
        }
        let left = self.size.saturating_sub(offset);
        let length = usize::try_from(left).map_or(length, |left| length.min(left));
        let mut bytes = Vec::new();
        read_into(&mut bytes, self.file, offset, length, length)?;
        Ok(bytes)
    }

    /// Fills the first buffer with at least `length` bytes from `offset` on, if the file has them.
    fn fill(&mut self, offset: u64, length: usize) -> io::Result<()> {
        let last = &self.buffers[0];
        let is_sequential = !last.bytes.is_empty()
            && (last.offset..=last.end() + JUMP_READ_SIZE as u64).contains(&offset);
        let (start, wanted) = if is_sequential {
            (offset, self.next_sequential_size)
        } else {
            // Keeps the last buffer. A parser that proceeds needs the bytes before no more.
            self.buffers.rotate_right(1);
            (offset - offset % JUMP_ALIGNMENT, JUMP_READ_SIZE)
        };
        self.next_sequential_size = (2 * wanted).min(MAX_SEQUENTIAL_READ_SIZE);
        let least = length + (offset - start) as usize;
        let left = self.size.saturating_sub(start);
        let wanted = wanted.min(usize::try_from(left).unwrap_or(wanted));
        let buffer = &mut self.buffers[0];
        buffer.offset = start;
        read_into(
            &mut buffer.bytes,
            self.file,
            start,
            least,
            wanted.max(least),
        )
    }
}

/// Replaces `bytes` by those of `file` at `offset`: at least `least` bytes unless the file ends before, and at most `most`. On an
/// error, `bytes` is empty.
fn read_into(
    bytes: &mut Vec<u8>,
    file: &File,
    offset: u64,
    least: usize,
    most: usize,
) -> io::Result<()> {
    bytes.clear();
    bytes.resize(most, 0);
    let mut filled = 0;
    while filled < least {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                bytes.clear();
                return Err(error);
            }
        }
    }
    bytes.truncate(filled);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    proptest! {
        #[test]
        fn returns_the_bytes_of_the_file_at_any_offset(
            steps in prop::collection::vec((0_usize..220_000, 0_usize..80_000), 0..40),
        ) {
            let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();
            let file = file_of(&bytes);
            let mut reader = PeekReader::new(&file, bytes.len() as u64);
            for (at, length) in steps {
                let expected = &bytes[at.min(bytes.len())..(at + length).min(bytes.len())];
                let offset = at as u64;
                prop_assert_eq!(&reader.read(offset, length).unwrap(), expected);
                let peeked = reader.peek(offset, length).unwrap();
                prop_assert_eq!(peeked, &expected[..expected.len().min(MAX_PEEK)]);
            }
        }
    }

    #[test]
    fn reads_the_beginning_and_the_end_of_a_file_once() {
        let bytes = vec![1; 1 << 20];
        let file = file_of(&bytes);
        let size = bytes.len() as u64;
        let mut reader = PeekReader::new(&file, size);
        for offset in [0, 500_000, size - 128] {
            assert_eq!(reader.peek(offset, 8).unwrap(), [1; 8]);
        }
        // Another content shows whether the reader reads the file again.
        file.write_all_at(&vec![2; 1 << 20], 0).unwrap();
        for offset in [0, 500_000, size - 128, 0] {
            assert_eq!(reader.peek(offset, 8).unwrap(), [1; 8], "{offset}");
        }
        assert_eq!(reader.peek(800_000, 8).unwrap(), [2; 8]);
    }
}
