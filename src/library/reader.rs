//! Reads a file here and there. Whoever parses tags goes to and fro, and asks where he is at each step; here that costs
//! nothing, and what was read a moment ago is not read again.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// So much is read at once, in bytes.
const PIECE: usize = 16 << 10;
/// A piece begins at a multiple of this: what is asked for next may lie a little before.
const GRID: u64 = 4 << 10;

/// A file, and a place in it of its own.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    file: &'a File,
    size: u64,
    at: u64,
    piece: Vec<u8>,
    /// Where in the file the piece begins.
    piece_at: u64,
}

impl<'a> Reader<'a> {
    /// Of `file`, which has so many bytes, at its beginning.
    pub(super) fn new(file: &'a File, size: u64) -> Self {
        Reader {
            file,
            size,
            at: 0,
            piece: Vec::new(),
            piece_at: 0,
        }
    }

    /// What is there of the piece, from here on.
    fn here(&self) -> &[u8] {
        let from = self.at.checked_sub(self.piece_at);
        let from = from.and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.piece.get(from..))
            .unwrap_or_default()
    }

    fn fill(&mut self) -> io::Result<()> {
        self.piece_at = self.at - self.at % GRID;
        self.piece.resize(PIECE, 0);
        let got = self.file.read_at(&mut self.piece, self.piece_at);
        self.piece.truncate(*got.as_ref().unwrap_or(&0));
        got.map(|_| ())
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.here().is_empty() && into.len() < PIECE {
            self.fill()?;
        }
        let here = self.here();
        let got = if here.is_empty() {
            self.file.read_at(into, self.at)?
        } else {
            let got = here.len().min(into.len());
            into[..got].copy_from_slice(&here[..got]);
            got
        };
        self.at += got as u64;
        Ok(got)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
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
        let near = -70_000_i64..70_000;
        prop_oneof![
            (0_usize..40_000).prop_map(Step::Read),
            (0_usize..40).prop_map(Step::Read),
            (0_u64..60_000).prop_map(|to| Step::Seek(SeekFrom::Start(to))),
            near.clone()
                .prop_map(|by| Step::Seek(SeekFrom::Current(by))),
            near.prop_map(|by| Step::Seek(SeekFrom::End(by))),
        ]
    }

    proptest! {
        #[test]
        fn it_reads_what_the_file_itself_would(steps in proptest::collection::vec(step(), 0..40)) {
            let bytes: Vec<u8> = (0..50_000_u32).map(|n| ((n * n) >> 7) as u8).collect();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let mut reader = Reader::new(&file, bytes.len() as u64);
            let mut model = io::Cursor::new(&bytes);
            for step in steps {
                match step {
                    Step::Read(length) => {
                        let (mut got, mut expected) = (Vec::new(), Vec::new());
                        reader.by_ref().take(length as u64).read_to_end(&mut got).unwrap();
                        model.by_ref().take(length as u64).read_to_end(&mut expected).unwrap();
                        prop_assert_eq!(got, expected);
                    }
                    Step::Seek(to) => {
                        prop_assert_eq!(reader.seek(to).ok(), model.seek(to).ok());
                    }
                }
            }
        }
    }
}
