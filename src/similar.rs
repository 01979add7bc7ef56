//! Suggestions for a name that does not exist.

/// Minimum similarity (Jaro-Winkler) of a suggested name.
const MIN_SIMILARITY: f64 = 0.7;
const MAX_SUGGESTIONS: usize = 5;

/// The names most similar to `wanted`, the best first.
pub(crate) fn similar_names<'a>(
    wanted: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Vec<&'a str> {
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
    rated
        .into_iter()
        .take(MAX_SUGGESTIONS)
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_suggested_best_first() {
        let names = ["orders", "Music", "music-archive", "zebra"];
        assert_eq!(similar_names("musik", names), ["Music", "music-archive"]);
        assert_eq!(similar_names("order", names), ["orders"]);
        assert!(similar_names("quux", names).is_empty());
    }
}
