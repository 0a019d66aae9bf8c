//! The memory that pieces of files are read into, used again and again: a few buffers that stay in the processor's caches,
//! instead of a new one for each piece that must be cleared first.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Of each, in bytes.
pub(super) const SIZE: usize = 64 << 10;
/// So many are kept for those who come; each download that waits for its phone holds one besides.
const KEPT: usize = 32;

/// The one that was given back last is given out first.
static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn free() -> MutexGuard<'static, Vec<Vec<u8>>> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer, given back when it is dropped.
pub(super) struct Buffer {
    memory: Vec<u8>,
    filled: usize,
}

impl Buffer {
    pub(super) fn take() -> Self {
        let used = free().pop();
        Buffer {
            memory: used.unwrap_or_else(|| vec![0; SIZE]),
            filled: 0,
        }
    }

    /// Where so many bytes may be put, if there are so many.
    pub(super) fn space(&mut self, bytes: usize) -> &mut [u8] {
        let bytes = bytes.min(SIZE);
        &mut self.memory[..bytes]
    }

    /// The first so many bytes, which lie there now.
    pub(super) fn into_bytes(mut self, filled: usize) -> Bytes {
        self.filled = filled.min(SIZE);
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = free();
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.memory));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_shows_what_was_put_in_and_nothing_of_what_was_there_before_and_few_are_kept() {
        let mut first = Buffer::take();
        first.space(4).copy_from_slice(b"late");
        drop(first.into_bytes(4));
        let mut buffer = Buffer::take();
        buffer.space(2).copy_from_slice(b"no");
        assert_eq!(buffer.into_bytes(2), &b"no"[..]);

        let all: Vec<_> = (0..2 * KEPT).map(|_| Buffer::take()).collect();
        drop(all);
        assert_eq!(free().len(), KEPT);
    }
}
