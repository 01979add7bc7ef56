//! DynamoDB's numbers as decimal text: two spellings of one number get one canonical text.
//!
//! DynamoDB keeps 38 significant digits and magnitudes from 1E-130 to 9.99…E+125
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>). Neither limit
//! is enforced here: a number that DynamoDB would refuse is still different from every other, and nothing is rounded or expanded,
//! so that `1e999999999` costs no more than its text.

use std::fmt;

/// The text is not a decimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberError;

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a decimal number")
    }
}

impl std::error::Error for NumberError {}

/// A decimal number: a sign, digits without zeros at either end, and the power of ten of the last digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number<'a> {
    negative: bool,
    /// Digits before the point; `fraction` has those after it. Both are empty for zero.
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Number<'a> {
    /// Reads `[+-] digits [. digits] [e [+-] digits]`, where either side of the point may be empty, but not both.
    pub(crate) fn parse(text: &'a str) -> Result<Self, NumberError> {
        let (negative, rest) = sign(text);
        let (whole, rest) = digits(rest);
        let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(NumberError);
        }

        let significant = |c: char| c != '0';
        let zero = !whole.contains(significant) && !fraction.contains(significant);
        let exponent = match rest.strip_prefix(['e', 'E']) {
            Some(rest) => exponent(rest, zero)?,
            None if rest.is_empty() => 0,
            None => return Err(NumberError),
        };

        // Zero has one form: without sign and exponent.
        if zero {
            return Ok(Self {
                negative: false,
                whole: "",
                fraction: "",
                exponent: 0,
            });
        }

        Ok(Self {
            negative,
            whole,
            fraction,
            exponent,
        }
        .trimmed())
    }

    fn trimmed(mut self) -> Self {
        self.whole = self.whole.trim_start_matches('0');
        self.fraction = self.fraction.trim_end_matches('0');
        self.exponent -= length(self.fraction);

        // The exponent counts from the last digit, so leading zeros do not change it.
        if self.whole.is_empty() {
            self.fraction = self.fraction.trim_start_matches('0');
        }

        if self.fraction.is_empty() {
            // Trailing zeros of an integer move into the exponent.
            let before = length(self.whole);
            self.whole = self.whole.trim_end_matches('0');
            self.exponent += before - length(self.whole);
        }

        self
    }

    /// Whether it is below zero.
    pub(crate) fn is_negative(&self) -> bool {
        self.negative
    }

    /// Digits that count; none for zero.
    pub(crate) fn significant_digits(&self) -> usize {
        self.whole.len() + self.fraction.len()
    }

    /// Appends the canonical text.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        if self.significant_digits() == 0 {
            return out.push(b'0');
        }

        if self.negative {
            out.push(b'-');
        }

        out.extend_from_slice(self.whole.as_bytes());
        out.extend_from_slice(self.fraction.as_bytes());

        if self.exponent != 0 {
            out.push(b'e');
            out.extend_from_slice(self.exponent.to_string().as_bytes());
        }
    }
}

/// The canonical text of a decimal number: an integer without zeros at either end, and a power of ten where that is not 0.
/// `1.50` is `15e-1`, `+0100` is `1e2`, `-0.0` is `0`.
///
/// # Errors
/// The text is not a decimal number, or its exponent has more than 17 digits.
pub fn canonical_number(text: &str) -> Result<String, NumberError> {
    let mut out = Vec::with_capacity(text.len());
    Number::parse(text)?.write(&mut out);
    Ok(out.into_iter().map(char::from).collect())
}

fn sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.bytes()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

/// An exponent beyond 17 digits could overflow together with the digits' own weight. Zero is zero with any exponent.
fn exponent(text: &str, zero: bool) -> Result<i64, NumberError> {
    let (negative, rest) = sign(text);
    let (power, rest) = digits(rest);
    if power.is_empty() || !rest.is_empty() {
        return Err(NumberError);
    }

    // Leading zeros must not count towards the limit of digits.
    let power = power.trim_start_matches('0');
    if zero || power.is_empty() {
        return Ok(0);
    }

    if power.len() > 17 {
        return Err(NumberError);
    }

    let power: i64 = power.parse().map_err(|_| NumberError)?;

    Ok(if negative { -power } else { power })
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_number_agree() {
        for (canonical, spellings) in [
            (
                "1",
                &["1", "1.0", "1e0", "+01", "10e-1", "0.1E1", "1.", "1e-000"][..],
            ),
            (
                "0",
                &["0", "-0", "0.000", "-0e999999999999999999999", ".0", "+0"],
            ),
            ("15e-1", &["1.5", "01.50", "15E-1", "0.15e+1", "150e-2"]),
            ("-1e2", &["-100", "-1e2", "-0.1e3"]),
            ("1e999999999", &["1e999999999", "10e999999998"]),
            ("1e-130", &["1e-130", "0.1e-129"]),
            (
                "99999999999999999999999999999999999999e88",
                &["9.9999999999999999999999999999999999999E+125"],
            ),
            (
                "100000000000000000000000000000000000000000001",
                &["100000000000000000000000000000000000000000001.0"],
            ),
        ] {
            for spelling in spellings {
                assert_eq!(
                    canonical_number(spelling).as_deref(),
                    Ok(canonical),
                    "{spelling}"
                );
            }
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "", "-", ".", "e1", "1e", "1e+", "--1", "1 ", " 1", "0x1", "1,0", "NaN", "Infinity",
            "1.2.3", "1e1.0", "١",
        ] {
            assert_eq!(canonical_number(text), Err(NumberError), "{text:?}");
        }

        assert_eq!(
            canonical_number("1e999999999999999999999999"),
            Err(NumberError)
        );
    }

    proptest! {
        #[test]
        fn the_canonical_text_is_its_own(text in "[+-]?[0-9]{1,50}(\\.[0-9]{0,50})?([eE][+-]?[0-9]{1,3})?") {
            let canonical = canonical_number(&text).expect("a number");
            prop_assert_eq!(canonical_number(&canonical).expect("a number"), canonical);
        }

        #[test]
        fn integers_keep_their_value(value in any::<i64>(), zeros in 0usize..9) {
            let canonical = canonical_number(&format!("{value}{}e-{zeros}", "0".repeat(zeros))).expect("a number");
            let (mantissa, power) = canonical.split_once('e').unwrap_or((&canonical, "0"));
            let power: u32 = power.parse().expect("not negative");
            prop_assert_eq!(mantissa.parse::<i64>().expect("fits") * 10i64.pow(power), value);
        }
    }
}
