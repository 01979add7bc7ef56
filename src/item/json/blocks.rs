//! Sixty-four bytes of JSON at a time: which of them are quotes, backslashes, brackets.
//!
//! One bit per byte, lowest bit first. The comparisons are plain loops over sixteen bytes, which the compiler turns into vector
//! instructions on every target (the intrinsics themselves cannot be called without `unsafe`); their results are gathered into
//! bits by a transposition.

use wide::u8x16;

/// Bytes per block.
pub(crate) const BLOCK: usize = 64;

/// Where the bytes lie that matter for the structure of JSON. A bit for a bracket inside a string is set, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BlockMasks {
    pub(crate) quotes: u64,
    pub(crate) backslashes: u64,
    pub(crate) brackets: u64,
}

/// The masks of one block.
#[inline]
pub(crate) fn block_masks(block: &[u8; BLOCK]) -> BlockMasks {
    let (lanes, _) = block.as_chunks::<16>();
    let mut masks = BlockMasks::default();
    for (row, lane) in lanes.iter().enumerate() {
        let bytes = u8x16::new(*lane);
        let bits = |found: u8x16| u64::from(found.to_bitmask()) << (16 * row);

        // `[` and `{`, `]` and `}` differ in one bit only.
        let folded = bytes | u8x16::splat(0x20);
        masks.quotes |= bits(bytes.simd_eq(u8x16::splat(b'"')));
        masks.backslashes |= bits(bytes.simd_eq(u8x16::splat(b'\\')));
        masks.brackets |=
            bits(folded.simd_eq(u8x16::splat(b'{')) | folded.simd_eq(u8x16::splat(b'}')));
    }

    masks
}

/// The index of the first quote or backslash. Compares sixteen bytes at a time, because most strings are at most that long.
#[inline]
pub(crate) fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(lane) = text.get(at..)?.first_chunk::<16>() {
        let lane = u8x16::new(*lane);
        let found = lane.simd_eq(u8x16::splat(b'"')) | lane.simd_eq(u8x16::splat(b'\\'));
        let bits = found.to_bitmask();
        if bits != 0 {
            return Some(at + bits.trailing_zeros() as usize);
        }

        at += 16;
    }

    text[at..]
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\'))
        .map(|found| at + found)
}

/// Whether `text` begins with `prefix`. Prefixes of a few dozen bytes are compared faster than by `memcmp`, which is a call.
#[inline]
pub(crate) fn begins_with(text: &[u8], prefix: &[u8]) -> bool {
    let Some(text) = text.get(..prefix.len()) else {
        return false;
    };

    let Some(has_same_ends) = has_same_ends::<16>(text, prefix) else {
        return has_same_ends::<8>(text, prefix)
            .or_else(|| has_same_ends::<4>(text, prefix))
            .unwrap_or_else(|| text.iter().eq(prefix));
    };

    let (lanes, _) = text.as_chunks::<16>();
    let (expected, _) = prefix.as_chunks::<16>();

    has_same_ends
        && lanes
            .iter()
            .zip(expected)
            .all(|(lane, other)| lane == other)
}

/// Whether the first and the last `N` bytes of two texts of the same length are equal; `None` for shorter texts.
#[inline]
fn has_same_ends<const N: usize>(text: &[u8], other: &[u8]) -> Option<bool> {
    let is_same_start = text.first_chunk::<N>()? == other.first_chunk::<N>()?;
    Some(is_same_start && text.last_chunk::<N>()? == other.last_chunk::<N>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_prefix_differs_if_any_byte_does() {
        let text: Vec<u8> = (0..80).collect();
        for length in 0..70 {
            let prefix = &text[..length];
            assert!(begins_with(&text, prefix) && begins_with(prefix, prefix));
            assert!(length == 0 || !begins_with(&text[..length - 1], prefix));

            for at in 0..length {
                let mut other = prefix.to_vec();
                other[at] ^= 1;
                assert!(!begins_with(&text, &other), "{length} {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn finds_the_first_quote_or_backslash(text in "[a-zé]{0,70}([\"\\\\][a-z\"\\\\]{0,40})?") {
            let plain = text.bytes().position(|byte| matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(string_end(text.as_bytes()), plain);
        }

        #[test]
        fn sees_what_a_byte_loop_sees(seed in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(b"\"\\{}[];Z|~".to_vec())], BLOCK)) {
            let block: [u8; BLOCK] = seed.try_into().expect("of that length");
            let mut plain = BlockMasks::default();
            for (index, byte) in block.iter().enumerate() {
                plain.quotes |= u64::from(*byte == b'"') << index;
                plain.backslashes |= u64::from(*byte == b'\\') << index;
                plain.brackets |= u64::from(b"{}[]".contains(byte)) << index;
            }
            prop_assert_eq!(block_masks(&block), plain);
        }
    }
}
