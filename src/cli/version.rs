//! The facts about a build that `--version` shows.

use std::sync::LazyLock;

use chrono::DateTime;

/// Version of the embedded engine.
#[cfg(feature = "embedded")]
const ENGINE: Option<&str> = Some("dynoxide 3.2.0");
#[cfg(not(feature = "embedded"))]
const ENGINE: Option<&str> = None;

#[cfg(feature = "embedded")]
const FEATURES: &str = "cli, embedded";
#[cfg(not(feature = "embedded"))]
const FEATURES: &str = "cli";

/// The version with the facts that are known, one per line.
pub(crate) fn details() -> &'static str {
    static DETAILS: LazyLock<String> = LazyLock::new(|| {
        let facts = [
            (
                "commit",
                option_env!("DYNADUMP_COMMIT").map(ToOwned::to_owned),
            ),
            ("date", date(option_env!("DYNADUMP_EPOCH"))),
            (
                "target",
                option_env!("DYNADUMP_TARGET").map(ToOwned::to_owned),
            ),
            ("features", Some(FEATURES.to_owned())),
            ("engine", ENGINE.map(ToOwned::to_owned)),
        ];
        let known = facts
            .into_iter()
            .filter_map(|(name, value)| Some(format!("\n{name}: {}", value?)));

        std::iter::once(env!("CARGO_PKG_VERSION").to_owned())
            .chain(known)
            .collect()
    });

    &DETAILS
}

/// The date of a time in seconds since 1970.
fn date(epoch: Option<&str>) -> Option<String> {
    let time = DateTime::from_timestamp(epoch?.parse().ok()?, 0)?;

    Some(time.format("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_details_name_the_target_the_features_and_the_engine_that_is_required() {
        let details = details();
        for line in ["\ntarget: ", "\nfeatures: cli"] {
            assert!(details.contains(line), "{details}");
        }

        if let Some(engine) = ENGINE {
            let version = engine.trim_start_matches("dynoxide ");
            let required = format!("package = \"dynoxide-rs\", version = \"={version}\"");
            assert!(include_str!("../../Cargo.toml").contains(&required));
        }
    }

    #[test]
    fn the_date_is_that_of_the_epoch() {
        assert_eq!(date(Some("1700000000")).as_deref(), Some("2023-11-14"));
        assert_eq!(date(Some("")), None);
        assert_eq!(date(None), None);
    }
}
