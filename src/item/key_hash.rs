//! Sets of keys, each by its 128-bit hash.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// Hashes of keys. Only for sets of bounded size: keys that are chosen to collide make it slow.
pub type KeyHashes = HashSet<u128, BuildHasherDefault<KeyHasher>>;

/// Takes one half of a hash as it is. Hashing it again would cost time and change nothing.
#[derive(Debug, Clone, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .first_chunk()
            .map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
