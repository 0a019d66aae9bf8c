//! Parts of a file that are sent without being read. In the answer's body, bytes of no meaning stand in for them; the
//! connection's socket knows those by where they lie in memory, and has the system send the file's own in their place
//! (sendfile(2)). It saves copying each byte twice. Which parts may be lent is the business of `file`.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::fs::sendfile;

use super::buffer;
use super::file::Source;

/// Lent in one piece at most, in bytes: as much as is read in one.
const MOST: usize = buffer::SIZE;

/// Nobody ever reads it.
static STAND_IN: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![0; MOST]));

/// What a body has lent to its connection's socket and that has not sent yet.
#[derive(Debug)]
pub(super) struct Lender {
    source: Arc<Source>,
    parts: Mutex<VecDeque<Range<u64>>>,
}

impl Lender {
    pub(super) fn new(source: Arc<Source>) -> Self {
        Lender {
            source,
            parts: Mutex::default(),
        }
    }

    fn parts(&self) -> MutexGuard<'_, VecDeque<Range<u64>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends so many bytes of the file, [`MOST`] at most, and gives what stands in for them.
    pub(super) fn lend(&self, from: u64, bytes: usize) -> Bytes {
        let stand_in = STAND_IN.slice(..bytes.min(MOST));
        let part = from..from + stand_in.len() as u64;
        self.parts().push_back(part);
        stand_in
    }

    /// Sends of what was lent first so much as is taken at once, and not more than for what so many bytes stand in.
    pub(super) fn send(&self, socket: impl AsFd, bytes: usize) -> io::Result<usize> {
        let mut parts = self.parts();
        let Some(part) = parts.front_mut() else {
            return Err(io::Error::other("what was not lent is to be sent"));
        };
        let most = bytes.min((part.end - part.start) as usize);
        let sent = sendfile(socket, self.source.file(), Some(&mut part.start), most)?;
        if part.is_empty() {
            parts.pop_front();
        }
        match sent {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            sent => Ok(sent),
        }
    }
}

/// What an answer goes on with.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// So many of the pieces, which are what they seem.
    Own(usize),
    /// So many bytes that only stand in.
    Lent(usize),
}

impl Next {
    pub(super) fn of(pieces: &[IoSlice<'_>]) -> Self {
        let lent = pieces.iter().take_while(|piece| is_lent(piece));
        let bytes = lent.map(|piece| piece.len()).sum();
        if bytes > 0 {
            return Next::Lent(bytes);
        }
        Next::Own(pieces.iter().take_while(|piece| !is_lent(piece)).count())
    }
}

fn is_lent(piece: &[u8]) -> bool {
    !piece.is_empty() && STAND_IN.as_ptr_range().contains(&piece.as_ptr())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::library::Version;

    fn lender(folder: &tempfile::TempDir, content: &[u8]) -> Lender {
        let path = folder.path().join("song");
        fs::write(&path, content).unwrap();
        let file = fs::File::open(path).unwrap();
        let version = Version::of(&file.metadata().unwrap());
        Lender::new(Arc::new(Source::new(file, version)))
    }

    #[test]
    fn what_is_sent_is_the_file_s_own_in_the_order_in_which_it_was_lent() {
        let folder = tempfile::tempdir().unwrap();
        let lender = lender(&folder, b"0123456789");
        let (server, mut phone) = UnixStream::pair().unwrap();
        lender.lend(2, 4);
        lender.lend(8, 2);
        let sent = [3, 100, 100].map(|bytes| lender.send(&server, bytes).unwrap());
        assert_eq!(sent, [3, 1, 2]);
        assert!(lender.send(&server, 1).is_err(), "nothing is lent any more");
        drop(server);
        let mut arrived = String::new();
        phone.read_to_string(&mut arrived).unwrap();
        assert_eq!(arrived, "234589");
    }

    #[test]
    fn a_file_that_has_shrunk_is_an_error_and_no_end() {
        let folder = tempfile::tempdir().unwrap();
        let lender = lender(&folder, b"0123456789");
        let (server, _phone) = UnixStream::pair().unwrap();
        lender.lend(2, 4);
        fs::write(folder.path().join("song"), b"0").unwrap();
        let error = lender.send(&server, 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_stands_in_is_told_from_what_is_what_it_seems_also_when_some_of_it_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let lender = lender(&folder, b"");
        let (first, second) = (lender.lend(0, MOST), lender.lend(0, 10));
        let own = vec![0; 10];
        let next = |pieces: &[&[u8]]| {
            let pieces: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            Next::of(&pieces)
        };
        assert_eq!(next(&[&own, &own, &first, &own]), Next::Own(2));
        assert_eq!(next(&[&first[MOST - 1..], &second, &own]), Next::Lent(11));
        assert_eq!(next(&[&own]), Next::Own(1));
        assert_eq!(next(&[]), Next::Own(0));
    }
}
