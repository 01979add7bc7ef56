//! The commands as people run them: real processes in a temporary folder, against a real engine.
#![cfg(all(feature = "cli", feature = "embedded"))]

mod boost;
mod bucket;
mod conflicts;
mod conformance;
mod diff_schema;
mod dump;
mod environments;
mod failures;
mod faults;
mod formats;
mod golden;
mod interruptions;
mod layers;
mod mask;
mod matrix;
mod memory;
mod overrides;
mod prompts;
mod reach;
mod refusals;
mod report;
mod restore;
mod restore_resume;
mod resume;
mod resume_kills;
mod round_trip;
mod salvage;
mod segments;
mod settings;
mod settings_scripted;
mod snapshots;
mod support;
mod tls;
mod transform;
mod verify;
