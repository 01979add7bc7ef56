//! Writes of a copy are spread over the partitions of the target: the requests in flight contain items of many segments.

use std::collections::HashMap;

use dynoxide::ImportOptions;
use serde_json::{Value, json};

use super::Scene;
use crate::support::client::poll;
use crate::support::faults::{Fault, always, size_for};
use crate::support::process::spawn_silent;

const WRITE: &str = "BatchWriteItem";
const SEGMENTS: usize = 64;
const ITEMS: usize = 70 * SEGMENTS;

/// Requests to write before those that are compared: by then, pages of many segments were read.
const FIRST_CALLS: usize = 60;

/// A source whose pages have more items than the requests in flight.
fn with_small_items() -> Scene {
    let scene = Scene::new(0, 0);
    let items = (0..ITEMS).map(|number| {
        serde_json::from_value(json!({"id": {"S": format!("item-{number:05}")}})).expect("an item")
    });
    let database = scene.engines[0].database();
    let imported = database.import_items("films", items.collect(), ImportOptions::default());
    imported.expect("the engine takes the items");
    scene
        .source_proxy
        .set([always("DescribeTable", Fault::Changed(size_for(32)))]);

    scene
}

/// The segment of each item, by its key.
fn segments(scene: &Scene) -> HashMap<String, usize> {
    let mut segments = HashMap::new();
    for segment in 0..SEGMENTS {
        let number = |number: usize| i32::try_from(number).expect("a small number");
        let page = scene.source.ask(|sdk| {
            sdk.scan()
                .table_name("films")
                .segment(number(segment))
                .total_segments(number(SEGMENTS))
                .send()
        });
        for item in page.expect("a page").items() {
            segments.insert(item["id"].as_s().expect("a string").clone(), segment);
        }
    }

    assert_eq!(segments.len(), ITEMS);
    segments
}

fn keys(request: &Value) -> impl Iterator<Item = &str> {
    let puts = request["RequestItems"]["films"].as_array().expect("puts");
    puts.iter().map(|put| {
        put["PutRequest"]["Item"]["id"]["S"]
            .as_str()
            .expect("a key")
    })
}

#[test]
fn the_requests_in_flight_are_of_many_segments() {
    let scene = with_small_items();
    let segments = segments(&scene);
    for transform in [None, Some("--transform=.copied = {BOOL: true}")] {
        scene.target.delete_if_there("films");
        let first = scene.target_proxy.seen(WRITE) + FIRST_CALLS;
        scene.target_proxy.hold(WRITE, first..);
        let options: Vec<&str> = ["--verify=none"].into_iter().chain(transform).collect();
        let mut copy = spawn_silent(scene.project.command("copydb", Scene::arguments(&options)));
        poll("the copy writes", || {
            scene.target_proxy.seen(WRITE) >= first + 7
        });

        let calls = scene.target_proxy.calls();
        let writes = calls.iter().filter(|call| call.operation == WRITE);
        let mut in_flight = HashMap::<usize, usize>::new();
        for call in writes.skip(first - 1) {
            let mut of_call: Vec<usize> = keys(&call.body).map(|key| segments[key]).collect();
            of_call.dedup();
            assert_eq!(of_call.len(), 1, "one request is of one segment");
            *in_flight.entry(of_call[0]).or_default() += 1;
        }

        assert!(
            in_flight.values().all(|requests| *requests <= 2),
            "a segment has more than two requests in flight: {in_flight:?}"
        );

        scene.target_proxy.release();
        assert!(copy.wait().expect("it ends").success());
        assert_eq!(scene.target.items("films").len(), ITEMS);
    }
}
