//! The key of masks: a secret that is never shown, and what is derived from it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Error, Result};

/// Bytes that a key has at least. Whoever guesses the key can try names and numbers until a hash fits.
const SHORTEST: usize = 16;

/// The key that hashes, fakes and shifts are made with.
#[derive(Clone)]
pub struct MaskKey(Hmac<Sha256>);

impl MaskKey {
    /// Takes a key as it stands in a variable or a file; a line feed at its end does not count.
    ///
    /// # Errors
    /// [`Environment`](crate::error::ErrorKind::Environment): it is shorter than 16 bytes.
    pub fn new(text: &[u8]) -> Result<Self> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.len() < SHORTEST {
            return Err(Error::environment(format!("the mask key is shorter than {SHORTEST} bytes"))
                .with_hint("make one with `openssl rand -hex 32`, and keep it: the same key gives the same masks"));
        }

        Hmac::new_from_slice(text)
            .map(Self)
            .map_err(|error| Error::failed("the mask key is unusable").with_source(error))
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

    /// Bytes without end that follow from a value and what they are for.
    pub(crate) fn stream(&self, purpose: &str, value: &[u8]) -> KeyStream {
        // The zero keeps purposes and values apart.
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
            left: 0,
        }
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey(…)")
    }
}

/// Bytes that only the key's owner can tell from random ones.
pub(crate) struct KeyStream {
    seeded: Hmac<Sha256>,
    block: u64,
    buffer: [u8; 32],
    left: usize,
}

impl KeyStream {
    pub(crate) fn byte(&mut self) -> u8 {
        if self.left == 0 {
            let block = self
                .seeded
                .clone()
                .chain_update([0])
                .chain_update(self.block.to_le_bytes());

            self.buffer = block.finalize().into_bytes().into();
            self.block += 1;
            self.left = self.buffer.len();
        }

        self.left -= 1;
        self.buffer[self.left]
    }

    pub(crate) fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// A number below `bound`, which is not 0. The bias is below 2⁻⁵⁰ for bounds as small as ours.
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
