//! Format-preserving masks: digits are replaced by digits, letters by letters, and other characters
//! are kept.

use super::scalar::ScalarValue;
use super::secret::KeyStream;

/// Maximum number of attempts until the result differs from the original. A short value may be
/// mapped to itself.
const ROUNDS: u32 = 64;

/// A different value with the same format. `stream` returns the random bytes of an attempt.
pub(crate) fn keep_format(scalar: &ScalarValue, stream: impl Fn(u32) -> KeyStream) -> ScalarValue {
    let mut masked = scalar.clone();
    for round in 0..ROUNDS {
        let mut stream = stream(round);
        masked = match scalar {
            ScalarValue::S(text) => ScalarValue::S(
                text.chars()
                    .map(|character| similar_character(character, &mut stream))
                    .collect(),
            ),
            ScalarValue::N(number) => ScalarValue::N(similar_number(number, &mut stream)),
            ScalarValue::B(bytes) => ScalarValue::B(bytes.iter().map(|_| stream.byte()).collect()),
        };

        if masked != *scalar {
            break;
        }
    }

    masked
}

fn similar_character(character: char, stream: &mut KeyStream) -> char {
    let one_of = |letters: &[u8], stream: &mut KeyStream| {
        let index = usize::try_from(stream.below(letters.len() as u64)).unwrap_or(0);
        char::from(letters[index])
    };
    if character.is_numeric() {
        one_of(b"0123456789", stream)
    } else if character.is_uppercase() {
        one_of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", stream)
    } else if character.is_alphabetic() {
        one_of(b"abcdefghijklmnopqrstuvwxyz", stream)
    } else {
        character
    }
}

/// Replaces the significant digits. Sign, decimal point, leading zeros, exponent and thus the
/// magnitude are kept.
fn similar_number(number: &str, stream: &mut KeyStream) -> String {
    let (mantissa, exponent) = number.split_at(number.find(['e', 'E']).unwrap_or(number.len()));
    // In a zero, the last digit is replaced, because no digit is significant.
    let is_zero = !mantissa.contains(|c: char| c.is_ascii_digit() && c != '0');
    let last = mantissa.rfind(|c: char| c.is_ascii_digit());
    let mut is_significant = false;
    let digits = mantissa.char_indices().map(|(at, character)| {
        let is_first = !is_significant
            && (if is_zero {
                Some(at) == last
            } else {
                character != '0'
            });

        match character {
            '0'..='9' if is_significant => {
                char::from(b'0' + u8::try_from(stream.below(10)).unwrap_or(0))
            }
            '0'..='9' if is_first => {
                is_significant = true;
                // Not zero, which would change the magnitude.
                char::from(b'1' + u8::try_from(stream.below(9)).unwrap_or(0))
            }
            other => other,
        }
    });

    let changed: String = digits.collect();

    changed + exponent
}
