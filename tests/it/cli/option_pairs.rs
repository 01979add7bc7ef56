//! Pairs of options: each option with every other one, compared with a model of the dump, the table and the report.
//!
//! An option is its words on the command line and its effect on the model. The model knows nothing of how the commands work: it
//! filters and changes a list of items in the documented order (docs/TRANSFORM.md).

mod dump;
mod model;
mod restore;
