//! Equal texts about several tables, shown once.

use crate::layout::names;

/// Texts with the tables to which they apply, in the order in which they first occur: `tables a, b: text`.
pub(crate) fn grouped<'a>(texts: impl Iterator<Item = (&'a String, String)>) -> Vec<String> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (table, text) in texts {
        match groups.iter_mut().find(|(known, _)| *known == text) {
            Some((_, tables)) => tables.push(table.clone()),
            None => groups.push((text, vec![table.clone()])),
        }
    }

    let lines = groups.into_iter();
    lines
        .map(|(text, tables)| {
            let noun = if tables.len() == 1 { "table" } else { "tables" };
            format!("{noun} {}: {text}", names(&tables, false))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_shown_once_with_their_tables() {
        let texts = [("a", "x"), ("b", "y"), ("c", "x"), ("d", "x")];
        let texts = texts.map(|(table, text)| (table.to_owned(), text.to_owned()));
        let texts = texts.iter().map(|(table, text)| (table, text.clone()));
        assert_eq!(grouped(texts), ["tables a, c, d: x", "table b: y"]);
    }
}
