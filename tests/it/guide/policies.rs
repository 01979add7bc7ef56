//! The policies in docs/permissions.md allow what the table above them lists.

use std::path::Path;

use serde_json::Value;

use crate::support::guide::pages;
use crate::support::permissions::{Actions, documented};

#[test]
fn each_policy_allows_the_actions_of_the_table_and_nothing_else() {
    let pages = pages();
    let page = pages
        .iter()
        .find(|page| page.path == Path::new("docs/permissions.md"))
        .expect("docs/permissions.md");
    let table = documented();
    for (heading, command) in [
        ("## A policy for dumps", "dumpdb"),
        ("## A policy for restores", "restoredb"),
    ] {
        let (_, section) = page.text.split_once(heading).expect(heading);
        let (_, policy) = section.split_once("```json\n").expect("a policy");
        let (policy, _) = policy.split_once("```").expect("the end of the policy");
        let policy: Value = serde_json::from_str(policy).expect("JSON");
        assert_eq!(actions(&policy), table[command].all(), "{heading}");
    }
}

/// The actions of all statements. An action is a string or an element of a list.
fn actions(policy: &Value) -> Actions {
    let statements = policy["Statement"].as_array().expect("statements");
    let named = statements.iter().flat_map(|statement| {
        let action = &statement["Action"];
        action
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![action.clone()])
    });

    named
        .map(|action| action.as_str().expect("an action").to_owned())
        .collect()
}
