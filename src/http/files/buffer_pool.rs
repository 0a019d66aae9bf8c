//! A pool of buffers for reading files. Reused buffers are likely to be in the processor's cache, and need not be zeroed
//! again. The number of large buffers is limited, because a download holds one from the read of a part of the file until
//! hyper has written that part to the socket, and a client that does not read holds its buffer for as long as it is
//! connected. Downloads without a large buffer use small ones; hyper queues at most 64 KB of them for each connection.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// The size of a large buffer, in bytes. Measured with fifty clients that together receive at the rate of a gigabit link:
/// smaller buffers cost more wake-ups and system calls per byte; larger buffers are evicted from the processor's cache
/// between the read and the write.
pub(super) const BUFFER_SIZE: usize = 256 << 10;
/// The size of the buffers that downloads get while [`MAX_LARGE`] large buffers are in use, in bytes.
const SMALL_BUFFER_SIZE: usize = 16 << 10;
/// Maximum number of large buffers in use: 16 MiB in total, enough for fifty clients that receive at full rate.
const MAX_LARGE: usize = 64;
/// Maximum number of free large buffers that the pool keeps.
const MAX_FREE: usize = 8;

/// The large buffers of all downloads.
static POOL: Pool = Pool::new();

struct Pool(Mutex<LargeBuffers>);

struct LargeBuffers {
    /// The free buffers, as a stack: the buffer returned last is the one most likely to be in the processor's cache.
    free: Vec<Vec<u8>>,
    /// The number of large buffers in use.
    in_use_count: usize,
}

impl Pool {
    const fn new() -> Self {
        Pool(Mutex::new(LargeBuffers {
            free: Vec::new(),
            in_use_count: 0,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, LargeBuffers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A large buffer, or a small one while [`MAX_LARGE`] large ones are in use.
    fn take(&'static self) -> PooledBuffer {
        let mut buffers = self.lock();
        let (reused, size) = if buffers.in_use_count < MAX_LARGE {
            buffers.in_use_count += 1;
            (buffers.free.pop(), BUFFER_SIZE)
        } else {
            (None, SMALL_BUFFER_SIZE)
        };
        drop(buffers);
        PooledBuffer {
            pool: self,
            memory: reused.unwrap_or_else(|| vec![0; size]),
            filled: 0,
        }
    }
}

/// A buffer that returns to the pool when it is dropped, or when the last copy of the [`Bytes`] made of it is dropped.
pub(super) struct PooledBuffer {
    pool: &'static Pool,
    memory: Vec<u8>,
    filled: usize,
}

impl PooledBuffer {
    /// A large buffer, or a small one while too many large ones are in use.
    pub(super) fn take() -> Self {
        POOL.take()
    }

    /// At most the first `length` bytes, for writing. These bytes may contain data of an earlier use.
    pub(super) fn space(&mut self, length: usize) -> &mut [u8] {
        let length = length.min(self.memory.len());
        &mut self.memory[..length]
    }

    /// The first `filled` bytes, which the caller has written.
    pub(super) fn into_bytes(mut self, filled: usize) -> Bytes {
        self.filled = filled.min(self.memory.len());
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.filled]
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        if self.memory.len() < BUFFER_SIZE {
            return;
        }
        let mut buffers = self.pool.lock();
        buffers.in_use_count -= 1;
        if buffers.free.len() < MAX_FREE {
            buffers.free.push(std::mem::take(&mut self.memory));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_pool() -> &'static Pool {
        Box::leak(Box::new(Pool::new()))
    }

    #[test]
    fn reused_buffers_show_only_new_bytes() {
        let pool = new_pool();
        let mut first = pool.take();
        first.space(4).copy_from_slice(b"late");
        drop(first.into_bytes(4));
        let mut second = pool.take();
        second.space(2).copy_from_slice(b"no");
        assert_eq!(second.into_bytes(2), &b"no"[..]);
    }

    #[test]
    fn memory_of_many_buffers_is_bounded() {
        let pool = new_pool();
        let mut all: Vec<_> = (0..300).map(|_| pool.take()).collect();
        let sizes = all.iter_mut().map(|buffer| buffer.space(usize::MAX).len());
        let total: usize = sizes.sum();
        assert!(total <= MAX_LARGE * BUFFER_SIZE + 300 * SMALL_BUFFER_SIZE);
        assert_eq!(pool.take().space(BUFFER_SIZE).len(), SMALL_BUFFER_SIZE);
        drop(all);
        assert_eq!(pool.take().space(BUFFER_SIZE).len(), BUFFER_SIZE);
        assert!(pool.lock().free.len() <= MAX_FREE);
    }
}
