//! The parts of the stub: tables of prepared pages, answers, and the sockets they go through.

pub mod answers;
pub mod bucket;
pub mod counted;
pub mod items;
pub mod pages;
pub mod partitions;
pub mod tables;
pub mod timeline;
