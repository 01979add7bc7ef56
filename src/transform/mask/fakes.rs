//! Invented people: names, e-mail and postal addresses, phone numbers; the same original gives the same invention.

use fake::Fake as _;
use fake::faker::address::raw::{BuildingNumber, CityName, StreetName};
use fake::faker::name::raw::{FirstName, LastName};
use fake::faker::phone_number::raw::PhoneNumber;
use fake::locales::EN;
use serde::Deserialize;

use super::secret::KeyStream;

/// What is invented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FakeKind {
    Name,
    Email,
    Phone,
    Address,
}

impl FakeKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Address => "address",
        }
    }

    /// An invention. E-mail addresses are under example.com (RFC 2606), so that no mail ever reaches anybody, and end in digits of
    /// the hash, so that no two are alike.
    pub(crate) fn text(self, stream: &mut KeyStream) -> String {
        match self {
            Self::Name => format!("{} {}", first(stream), last(stream)),
            Self::Email => {
                let unique = stream.number();
                let (first, last) = (first(stream), last(stream));
                let name = format!("{first}.{last}.{unique:016x}@example.com").to_ascii_lowercase();
                name.chars()
                    .filter(|c| c.is_ascii_alphanumeric() || ".@".contains(*c))
                    .collect()
            }
            Self::Phone => PhoneNumber(EN).fake_with_rng(stream),
            Self::Address => {
                let number: String = BuildingNumber(EN).fake_with_rng(stream);
                let street: String = StreetName(EN).fake_with_rng(stream);
                let city: String = CityName(EN).fake_with_rng(stream);
                format!("{number} {street}, {city}")
            }
        }
    }

    /// An invention that is a number: a phone number's digits.
    pub(crate) fn number(self, stream: &mut KeyStream) -> Option<String> {
        (self == Self::Phone).then(|| (2_000_000_000 + stream.below(8_000_000_000)).to_string())
    }
}

fn first(stream: &mut KeyStream) -> String {
    FirstName(EN).fake_with_rng(stream)
}

fn last(stream: &mut KeyStream) -> String {
    LastName(EN).fake_with_rng(stream)
}
