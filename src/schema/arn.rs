//! Account and region in a table's ARN, and the ARNs in a resource policy.
//!
//! Used for display and to notice a wrong account. Engines other than AWS invent both; such values count as absent. The ARNs of
//! the dumped table in a policy are replaced by placeholders for those of the target.

use super::Description;
use super::settings::actions::{STREAM_ARN, TABLE_ARN};

/// The account of a table's ARN: twelve digits, not all of them zero.
#[must_use]
pub fn account(arn: &str) -> Option<&str> {
    let account = table_arn_parts(arn)?[4];
    let twelve_digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    // Engines write this account instead of a real one.
    (twelve_digits && account != "000000000000").then_some(account)
}

/// The account in any ARN, including one that an engine invented.
pub(crate) fn any_account(arn: &str) -> Option<&str> {
    arn.split(':').nth(4)
}

/// The region of `arn`: words and a number, joined by hyphens (`eu-west-1`, `us-gov-east-1`).
pub(crate) fn region(arn: &str) -> Option<&str> {
    let region = table_arn_parts(arn)?[3];
    let (words, number) = region.rsplit_once('-')?;
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());

    (is_number && words.contains('-') && words.split('-').all(is_word)).then_some(region)
}

/// Account and region of `arn`, invented accounts included: together with a region named like one of AWS's, an invented account
/// identifies a table as well as a real one.
pub(crate) fn identity(arn: &str) -> Option<(&str, &str)> {
    Some((table_arn_parts(arn)?[4], region(arn)?)).filter(|(account, _)| !account.is_empty())
}

/// A policy's text with placeholders for the ARNs of the table it was written for, and of its stream.
pub(crate) fn with_placeholders(policy: &str, table: &Description) -> String {
    // The stream's ARN first: it begins with the table's ARN.
    let stream = table
        .latest_stream_arn
        .as_deref()
        .filter(|arn| !arn.is_empty());
    let policy = stream.map_or_else(
        || policy.to_owned(),
        |arn| replaced(policy, arn, STREAM_ARN),
    );
    let table = table.table_arn.as_deref().filter(|arn| !arn.is_empty());

    table.map_or_else(|| policy.clone(), |arn| replaced(&policy, arn, TABLE_ARN))
}

/// `text` with `with` for every `arn` in it that is not the beginning of a longer name.
fn replaced(text: &str, arn: &str, with: &str) -> String {
    let mut parts = text.split(arn);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // `table/films` must not match the beginning of `table/films-old`.
        let continues =
            part.starts_with(|next: char| next.is_ascii_alphanumeric() || "_-.".contains(next));
        replaced.push_str(if continues { arn } else { with });
        replaced.push_str(part);
    }

    replaced
}

/// `arn:<partition>:dynamodb:<region>:<account>:table/<name>`, cut at its colons.
fn table_arn_parts(arn: &str) -> Option<[&str; 6]> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let parts: [&str; 6] = parts.try_into().ok()?;
    (parts[0] == "arn" && parts[2] == "dynamodb" && parts[5].starts_with("table/")).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::{account, region};

    #[test]
    fn a_real_arn_contains_account_and_region() {
        for (partition, name) in [
            ("aws", "eu-central-1"),
            ("aws-us-gov", "us-gov-east-1"),
            ("aws-eusc", "eusc-de-east-1"),
        ] {
            let arn = format!("arn:{partition}:dynamodb:{name}:123456789012:table/music");
            assert_eq!(account(&arn), Some("123456789012"));
            assert_eq!(region(&arn), Some(name));
        }
    }

    #[test]
    fn what_engines_make_up_counts_as_none() {
        for arn in [
            "arn:aws:dynamodb:ddblocal:000000000000:table/music",
            "arn:aws:dynamodb:dynoxide:000000000000:table/music",
            "arn:scylla:alternator:ks:scylla:table/music",
            "arn:aws:dynamodb:eu-west-1:12345:table",
            "music",
            "",
        ] {
            assert_eq!(account(arn), None, "{arn}");
            assert_eq!(region(arn), None, "{arn}");
        }

        let localstack = "arn:aws:dynamodb:us-east-1:000000000000:table/music";
        assert_eq!(
            (account(localstack), region(localstack)),
            (None, Some("us-east-1"))
        );
    }
}
