//! Comparisons: verdicts on dumps and tables, differences between schemas.

mod schema_diff;
mod sets;
mod transformed;
mod verdicts;
