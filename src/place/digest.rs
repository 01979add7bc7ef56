//! SHA-256 digests as lower-case hex.

use sha2::{Digest, Sha256};

/// Returns the SHA-256 of `bytes` in hex.
pub(crate) fn hex_sha256(bytes: &[u8]) -> String {
    finalize_hex(Sha256::new_with_prefix(bytes))
}

/// Finalizes `hasher` and returns the digest in hex.
pub(crate) fn finalize_hex(hasher: Sha256) -> String {
    hex::encode(hasher.finalize())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_standards_own_example() {
        // FIPS 180-4, example "abc".
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(super::hex_sha256(b"abc"), expected);
    }
}
