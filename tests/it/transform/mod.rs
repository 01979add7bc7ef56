//! Transforms: items that are changed, selected and rejected on the way.

mod items;
