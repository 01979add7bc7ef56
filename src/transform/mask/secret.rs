//! Secret key of masks, and the hashes and random bytes derived from it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Error, Result};

/// Minimum length of a key, in bytes. With a guessed key, names and numbers can be found by brute
/// force.
const MIN_KEY_BYTES: usize = 16;

/// Key of hashes, fakes, format-preserving masks and date shifts. `Debug` does not print it.
#[derive(Clone)]
pub struct MaskKey(Hmac<Sha256>);

impl MaskKey {
    /// Creates a key from the contents of a variable or file. A trailing line break is ignored.
    ///
    /// # Errors
    /// [`Environment`](crate::error::ErrorKind::Environment): it is shorter than 16 bytes.
    pub fn new(text: &[u8]) -> Result<Self> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.len() < MIN_KEY_BYTES {
            return Err(Error::environment(format!("the mask key is shorter than {MIN_KEY_BYTES} bytes"))
                .with_hint("generate one with `openssl rand -hex 32` and keep it: the same key gives the same masks"));
        }

        Hmac::new_from_slice(text)
            .map(Self)
            .map_err(|error| Error::failed("the mask key cannot be used").with_source(error))
    }

    /// The HMAC-SHA-256 of a value.
    pub(crate) fn hash(&self, value: &[u8]) -> [u8; 32] {
        self.0
            .clone()
            .chain_update(value)
            .finalize()
            .into_bytes()
            .into()
    }

    /// An infinite stream of pseudorandom bytes, derived from a purpose and a value.
    pub(crate) fn stream(&self, purpose: &str, value: &[u8]) -> KeyStream {
        // The zero byte separates purpose and value.
        let seeded = self
            .0
            .clone()
            .chain_update(purpose)
            .chain_update([0])
            .chain_update(value);

        KeyStream {
            seeded,
            block: 0,
            buffer: [0; 32],
            remaining: 0,
        }
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey(…)")
    }
}

/// Pseudorandom bytes: HMAC-SHA-256 in counter mode.
pub(crate) struct KeyStream {
    /// HMAC of purpose and value; each block adds its number.
    seeded: Hmac<Sha256>,
    block: u64,
    buffer: [u8; 32],
    remaining: usize,
}

impl KeyStream {
    pub(crate) fn byte(&mut self) -> u8 {
        if self.remaining == 0 {
            let block = self
                .seeded
                .clone()
                .chain_update([0])
                .chain_update(self.block.to_le_bytes());

            self.buffer = block.finalize().into_bytes().into();
            self.block += 1;
            self.remaining = self.buffer.len();
        }

        self.remaining -= 1;
        self.buffer[self.remaining]
    }

    pub(crate) fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// A number below `bound`, which must not be 0. The modulo bias is negligible: below 2⁻³⁰ for
    /// the bounds in use.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }
}

impl fake::rand::TryRng for KeyStream {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> std::result::Result<u32, Self::Error> {
        Ok((0..4).fold(0, |number, _| number << 8 | u32::from(self.byte())))
    }

    fn try_next_u64(&mut self) -> std::result::Result<u64, Self::Error> {
        Ok(self.number())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> std::result::Result<(), Self::Error> {
        for byte in bytes {
            *byte = self.byte();
        }

        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 6: a key longer than a block of SHA-256.
    #[test]
    fn hashes_are_hmac_sha_256() {
        let key = MaskKey::new(&[0xaa; 131]).unwrap();
        let hash = key.hash(b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(
            hex::encode(hash),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_key_is_not_shown_and_not_short() {
        let key = MaskKey::new(b"correct horse battery staple\r\n").unwrap();
        assert_eq!(format!("{key:?}"), "MaskKey(…)");
        assert_eq!(
            key.hash(b"a"),
            MaskKey::new(b"correct horse battery staple")
                .unwrap()
                .hash(b"a")
        );

        assert!(MaskKey::new(b"fifteen bytes..\n").is_err());
    }
}
