//! The keys this program reads from env files and the process environment. All others belong to somebody else.

pub(super) const TABLE: &str = "DYNAMODB_TABLE";
pub(super) const REGION: &str = "AWS_REGION";
pub(super) const DEFAULT_REGION: &str = "AWS_DEFAULT_REGION";
pub(super) const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
pub(super) const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
pub(super) const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
pub(super) const PROFILE: &str = "AWS_PROFILE";
pub(super) const ROLE_ARN: &str = "AWS_ROLE_ARN";
pub(super) const ROLE_EXTERNAL_ID: &str = "AWS_ROLE_EXTERNAL_ID";
pub(super) const ROLE_SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
pub(super) const LOCAL_ENDPOINT: &str = "LOCAL_AWS_ENDPOINT";
pub(super) const DYNAMODB_ENDPOINT: &str = "AWS_ENDPOINT_URL_DYNAMODB";
pub(super) const ENDPOINT: &str = "AWS_ENDPOINT_URL";
pub(super) const IGNORE_ENDPOINTS: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";
pub(super) const PROTECTED: &str = "DYNADUMP_PROTECTED";
pub(super) const ACCOUNT: &str = "DYNADUMP_ACCOUNT";
pub(super) const SAMPLE: &str = "DYNADUMP_SAMPLE";

const ALL: [&str; 17] = [
    TABLE,
    REGION,
    DEFAULT_REGION,
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
    PROFILE,
    ROLE_ARN,
    ROLE_EXTERNAL_ID,
    ROLE_SESSION_NAME,
    LOCAL_ENDPOINT,
    DYNAMODB_ENDPOINT,
    ENDPOINT,
    IGNORE_ENDPOINTS,
    PROTECTED,
    ACCOUNT,
    SAMPLE,
];

/// All keys with this prefix are this program's own; one that it does not know is a misspelling.
const OWN_PREFIX: &str = "DYNADUMP_";

/// The key, if this program reads it.
pub(super) fn known(key: &str) -> Option<&'static str> {
    ALL.into_iter().find(|known| *known == key)
}

/// Whether the key has this program's prefix.
pub(super) fn is_own(key: &str) -> bool {
    key.starts_with(OWN_PREFIX)
}

/// The key of this program's own that is spelt most like `key`.
pub(super) fn nearest_own(key: &str) -> &'static str {
    let distance = |known: &&str| strsim::damerau_levenshtein(known, key);
    ALL.into_iter().filter(|known| is_own(known)).min_by_key(distance).unwrap_or(PROTECTED)
}
