//! Detection of placeholders that were copied from an example file, and of references to variables,
//! which are not substituted.
//!
//! Only forms that no real value has are matched. A word such as `todo` or `example` may be the
//! name of a table.

use super::keys;

/// A run of `x` that is improbable in a random key: about one in 10⁹ for a session token of 1,000
/// characters.
const RUN_OF_X: &str = "xxxxxxxx";

/// The reason why `value` is not a usable value of `key`, as a fragment that follows the key;
/// `None` if it is usable.
pub(crate) fn find_problem(key: &str, value: &str) -> Option<&'static str> {
    if is_placeholder(value) {
        Some("still contains a placeholder")
    } else if is_reference(key, value) {
        Some("refers to another variable, but variables are not expanded in env files")
    } else {
        None
    }
}

fn is_placeholder(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    // The parts of an ARN, a URL or a path.
    let last_part = value.rsplit([':', '/']);
    last_part
        .clone()
        .any(|part| part.starts_with("your-") || part.starts_with("your_"))
        || value.starts_with("your ")
        || value
            .find('<')
            .is_some_and(|open| value[open..].contains('>'))
        || matches!(value.as_str(), "changeme" | "replaceme")
        || ["change-me", "change_me", "replace-me", "replace_me"]
            .iter()
            .any(|start| value.starts_with(start))
        || ["-here", "_here", "...", "…"]
            .iter()
            .any(|end| value.ends_with(end))
        || (value.len() >= 3 && value.bytes().all(|byte| byte == b'x'))
        || value.contains(RUN_OF_X)
}

/// Whether the value is `$NAME`, `${NAME}` or `{{ name }}`, or contains `${`. A secret may contain
/// `${`.
fn is_reference(key: &str, value: &str) -> bool {
    let name = value
        .strip_prefix('$')
        .map(|rest| rest.trim_start_matches('{').trim_end_matches('}'));
    let only_a_name = name.is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    });
    // A random secret may contain these characters by chance.
    let secret = matches!(key, keys::SECRET_ACCESS_KEY | keys::SESSION_TOKEN);
    only_a_name
        || (value.starts_with("{{") && value.ends_with("}}"))
        || (!secret && value.contains("${"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_examples_are_detected() {
        for value in [
            "your-aws-access-key-id",
            "YOUR_SECRET_ACCESS_KEY",
            "your table",
            "<access key>",
            "arn:aws:iam::<account>:role/dump",
            "arn:aws:iam::123456789012:role/your-role",
            "https://your-endpoint:8000",
            "changeme",
            "Change-Me",
            "replace_me_please",
            "xxx",
            "XXXXXXXXXXXX",
            "AKIAXXXXXXXXXXXXXXXX",
            "secret-goes-here",
            "PUT_IT_HERE",
            "AKIA...",
            "…",
            "$AWS_REGION",
            "${AWS_REGION}",
            "{{ region }}",
            "users-${STAGE}",
        ] {
            assert!(find_problem(keys::TABLE, value).is_some(), "{value}");
        }
    }

    #[test]
    fn real_values_pass() {
        for value in [
            "test",
            "todo",
            "example-table",
            "yourself",
            "save-your-seat",
            "nowhere",
            "changements",
            "xx",
            "a-xxx-b",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzzzzzz",
            "pa$$word",
            "embedded:envs/demo.db",
        ] {
            assert_eq!(find_problem(keys::TABLE, value), None, "{value}");
        }

        assert_eq!(find_problem(keys::SECRET_ACCESS_KEY, "a${b}c"), None);
    }
}
