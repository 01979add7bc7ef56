//! Dumps: folder, formats, interrupted and partial dumps.

mod damaged_pages;
mod few_items;
mod folder;
mod foreign_formats;
mod golden_dumps;
mod page_compression;
mod partial;
pub(crate) mod resume;
mod resume_kills;
mod segments;
mod sets;
