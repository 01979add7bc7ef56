//! Copies whose items are transformed on the way.

use super::Scene;
use crate::support::faults::Fault;
use crate::support::faults::with_text;

#[test]
fn a_transformed_copy_is_compared_through_the_transform() {
    let scene = Scene::new(80, 100);
    let summary = scene.summary(&["--transform=.new = {S: .id.S}", "--verify=full"]);
    assert_eq!(summary["items_changed"], 80, "{summary:#}");
    assert_eq!(summary["verified"]["equal"], 80, "{summary:#}");
    assert_eq!(scene.target.items("films").len(), 80);

    let where_ = scene.summary(&["--replace", "--where=.id.S != \"3\"", "--verify=full"]);
    assert_eq!(
        where_["items_written"], where_["verified"]["equal"],
        "{where_:#}"
    );
    assert_eq!(where_["verified"]["missing"], 0, "{where_:#}");
}

#[test]
fn a_copy_through_a_python_function_is_compared_through_the_function() {
    let scene = Scene::new(40, 20);
    let code = "def f(item):\n    return {**item, 'new': item['id']}\n";
    scene.project.write("t.py", code);
    let summary = scene.summary(&["--transform-python=t.py:f", "--verify=full"]);
    assert_eq!(summary["items_changed"], 40, "{summary:#}");
    assert_eq!(summary["verified"]["equal"], 40, "{summary:#}");
}

#[test]
fn a_copy_with_another_key_schema_is_verified() {
    let scene = Scene::new(40, 20);
    let summary = scene.summary(&[
        "--transform=.name = .id | del(.id)",
        "--key-schema=name:S",
        "--verify=full",
    ]);
    assert_eq!(summary["verified"]["equal"], 40, "{summary:#}");
    assert_eq!(scene.target.items("films").len(), 40);
}

#[test]
fn rejected_items_are_listed_in_the_state_directory() {
    let scene = Scene::new(30, 10);
    scene.target_proxy.set([with_text(
        "BatchWriteItem",
        "item-000007",
        Fault::Refused(
            "ValidationException",
            "One or more parameter values were invalid",
        ),
    )]);
    let found = scene.copy(&[]).exits(3).report();
    let summary = &found["summary"];
    let count = summary["items_rejected"].as_u64().expect("a count");
    assert!(count > 0, "{summary:#}");
    let file = summary["rejects_file"].as_str().expect("a file");
    assert!(file.contains(".local/state/dynadump"), "{file}");
    let lines = std::fs::read_to_string(file).expect("the file");
    assert_eq!(lines.lines().count() as u64, count, "{lines}");
}

#[test]
fn the_journal_of_a_copy_with_masked_keys_contains_no_keys() {
    let scene = Scene::new(200, 5_000);
    let rules = "[[rule]]\npath = 'id'\naction = 'hash'\n";
    scene.project.write("rules.toml", rules);
    scene.project.write("key", "0123456789abcdef\n");
    scene.target_proxy.hold("BatchWriteItem", 5..);
    let options = ["--mask=rules.toml", "--mask-key-file=key"];
    let mut child = crate::support::process::spawn_silent(
        scene.project.command("copydb", Scene::arguments(&options)),
    );
    crate::support::client::poll("the copy writes", || {
        scene.target_proxy.seen("BatchWriteItem") > 5
    });
    child.kill().expect("a child can be killed");
    child.wait().expect("a child can be waited for");
    scene.target_proxy.release();

    let journals = crate::support::journal::journals(&scene.project);
    assert_eq!(journals.len(), 1, "{journals:?}");
    let journal = crate::support::journal::read(&scene.project, &journals[0]);
    assert!(journal["restore"]["progress"].is_null(), "{journal:#}");

    let summary = scene.summary(&options);
    assert_eq!(summary["verified"]["equal"], 200, "{summary:#}");
}
