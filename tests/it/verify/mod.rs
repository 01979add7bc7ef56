//! Comparisons: verdicts on dumps and tables, and differences between schemas.

mod schema_diff;
mod verdicts;
