//! Copies that delete the items of the target that the source does not have.

use super::Scene;
use crate::support::client::{Client, numbered, s};
use crate::support::faults::{Fault, sometimes, with_text};

/// Deletes the items with these numbers.
fn delete(client: &Client, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        let key = s(format!("item-{number:06}"));
        client
            .ask(|sdk| sdk.delete_item().table_name("films").key("id", key).send())
            .expect("an item is deleted");
    }
}

#[test]
fn a_nightly_copy_loses_the_items_that_the_source_has_lost() {
    let scene = Scene::new(300, 2_000);
    scene.summary(&["--delete-extra"]);
    scene.is_equal();

    delete(&scene.source, (0..300).step_by(3));
    scene
        .source
        .put("films", numbered(302).into_iter().skip(298));
    let run = scene.project.copydb([
        "--from=here",
        "--to=there",
        "--yes",
        "--json",
        "--segments=4",
        "--delete-extra",
    ]);
    let run = run
        .exits(0)
        .says("items of table \"films\" that the source does not have will be deleted");
    let summary = run.report()["summary"].take();
    // Item 300 was written again.
    assert_eq!(summary["deleted"]["items"], 100, "{summary:#}");
    assert_eq!(summary["verified"]["extra"], 0, "{summary:#}");
    scene.is_equal();

    let again = scene.summary(&["--delete-extra"]);
    assert_eq!(again["deleted"]["items"], 0, "{again:#}");
}

#[test]
fn the_deletion_is_a_question_of_its_own() {
    let scene = Scene::new(5, 10);
    scene.summary(&[]);
    let copy = ["--from=here", "--to=there", "--delete-extra"];
    scene
        .project
        .copydb(copy)
        .exits(4)
        .says("items of table \"films\" that the source does not have will be deleted");
}

#[test]
fn keys_are_compared_through_the_transform() {
    let scene = Scene::new(40, 10);
    let options = ["--transform=.id.S = \"new-\" + .id.S", "--delete-extra"];
    scene.summary(&options);
    delete(&scene.source, 0..10);
    let summary = scene.summary(&options);
    assert_eq!(summary["deleted"]["items"], 10, "{summary:#}");
    assert_eq!(scene.target.items("films").len(), 30);
}

#[test]
fn with_a_part_of_the_source_nothing_is_deleted() {
    let scene = Scene::new(30, 10);
    scene.summary(&[]);
    for option in [
        "--limit=5",
        "--where=.id.S != \"x\"",
        "--sample=50%",
        "--filter-expression=attribute_exists(id)",
        "--schema-only",
        "--if-missing",
    ] {
        scene.copy(&["--delete-extra", option]).exits(2);
    }

    delete(&scene.source, 0..10);

    // A transform that leaves items out.
    let found = scene
        .copy(&[
            "--delete-extra",
            "--transform=if .id.S == \"item-000020\" then empty else . end",
        ])
        .exits(3)
        .report();
    let deleted = &found["summary"]["deleted"];
    assert_eq!(
        (&deleted["items"], &deleted["prevented"]),
        (&0.into(), &"1 item of the source was filtered out".into()),
        "{found:#}"
    );

    // Rejected items.
    scene.target_proxy.set([with_text(
        "BatchWriteItem",
        "\"item-000021\"",
        Fault::Refused(
            "ValidationException",
            "One or more parameter values were invalid",
        ),
    )]);
    let found = scene.copy(&["--delete-extra"]).exits(3);
    found.says("were not deleted: 1 item of the source was rejected");
    assert_eq!(scene.target.items("films").len(), 30);

    // An empty source is rather a mistake.
    scene.target_proxy.heal();
    delete(&scene.source, 10..30);
    scene
        .copy(&["--delete-extra"])
        .exits(3)
        .says("were not deleted: the source has no items");
    assert_eq!(scene.target.items("films").len(), 30);
    scene.summary(&["--delete-extra", "--allow-empty"]);
    scene.is_equal();
}

#[test]
fn errors_of_both_tables_delete_nothing_else() {
    let scene = Scene::new(200, 1_000);
    scene.summary(&[]);
    delete(&scene.source, 50..150);
    let storm = |operation| {
        [
            sometimes(operation, 15, 3, Fault::TableThrottled),
            sometimes(operation, 10, 5, Fault::CutInAnswer),
            sometimes(operation, 10, 7, Fault::Status(503)),
        ]
    };
    let mut target = storm("BatchWriteItem").to_vec();
    target.push(sometimes("BatchWriteItem", 20, 11, Fault::Unprocessed(3)));
    target.extend(storm("Scan"));
    scene.target_proxy.set(target);
    scene.source_proxy.set(storm("Scan").to_vec());
    let summary = scene.summary(&["--delete-extra", "--segments=3"]);
    assert_eq!(summary["verified"]["extra"], 0, "{summary:#}");
    scene.is_equal();
}

#[test]
fn a_source_that_cannot_be_read_again_deletes_nothing() {
    let scene = Scene::new(100, 100);
    scene.summary(&[]);
    delete(&scene.source, 0..50);
    // The first Scan is that of the copy.
    scene.source_proxy.set([crate::support::faults::calls(
        "Scan",
        scene.source_proxy.seen("Scan") + 2..=usize::MAX,
        Fault::Refused("AccessDeniedException", "no"),
    )]);
    scene.copy(&["--delete-extra", "--segments=1"]).exits(10);
    assert_eq!(scene.target.items("films").len(), 100);
}
