//! Comparisons: verdicts on dumps and tables, differences between schemas.

mod schema_diff;
mod transformed;
mod verdicts;
