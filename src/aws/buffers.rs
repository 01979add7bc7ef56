//! A pool of large buffers for response bodies.
//!
//! Buffers of 1 MB and more that are allocated on one thread and freed on another fragment the
//! allocator's heaps: dumps used a quarter more memory than they held. The memory of a page is
//! therefore reused for the next one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Minimum size of a pooled buffer.
const MIN_POOLED_BYTES: usize = 256 * 1024;

/// Capacities are multiples of this size, so that a buffer also fits the next page.
const CAPACITY_STEP: usize = 512 * 1024;

/// Maximum size of a pooled buffer.
const MAX_POOLED_BYTES: usize = 4 * 1024 * 1024;

/// Maximum number of idle buffers in the pool.
const MAX_POOLED_BUFFERS: usize = 8;

static POOL: BufferPool = BufferPool(Mutex::new(Vec::new()));

/// Idle buffers that can be reused.
struct BufferPool(Mutex<Vec<Vec<u8>>>);

/// Returns an empty buffer with at least this capacity.
pub(crate) fn take_buffer(bytes: usize) -> Vec<u8> {
    POOL.take(bytes)
}

/// Converts a buffer into shared bytes. The memory returns to the pool when the last slice of it is
/// dropped.
pub(crate) fn into_shared_bytes(buffer: Vec<u8>) -> Bytes {
    POOL.share(buffer)
}

impl BufferPool {
    fn take(&self, bytes: usize) -> Vec<u8> {
        if bytes < MIN_POOLED_BYTES {
            return Vec::with_capacity(bytes);
        }

        // Exact capacities keep the buffers within the range that is pooled.
        let mut buffer = self.lock().pop().unwrap_or_default();
        buffer.reserve_exact(bytes.next_multiple_of(CAPACITY_STEP));

        buffer
    }

    fn share(&'static self, buffer: Vec<u8>) -> Bytes {
        if (MIN_POOLED_BYTES..=MAX_POOLED_BYTES).contains(&buffer.capacity()) {
            return Bytes::from_owner(PooledBuffer { buffer, pool: self });
        }

        Bytes::from(buffer)
    }

    /// Locks the idle buffers. A poisoned lock is harmless: no operation leaves the list
    /// half-changed.
    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer that returns to its pool on drop.
struct PooledBuffer {
    buffer: Vec<u8>,
    pool: &'static BufferPool,
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut free = self.pool.lock();
        // Beyond that, the memory is freed: bursts must not keep their memory until the end of the
        // run.
        if free.len() < MAX_POOLED_BUFFERS {
            free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaked_pool() -> &'static BufferPool {
        Box::leak(Box::new(BufferPool(Mutex::default())))
    }

    #[test]
    fn memory_is_reused_once_no_slice_of_it_is_held() {
        let pool = leaked_pool();
        let mut buffer = pool.take(1_000_000);
        assert_eq!((buffer.len(), buffer.capacity()), (0, 2 * CAPACITY_STEP));
        buffer.extend_from_slice(b"a page");
        let address = buffer.as_ptr();
        let page = pool.share(buffer);
        let item = page.slice(2..);
        drop(page);
        let other = pool.take(MIN_POOLED_BYTES);
        assert_ne!(other.as_ptr(), address, "an item is held");
        assert_eq!(item, "page");
        drop(item);
        let again = pool.take(MIN_POOLED_BYTES);
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
    }

    #[test]
    fn only_a_few_buffers_of_the_right_size_are_kept() {
        let pool = leaked_pool();
        for bytes in [1, MIN_POOLED_BYTES - 1, MAX_POOLED_BYTES + 1] {
            drop(pool.share(pool.take(bytes)));
        }

        assert!(pool.lock().is_empty());
        let all: Vec<_> = (0..MAX_POOLED_BUFFERS + 3)
            .map(|_| pool.share(pool.take(MIN_POOLED_BYTES)))
            .collect();
        drop(all);
        assert_eq!(pool.lock().len(), MAX_POOLED_BUFFERS);
    }
}
