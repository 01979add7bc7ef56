//! Keeps the form of a value and changes what it says: digits become digits, letters letters, all else stays.

use super::secret::KeyStream;
use super::values::ScalarValue;

/// Tries until the result differs from the original; a short one may come out the same by accident.
const ROUNDS: u32 = 64;

/// The value in the same form. `stream` gives the bytes for a round.
pub(crate) fn keep(scalar: &ScalarValue, stream: impl Fn(u32) -> KeyStream) -> ScalarValue {
    let mut masked = scalar.clone();
    for round in 0..ROUNDS {
        let mut stream = stream(round);
        masked = match scalar {
            ScalarValue::S(text) => ScalarValue::S(
                text.chars()
                    .map(|character| like(character, &mut stream))
                    .collect(),
            ),
            ScalarValue::N(number) => ScalarValue::N(number_like(number, &mut stream)),
            ScalarValue::B(bytes) => ScalarValue::B(bytes.iter().map(|_| stream.byte()).collect()),
        };

        if masked != *scalar {
            break;
        }
    }

    masked
}

fn like(character: char, stream: &mut KeyStream) -> char {
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

/// Digits change from the first that counts on; sign, point, zeros in front and exponent stay, and so does the magnitude.
fn number_like(number: &str, stream: &mut KeyStream) -> String {
    let (mantissa, exponent) = number.split_at(number.find(['e', 'E']).unwrap_or(number.len()));
    let is_zero = !mantissa.contains(|c: char| c.is_ascii_digit() && c != '0');
    let last = mantissa.rfind(|c: char| c.is_ascii_digit());
    let mut counts = false;
    let changed = mantissa.char_indices().map(|(at, character)| {
        let leads = !counts
            && (if is_zero {
                Some(at) == last
            } else {
                character != '0'
            });

        match character {
            '0'..='9' if counts => char::from(b'0' + u8::try_from(stream.below(10)).unwrap_or(0)),
            '0'..='9' if leads => {
                counts = true;
                char::from(b'1' + u8::try_from(stream.below(9)).unwrap_or(0))
            }
            other => other,
        }
    });

    let changed: String = changed.collect();

    changed + exponent
}
