//! Copies of tables: `copydb`.

mod backup_route;
mod caps;
mod delete_extra;
mod env_file;
mod partitions;
mod resume;
mod resume_sets;
mod sets;
mod tables;
mod transform;

use serde_json::Value;

use crate::support::client::{Client, numbered, s};
use crate::support::engine::Engine;
use crate::support::faults::{Proxy, Rule};
use crate::support::project::{Project, Run};

/// A table `films` on one engine and none on another, each behind a proxy. The environments are `here` and `there`.
struct Scene {
    engines: [Engine; 2],
    source: Client,
    target: Client,
    source_proxy: Proxy,
    target_proxy: Proxy,
    project: Project,
}

impl Scene {
    /// `films` with items of about this many bytes.
    fn new(items: usize, bytes: usize) -> Self {
        Self::with_rules(items, bytes, Vec::new(), Vec::new())
    }

    fn with_rules(items: usize, bytes: usize, source: Vec<Rule>, target: Vec<Rule>) -> Self {
        let engines = [Engine::embedded(), Engine::embedded()];
        let [source_client, target_client] = [engines[0].client(), engines[1].client()];
        source_client.create_simple("films");
        let padding = "x".repeat(bytes);
        let padded = numbered(items).into_iter().map(|mut item| {
            item.insert("padding".to_owned(), s(&padding));
            item
        });
        for chunk in padded
            .collect::<Vec<_>>()
            .chunks((1_000_000 / bytes.max(1)).clamp(1, 25))
        {
            source_client.put("films", chunk.to_vec());
        }

        let source_proxy = Proxy::with_rules(&engines[0], source);
        let target_proxy = Proxy::with_rules(&engines[1], target);
        let project = Project::empty()
            .environment("here", source_proxy.url(), "films")
            .environment("there", target_proxy.url(), "films");

        Self {
            engines,
            source: source_client,
            target: target_client,
            source_proxy,
            target_proxy,
            project,
        }
    }

    fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
        ["--from=here", "--to=there", "--yes", "--json"]
            .iter()
            .chain(more)
            .copied()
            .collect()
    }

    /// Copies the table with these options.
    fn copy(&self, more: &[&str]) -> Run {
        self.project.copydb(Self::arguments(more))
    }

    /// The summary of a copy that succeeds.
    fn summary(&self, more: &[&str]) -> Value {
        self.copy(more).exits(0).report()["summary"].take()
    }

    /// Both tables have the same items.
    fn is_equal(&self) {
        assert_eq!(self.target.items("films"), self.source.items("films"));
    }
}
