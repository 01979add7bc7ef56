//! Keys that this program reads from env files and the process environment. All others are ignored.

use crate::similar::{did_you_mean, misspelled};

pub(crate) const TABLE: &str = "DYNAMODB_TABLE";
pub(crate) const REGION: &str = "AWS_REGION";
pub(crate) const DEFAULT_REGION: &str = "AWS_DEFAULT_REGION";
pub(crate) const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
pub(crate) const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
pub(crate) const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
pub(crate) const ACCOUNT_ID: &str = "AWS_ACCOUNT_ID";
pub(crate) const PROFILE: &str = "AWS_PROFILE";
pub(crate) const ROLE_ARN: &str = "AWS_ROLE_ARN";
pub(crate) const ROLE_EXTERNAL_ID: &str = "AWS_ROLE_EXTERNAL_ID";
pub(crate) const ROLE_SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
pub(crate) const LOCAL_ENDPOINT: &str = "LOCAL_AWS_ENDPOINT";
pub(crate) const DYNAMODB_ENDPOINT: &str = "AWS_ENDPOINT_URL_DYNAMODB";
pub(crate) const ENDPOINT: &str = "AWS_ENDPOINT_URL";
pub(crate) const IGNORE_ENDPOINTS: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";
pub(crate) const PROTECTED: &str = "DYNADUMP_PROTECTED";
pub(crate) const ACCOUNT: &str = "DYNADUMP_ACCOUNT";
pub(crate) const SAMPLE: &str = "DYNADUMP_SAMPLE";

/// Each key with the names that other programs use for it. An env file with one of those names is
/// refused: if the name were ignored, the command would silently use another endpoint, account or
/// table.
const KEYS: [(&str, &[&str]); 18] = [
    (
        TABLE,
        &[
            "TABLE",
            "TABLES",
            "TABLE_NAME",
            "TABLE_NAMES",
            "DYNAMODB_TABLES",
            "DYNAMODB_TABLE_NAME",
            "DYNAMO_TABLE",
            "DYNAMO_TABLE_NAME",
            "DDB_TABLE",
            "DDB_TABLE_NAME",
            "AWS_DYNAMODB_TABLE",
            "AWS_DYNAMODB_TABLE_NAME",
        ],
    ),
    (
        REGION,
        &[
            "REGION",
            "REGION_NAME",
            "AWS_REGION_NAME",
            "DYNAMODB_REGION",
            "DYNAMO_REGION",
            "DDB_REGION",
            "AWS_DYNAMODB_REGION",
        ],
    ),
    (DEFAULT_REGION, &["DEFAULT_REGION"]),
    (
        ACCESS_KEY_ID,
        &[
            "AWS_ACCESS_KEY",
            "AWS_KEY",
            "AWS_KEY_ID",
            "ACCESS_KEY",
            "ACCESS_KEY_ID",
            "DYNAMODB_ACCESS_KEY",
            "DYNAMODB_ACCESS_KEY_ID",
            "AWS_DYNAMODB_ACCESS_KEY_ID",
        ],
    ),
    (
        SECRET_ACCESS_KEY,
        &[
            "AWS_SECRET",
            "AWS_SECRET_KEY",
            "SECRET_ACCESS_KEY",
            "DYNAMODB_SECRET_KEY",
            "DYNAMODB_SECRET_ACCESS_KEY",
            "AWS_DYNAMODB_SECRET_ACCESS_KEY",
        ],
    ),
    (
        SESSION_TOKEN,
        &["AWS_SECURITY_TOKEN", "AWS_TOKEN", "DYNAMODB_SESSION_TOKEN"],
    ),
    (ACCOUNT_ID, &[]),
    (
        PROFILE,
        &[
            "AWS_DEFAULT_PROFILE",
            "AWS_PROFILE_NAME",
            "AWS_CLI_PROFILE",
            "PROFILE",
            "PROFILE_NAME",
            "DYNAMODB_PROFILE",
        ],
    ),
    (
        ROLE_ARN,
        &[
            "AWS_ROLE",
            "AWS_ASSUME_ROLE_ARN",
            "ASSUME_ROLE_ARN",
            "ROLE_ARN",
            "DYNAMODB_ROLE_ARN",
        ],
    ),
    (ROLE_EXTERNAL_ID, &["AWS_EXTERNAL_ID", "EXTERNAL_ID"]),
    (ROLE_SESSION_NAME, &["ROLE_SESSION_NAME"]),
    (
        LOCAL_ENDPOINT,
        &[
            "LOCAL_ENDPOINT",
            "LOCAL_ENDPOINT_URL",
            "LOCAL_AWS_ENDPOINT_URL",
            "AWS_LOCAL_ENDPOINT",
            "LOCALSTACK_ENDPOINT",
            "LOCALSTACK_ENDPOINT_URL",
            "LOCALSTACK_URL",
            "LOCALSTACK_HOST",
            "LOCAL_DYNAMODB_ENDPOINT",
            "DYNAMODB_LOCAL_ENDPOINT",
            "DYNAMODB_LOCAL_URL",
        ],
    ),
    (
        DYNAMODB_ENDPOINT,
        &[
            "DYNAMODB_ENDPOINT",
            "DYNAMODB_ENDPOINT_URL",
            "DYNAMODB_URL",
            "DYNAMODB_HOST",
            "DYNAMO_ENDPOINT",
            "DYNAMO_ENDPOINT_URL",
            "DYNAMO_URL",
            "DDB_ENDPOINT",
            "DDB_ENDPOINT_URL",
            "DDB_URL",
            "AWS_DYNAMODB_ENDPOINT",
            "AWS_DYNAMODB_ENDPOINT_URL",
            "AWS_DYNAMODB_URL",
            "AWS_ENDPOINT_DYNAMODB",
        ],
    ),
    (
        ENDPOINT,
        &[
            "AWS_ENDPOINT",
            "AWS_ENDPOINT_OVERRIDE",
            "ENDPOINT",
            "ENDPOINT_URL",
            "AWS_URL",
        ],
    ),
    (IGNORE_ENDPOINTS, &[]),
    (PROTECTED, &[]),
    (ACCOUNT, &[]),
    (SAMPLE, &[]),
];

pub(crate) const TABLES_TO_MIGRATE: &str = "TABLES_TO_MIGRATE";
pub(crate) const SOURCE_PREFIX: &str = "SRC_PREFIX";
pub(crate) const TARGET_PREFIX: &str = "DEST_PREFIX";

/// The keys of a file for both sides of a copy: the key that each stands for, its name for the source and for the target.
const SIDE_KEYS: [(&str, &str, &str); 7] = [
    (
        ACCESS_KEY_ID,
        "SRC_AWS_ACCESS_KEY_ID",
        "DEST_AWS_ACCESS_KEY_ID",
    ),
    (
        SECRET_ACCESS_KEY,
        "SRC_AWS_SECRET_ACCESS_KEY",
        "DEST_AWS_SECRET_ACCESS_KEY",
    ),
    (
        SESSION_TOKEN,
        "SRC_AWS_SESSION_TOKEN",
        "DEST_AWS_SESSION_TOKEN",
    ),
    (REGION, "SRC_AWS_REGION", "DEST_AWS_REGION"),
    (PROFILE, "SRC_AWS_PROFILE", "DEST_AWS_PROFILE"),
    (ENDPOINT, "SRC_AWS_ENDPOINT_URL", "DEST_AWS_ENDPOINT_URL"),
    (
        PROTECTED,
        "SRC_DYNADUMP_PROTECTED",
        "DEST_DYNADUMP_PROTECTED",
    ),
];

/// The keys that a file may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeySet {
    /// Those of an env file.
    Environment,
    /// Those of the source in a file for both sides of a copy.
    Source,
    /// Those of the target in such a file.
    Target,
    /// Those of neither side in such a file.
    Tables,
}

impl KeySet {
    /// The key that `name` stands for, and the name itself; `None` if it is not one of these keys.
    pub(crate) fn find(self, name: &str) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Environment => recognized(name).map(|key| (key, key)),
            Self::Source | Self::Target => self.names().find(|(_, own)| *own == name),
            Self::Tables => [TABLES_TO_MIGRATE, SOURCE_PREFIX, TARGET_PREFIX]
                .into_iter()
                .find(|key| *key == name)
                .map(|key| (key, key)),
        }
    }

    /// The name of a key on a side of a copy.
    pub(crate) fn name_of(self, key: &'static str) -> &'static str {
        self.names()
            .find(|(own, _)| *own == key)
            .map_or(key, |(_, name)| name)
    }

    /// The key of this set that `name` most likely means.
    pub(crate) fn meant_by(self, name: &str) -> Option<&'static str> {
        let prefix = match self {
            Self::Environment => return canonical_name(name),
            Self::Source => "SRC_",
            Self::Target => "DEST_",
            Self::Tables => return None,
        };

        let start = name.get(..prefix.len())?;
        let rest = &name[prefix.len()..];
        let key = canonical_name(rest).or_else(|| recognized(rest))?;
        let named = self.name_of(key);
        (start.eq_ignore_ascii_case(prefix) && named != key && named != name).then_some(named)
    }

    fn names(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        SIDE_KEYS
            .into_iter()
            .filter_map(move |(key, source, target)| match self {
                Self::Source => Some((key, source)),
                Self::Target => Some((key, target)),
                Self::Environment | Self::Tables => None,
            })
    }
}

/// The key that a name stands for on either side of a copy; other names are returned as they are.
pub(crate) fn without_side(name: &str) -> &str {
    let found = SIDE_KEYS
        .into_iter()
        .find(|(_, source, target)| [*source, *target].contains(&name));

    found.map_or(name, |(key, _, _)| key)
}

/// Prefix of this program's own keys. An unknown key with this prefix is a misspelling.
const OWN_PREFIX: &str = "DYNADUMP_";

/// The key itself, if this program reads it.
pub(crate) fn recognized(key: &str) -> Option<&'static str> {
    KEYS.into_iter()
        .map(|(known, _)| known)
        .find(|known| *known == key)
}

/// The key that `key` most likely means: another program's name for it, or another spelling.
pub(crate) fn canonical_name(key: &str) -> Option<&'static str> {
    let is_known_as = |(known, others): &(&str, &[&str])| {
        is_spelling_of(key, known) || others.iter().any(|other| is_spelling_of(key, other))
    };
    KEYS.into_iter()
        .find(is_known_as)
        .map(|(known, _)| known)
        .filter(|known| *known != key)
}

/// The key that `key` misspells.
pub(crate) fn misspelled_key(key: &str) -> Option<&'static str> {
    misspelled(key, KEYS.map(|(known, _)| known))
}

/// Whether two keys differ only in letter case and underscores (`tableName`).
fn is_spelling_of(key: &str, name: &str) -> bool {
    let letters = |text: &str| {
        text.bytes()
            .filter(|byte| *byte != b'_')
            .map(|byte| byte.to_ascii_uppercase())
            .collect::<Vec<_>>()
    };

    letters(key) == letters(name)
}

/// Whether the key has this program's prefix, ignoring letter case.
pub(crate) fn has_own_prefix(key: &str) -> bool {
    key.get(..OWN_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(OWN_PREFIX))
}

/// The hint about an unknown key with this program's prefix: similar own keys, or all of them.
pub(crate) fn own_key_hint(key: &str) -> String {
    let own = KEYS.map(|(known, _)| known);
    let own = own.into_iter().filter(|known| has_own_prefix(known));

    did_you_mean(key, own.clone())
        .unwrap_or_else(|| format!("the keys are {}", own.collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_program_suggests_one_of_ours_and_is_not_read() {
        for (known, others) in KEYS {
            assert_eq!(canonical_name(known), None, "{known}");
            assert_eq!(canonical_name(&known.to_ascii_lowercase()), Some(known));
            for other in others {
                assert_eq!(canonical_name(other), Some(known), "{other}");
                assert_eq!(
                    (
                        canonical_name(&other.to_ascii_lowercase()),
                        super::recognized(other)
                    ),
                    (Some(known), None),
                    "{other}"
                );
            }
        }
    }

    #[test]
    fn keys_with_another_meaning_are_not_taken_as_ours() {
        for key in [
            "API_KEY",
            "SECRET_KEY",
            "HOST",
            "URL",
            "STAGE",
            "TABLE_PREFIX",
            "S3_ENDPOINT",
            "AWS_CA_BUNDLE",
            "NODE_ENV",
        ] {
            assert_eq!(canonical_name(key), None, "{key}");
        }
    }
}
