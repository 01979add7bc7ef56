//! Binary values in their text form: standard base64 with padding, as DynamoDB writes it.
//!
//! Unused bits before the padding are ignored, as in DynamoDB's own decoder, so that every value that DynamoDB returns can be
//! decoded.

use ::base64::Engine;
use ::base64::alphabet::STANDARD;
use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Appends the bytes; `None` if the text is not base64 (then `out` holds anything).
pub(crate) fn decode_into(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    ENGINE.decode_vec(text, out).ok()
}

/// Number of bytes that the text encodes, without decoding it; `None` if it is not base64.
pub(crate) fn decoded_length(text: &[u8]) -> Option<usize> {
    let padding = text
        .iter()
        .rev()
        .take(2)
        .take_while(|byte| **byte == b'=')
        .count();

    let digits = &text[..text.len() - padding];
    // No early exit, so that the compiler can use vector instructions.
    let other: u8 = digits.iter().fold(0, |other, byte| {
        other | u8::from(!matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/'))
    });

    (other == 0 && text.len().is_multiple_of(4)).then(|| text.len() / 4 * 3 - padding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_length_is_known_exactly_when_it_decodes(text in "[AQgw/+=\\-Z ]{0,9}|([a-zA-Z0-9+/]{4}){0,5}(..==|...=)?") {
            let mut out = Vec::new();
            let decoded = decode_into(text.as_bytes(), &mut out).map(|()| out.len());
            prop_assert_eq!(decoded_length(text.as_bytes()), decoded, "{}", text);
        }
    }
}
