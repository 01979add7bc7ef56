//! Fake personal data: names, e-mail and postal addresses, phone numbers. Equal originals have
//! equal fakes.

use fake::Fake as _;
use fake::faker::address::raw::{BuildingNumber, CityName, StreetName};
use fake::faker::name::raw::{FirstName, LastName};
use fake::faker::phone_number::raw::PhoneNumber;
use fake::locales::EN;
use serde::Deserialize;

use super::secret::KeyStream;

/// Kind of fake data.
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

    /// Generates a text. E-mail addresses use example.com, which is reserved (RFC 2606), so no mail
    /// reaches anybody. They contain digits of the hash, so they are unique.
    pub(crate) fn text(self, stream: &mut KeyStream) -> String {
        match self {
            Self::Name => format!("{} {}", first_name(stream), last_name(stream)),
            Self::Email => {
                let unique = stream.number();
                let (first, last) = (first_name(stream), last_name(stream));
                let name = format!("{first}.{last}.{unique:016x}@example.com").to_ascii_lowercase();
                // Names may contain apostrophes.
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

    /// Generates a number, for kinds that have one: the digits of a phone number.
    pub(crate) fn number(self, stream: &mut KeyStream) -> Option<String> {
        (self == Self::Phone).then(|| (2_000_000_000 + stream.below(8_000_000_000)).to_string())
    }
}

fn first_name(stream: &mut KeyStream) -> String {
    FirstName(EN).fake_with_rng(stream)
}

fn last_name(stream: &mut KeyStream) -> String {
    LastName(EN).fake_with_rng(stream)
}
