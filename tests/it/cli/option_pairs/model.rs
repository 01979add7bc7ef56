//! Model of options: their pairs, the items of the test table, and their effects on items.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

/// One option of a command, and what it means for the model `M` of a command line.
pub(crate) struct CommandOption<M> {
    pub(crate) words: &'static [&'static str],
    pub(crate) apply: fn(&mut M),
}

pub(crate) const fn option<M>(
    words: &'static [&'static str],
    apply: fn(&mut M),
) -> CommandOption<M> {
    CommandOption { words, apply }
}

/// Calls `check` with each pair that may stand on one command line: its words and its model. All pairs that fail are reported.
pub(crate) fn each_pair<M: Default>(
    options: &[CommandOption<M>],
    check: impl Fn(&[&'static str], &M),
) {
    let mut failed = Vec::new();
    for (at, first) in options.iter().enumerate() {
        for second in &options[at + 1..] {
            if is_one_option(first.words[0], second.words[0]) {
                continue;
            }

            let mut model = M::default();
            (first.apply)(&mut model);
            (second.apply)(&mut model);
            let words = [first.words, second.words].concat();
            if catch_unwind(AssertUnwindSafe(|| check(&words, &model))).is_err() {
                failed.push(words.join(" "));
            }
        }
    }

    assert!(
        failed.is_empty(),
        "{} pairs failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// Whether both are values of one option that may be given only once.
fn is_one_option(first: &str, second: &str) -> bool {
    let name = |words: &str| words.split('=').next().map(str::to_owned);
    name(first) == name(second) && name(first).as_deref() != Some("--transform")
}

/// Items of the table.
pub(crate) const ITEMS: usize = 60;

/// One item in DynamoDB JSON.
pub(crate) type Item = Value;

/// Items by their `id`.
pub(crate) type Items = BTreeMap<String, Item>;

/// What the options of one command line do to the items. Steps are applied in the order of the fields.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steps {
    /// `--filter-expression`: items with a smaller `n`.
    pub(crate) filter: Option<usize>,
    /// `--projection-expression`: these attributes, and the key.
    pub(crate) projection: Option<&'static [&'static str]>,
    /// `--where`: items with an even `n`.
    pub(crate) is_even: bool,
    /// `--transform`: items whose `n` ends with this digit are rejected.
    pub(crate) rejects: Option<usize>,
    /// `--transform`: items get the attribute `flag`.
    pub(crate) has_flag: bool,
    /// `--mask`: items lose the attribute `text`.
    pub(crate) drops_text: bool,
    /// `--limit`: at most this many items.
    pub(crate) limit: Option<usize>,
}

/// What comes out of the steps.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Every item that may come out; with a limit, the command chooses among them.
    pub(crate) items: Items,
    /// How many come out.
    pub(crate) count: usize,
    /// How many are rejected, if the command looks at every item.
    pub(crate) rejected: usize,
    /// Whether a limit stops the command before the end.
    pub(crate) is_cut: bool,
}

/// The item `n` of the table.
pub(crate) fn item(n: usize) -> Item {
    json!({
        "id": {"S": format!("item-{n:02}")},
        "n": {"N": n.to_string()},
        "group": {"S": format!("group-{}", n % 3)},
        "text": {"S": format!("the text of item {n} ü")},
    })
}

/// Every item of the table.
pub(crate) fn all_items() -> Items {
    by_id((0..ITEMS).map(item))
}

/// Items by their `id`; no two may have the same.
pub(crate) fn by_id(items: impl IntoIterator<Item = Item>) -> Items {
    let mut found = Items::new();
    for item in items {
        let id = item["id"]["S"]
            .as_str()
            .unwrap_or_else(|| panic!("an item without its key: {item}"))
            .to_owned();
        assert!(
            found.insert(id.clone(), item).is_none(),
            "{id} occurs twice"
        );
    }

    found
}

fn number(item: &Item) -> usize {
    item["n"]["N"]
        .as_str()
        .and_then(|digits| digits.parse().ok())
        .expect("every item has its number")
}

impl Steps {
    /// Applies the steps to `items`.
    pub(crate) fn apply(&self, items: &Items) -> Outcome {
        let mut out = Items::new();
        let mut rejected = 0;

        for (id, item) in items {
            let n = number(item);
            if self.filter.is_some_and(|bound| n >= bound) || (self.is_even && n % 2 == 1) {
                continue;
            }

            if self.rejects.is_some_and(|digit| n % 10 == digit) {
                rejected += 1;
                continue;
            }

            out.insert(id.clone(), self.changed(item));
        }

        let count = self.limit.map_or(out.len(), |limit| limit.min(out.len()));
        let is_cut = self.limit.is_some_and(|limit| limit < out.len());
        Outcome {
            items: out,
            count,
            rejected,
            is_cut,
        }
    }

    fn changed(&self, item: &Item) -> Item {
        let mut item = item.clone();
        let attributes = item.as_object_mut().expect("an item is an object");
        if let Some(paths) = self.projection {
            attributes.retain(|name, _| name == "id" || paths.contains(&name.as_str()));
        }

        if self.has_flag {
            attributes.insert("flag".to_owned(), json!({"BOOL": true}));
        }

        if self.drops_text {
            attributes.remove("text");
        }

        item
    }
}
