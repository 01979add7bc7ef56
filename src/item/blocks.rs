//! Sixty-four bytes of JSON at a time: which of them are quotes, backslashes, brackets.
//!
//! One bit per byte, lowest bit first. The comparisons are plain loops over sixteen bytes, which the compiler turns into vector
//! instructions on every target (the intrinsics themselves cannot be called without `unsafe`); their results are gathered into
//! bits by a transposition.

/// Bytes per block.
pub(super) const BLOCK: usize = 64;

/// Where the bytes lie that matter for the structure of JSON. A bit for a bracket inside a string is set, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Masks {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    pub(super) brackets: u64,
}

/// The masks of one block.
#[inline]
pub(super) fn masks(block: &[u8; BLOCK]) -> Masks {
    let any_backslash = block.iter().fold(0, |any, byte| any | u8::from(*byte == b'\\'));
    Masks {
        quotes: bits(block, |byte| byte == b'"'),
        backslashes: if any_backslash != 0 { bits(block, |byte| byte == b'\\') } else { 0 },
        // `[` and `{`, `]` and `}` differ in one bit only.
        brackets: bits(block, |byte| matches!(byte | 0x20, b'{' | b'}')),
    }
}

/// One bit for each byte of which `test` is true: the block is seen as eight rows of eight bytes, row `n` goes to bit `n` of
/// the columns, and the columns are turned into rows.
#[inline]
fn bits(block: &[u8; BLOCK], test: impl Fn(u8) -> bool) -> u64 {
    let flags = block.map(|byte| u8::from(test(byte)));
    let (rows, _) = flags.as_chunks::<8>();
    let columns = rows.iter().enumerate().fold(0, |columns, (row, flags)| columns | u64::from_le_bytes(*flags) << row);
    transpose(columns)
}

/// Turns eight bytes of columns into eight bytes of rows (Hacker's Delight, 7-3).
#[inline]
fn transpose(mut bits: u64) -> u64 {
    for (shift, mask) in [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0x0000_0000_f0f0_f0f0)] {
        let swapped = (bits ^ bits >> shift) & mask;
        bits ^= swapped ^ swapped << shift;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sees_what_a_byte_loop_sees(seed in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(b"\"\\{}[];Z|~".to_vec())], BLOCK)) {
            let block: [u8; BLOCK] = seed.try_into().expect("of that length");
            let mut plain = Masks::default();
            for (index, byte) in block.iter().enumerate() {
                plain.quotes |= u64::from(*byte == b'"') << index;
                plain.backslashes |= u64::from(*byte == b'\\') << index;
                plain.brackets |= u64::from(b"{}[]".contains(byte)) << index;
            }
            prop_assert_eq!(masks(&block), plain);
        }
    }
}
