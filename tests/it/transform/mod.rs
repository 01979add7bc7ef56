//! Transforms: changed, selected and rejected items.

mod dry_run;
mod events;
mod invalid;
mod key_change;
mod python;
mod rejects;
mod resume;
mod selection;
