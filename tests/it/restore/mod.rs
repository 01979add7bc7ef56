//! Restores: tables, items, settings, interruptions.

pub(crate) mod backup_route;
mod capacity_boost;
mod concurrent_changes;
mod cost;
mod default_caps;
mod deleting_tables;
mod embedded;
mod empty_sources;
mod expired_items;
mod global_tables;
mod if_empty;
mod incomplete_input;
mod item_accounting;
mod late_indexes;
mod managed_backups;
mod on_conflict;
mod one_at_a_time;
mod overrides;
mod restoring_tag;
mod resume;
mod salvage;
mod sets;
mod settings;
mod settings_scripted;
mod tables;
mod unfinished_journal;
