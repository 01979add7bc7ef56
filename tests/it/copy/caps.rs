//! Copies keep to the caps on the units of both tables.

use std::sync::Arc;

use super::Scene;
use crate::support::bucket::Bucket;
use crate::support::faults::{Fault, always};

const UNITS: f64 = 100.0;
const CAPS: [&str; 3] = ["--max-rcu=100", "--max-wcu=100", "--verify=none"];

/// Records the units of both tables, which have plenty of capacity.
fn measured(scene: &Scene) -> [Arc<Bucket>; 2] {
    let buckets = [(); 2].map(|()| Arc::new(Bucket::new(1e6)));
    let rule = |operation, bucket| always(operation, Fault::Capacity(Arc::clone(bucket)));
    scene.source_proxy.set([rule("Scan", &buckets[0])]);
    scene
        .target_proxy
        .set([rule("BatchWriteItem", &buckets[1])]);

    buckets
}

#[test]
fn a_cap_on_writes_is_kept() {
    // Each item is one write unit.
    let scene = Scene::new(1_500, 300);
    let [_, writes] = measured(&scene);
    scene
        .copy(&CAPS)
        .exits(0)
        .says("at most 100 read units per second")
        .says("at most 100 write units per second");
    scene.is_equal();
    writes.assert_kept(UNITS);
}

#[test]
fn a_cap_on_reads_is_kept() {
    // With consistent reads, each item is one read unit.
    let scene = Scene::new(1_400, 3_900);
    let [reads, _] = measured(&scene);
    scene
        .copy(&["--max-rcu=100", "--verify=none", "--consistent-read"])
        .exits(0);
    scene.is_equal();
    reads.assert_kept(UNITS);
}
