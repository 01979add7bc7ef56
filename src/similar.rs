//! Suggestions for a name that does not exist.

/// Minimum similarity (Jaro-Winkler) of a suggested name.
const MIN_SIMILARITY: f64 = 0.7;
/// A name that is less similar than the best one by more than this is not suggested. Names often have a prefix in common.
const MAX_GAP: f64 = 0.1;
const MAX_SUGGESTIONS: usize = 5;

/// `did you mean A or B?`, with the names most similar to `wanted`, the best first. `None` if no name is similar.
pub(crate) fn did_you_mean<'a>(
    wanted: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let similar = similar_names(wanted, names);

    (!similar.is_empty()).then(|| format!("did you mean {}?", similar.join(" or ")))
}

/// The name that `wanted` misspells: it differs from it by one or two edits. A longer name that begins with a name is another name.
pub(crate) fn misspelled<'a>(
    wanted: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    names
        .into_iter()
        .filter(|name| !wanted.starts_with(name))
        .map(|name| (strsim::osa_distance(wanted, name), name))
        .filter(|(edits, _)| (1..=2).contains(edits))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

fn similar_names<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = wanted.to_lowercase();
    let mut rated: Vec<(f64, &str)> = names
        .into_iter()
        .map(|name| {
            let lower = name.to_lowercase();
            let is_substring = lower.contains(&wanted) || wanted.contains(&lower);
            let similarity = if is_substring {
                1.0
            } else {
                strsim::jaro_winkler(&wanted, &lower)
            };

            (similarity, name)
        })
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .collect();

    // By name too: the order of the names may be random.
    rated.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let best = rated.first().map_or(0.0, |(similarity, _)| *similarity);
    rated
        .into_iter()
        .take_while(|(similarity, _)| best - similarity <= MAX_GAP)
        .take(MAX_SUGGESTIONS)
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_name_differs_by_one_or_two_edits() {
        let names = ["AWS_REGION", "AWS_PROFILE"];
        for (wanted, meant) in [
            ("AWS_REGON", Some("AWS_REGION")),
            ("AWS_REIGON", Some("AWS_REGION")),
            ("AWS_PROFLE", Some("AWS_PROFILE")),
            ("AWS_REGION", None),
            ("AWS_REGIONS", None),
            ("AWS_VERSION", None),
            ("API_KEY", None),
        ] {
            assert_eq!(misspelled(wanted, names), meant, "{wanted}");
        }
    }

    #[test]
    fn similar_names_are_suggested_best_first() {
        let names = ["orders", "Music", "music-archive", "zebra"];
        assert_eq!(
            did_you_mean("musik", names).as_deref(),
            Some("did you mean Music or music-archive?")
        );
        assert_eq!(
            did_you_mean("order", names).as_deref(),
            Some("did you mean orders?")
        );
        assert_eq!(did_you_mean("quux", names), None);
        assert_eq!(
            did_you_mean(
                "DYNADUMP_PROTECT",
                ["DYNADUMP_ACCOUNT", "DYNADUMP_PROTECTED"]
            )
            .as_deref(),
            Some("did you mean DYNADUMP_PROTECTED?")
        );
    }
}
