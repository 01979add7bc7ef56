//! Transforms: changed, selected and rejected items.

mod items;
