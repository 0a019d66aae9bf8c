//! Reads parts of an audio file for the tag readers, never more than requested or beyond the end of the file.

use std::io;

use super::super::peek_reader::PeekReader;

/// A file whose tags are read. After an I/O error the file appears empty, and the first error is kept.
pub(super) struct Source<'a> {
    reader: PeekReader<'a>,
    error: Option<io::Error>,
}

impl<'a> Source<'a> {
    pub(super) fn new(reader: PeekReader<'a>) -> Self {
        Source {
            reader,
            error: None,
        }
    }

    /// The size of the file in bytes.
    pub(super) fn size(&self) -> u64 {
        match self.error {
            None => self.reader.size(),
            Some(_) => 0,
        }
    }

    /// At most `length` bytes at `offset`; fewer at the end of the file.
    pub(super) fn read(&mut self, offset: u64, length: usize) -> Vec<u8> {
        if self.error.is_some() {
            return Vec::new();
        }
        match self.reader.read(offset, length) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.error = Some(error);
                Vec::new()
            }
        }
    }

    /// The first I/O error, if there was one.
    pub(super) fn into_error(self) -> Option<io::Error> {
        self.error
    }
}
