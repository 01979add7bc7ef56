//! Memory for large answers, used again and again.
//!
//! Pages of 1 MB and more that one thread allocates and another frees leave holes in the allocator's heaps: a dump then took a
//! quarter more memory than it held. So what a page stood in is kept for the next one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Bytes from which on memory is worth keeping.
const LARGE: usize = 256 * 1024;

/// Memory is taken in multiples of so many bytes, so that it fits the next page, too.
const STEP: usize = 512 * 1024;

/// Bytes up to which memory is kept.
const LARGEST: usize = 4 * 1024 * 1024;

/// Pieces of memory that are kept.
const KEPT: usize = 8;

static BUFFERS: Buffers = Buffers(Mutex::new(Vec::new()));

/// Pieces of memory that nobody uses.
struct Buffers(Mutex<Vec<Vec<u8>>>);

/// An empty buffer with room for so many bytes.
pub(crate) fn buffer(bytes: usize) -> Vec<u8> {
    BUFFERS.take(bytes)
}

/// What stands in a buffer, to be shared. When nobody holds any of it, its memory is used again.
pub(crate) fn shared(buffer: Vec<u8>) -> Bytes {
    BUFFERS.share(buffer)
}

impl Buffers {
    fn take(&self, bytes: usize) -> Vec<u8> {
        if bytes < LARGE {
            return Vec::with_capacity(bytes);
        }

        let mut buffer = self.free().pop().unwrap_or_default();
        buffer.reserve_exact(bytes.next_multiple_of(STEP));

        buffer
    }

    fn share(&'static self, buffer: Vec<u8>) -> Bytes {
        if (LARGE..=LARGEST).contains(&buffer.capacity()) {
            return Bytes::from_owner(Shared { buffer, home: self });
        }

        Bytes::from(buffer)
    }

    /// Nobody panics while holding the lock, and if so, the list is whole all the same.
    fn free(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer that goes home when it is dropped.
struct Shared {
    buffer: Vec<u8>,
    home: &'static Buffers,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut free = self.home.free();
        if free.len() < KEPT {
            free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> &'static Buffers {
        Box::leak(Box::new(Buffers(Mutex::default())))
    }

    #[test]
    fn memory_is_used_again_once_nobody_holds_any_of_it() {
        let buffers = home();
        let mut buffer = buffers.take(1_000_000);
        assert_eq!((buffer.len(), buffer.capacity()), (0, 2 * STEP));
        buffer.extend_from_slice(b"a page");
        let place = buffer.as_ptr();
        let page = buffers.share(buffer);
        let item = page.slice(2..);
        drop(page);
        let other = buffers.take(LARGE);
        assert_ne!(other.as_ptr(), place, "an item is held");
        assert_eq!(item, "page");
        drop(item);
        let again = buffers.take(LARGE);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
    }

    #[test]
    fn neither_small_nor_very_large_memory_is_kept_nor_much_of_it() {
        let buffers = home();
        for bytes in [1, LARGE - 1, LARGEST + 1] {
            drop(buffers.share(buffers.take(bytes)));
        }

        assert!(buffers.free().is_empty());
        let all: Vec<_> = (0..KEPT + 3)
            .map(|_| buffers.share(buffers.take(LARGE)))
            .collect();
        drop(all);
        assert_eq!(buffers.free().len(), KEPT);
    }
}
