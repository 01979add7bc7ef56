//! One item as raw bytes: its end, key, size and digest, and its typed values on demand.
//!
//! Items are copied as the bytes that DynamoDB sent, without decoding: [`split_page`] splits a page into items and checks them,
//! [`KeySchema::extract`] reads the key and skips the rest. [`parse_item`], [`item_size`], [`item_digest`] and
//! [`validate`](fn@validate) read the values, each as a visitor of one pass over a strict lexer (`visit.rs`). No I/O, no async, and no dependency on AWS
//! except for the format of its JSON.

mod base64;
mod digest;
mod error;
mod expiry;
mod fast_validator;
mod index_keys;
mod json;
mod key;
mod key_hash;
mod number;
mod object_kind;
mod page;
mod sample;
mod shape_cache;
mod size;
mod split;
#[cfg(test)]
pub(crate) mod testing;
mod type_tag;
mod validate;
mod value;
mod visit;

pub use digest::item_digest;
pub use error::{ItemError, ItemErrorKind};
pub use expiry::Expiry;
pub use index_keys::IndexKeys;
pub use json::compact::{compact, has_line_breaks};
pub use json::scanner::{JsonScanError, JsonScanner, MAX_JSON_DEPTH, ScanStatus};
pub(crate) use key::KeyMembers;
pub use key::{Key, KeyAttribute, KeyError, KeySchema, KeyType};
pub use key_hash::KeyHashes;
pub use number::{NumberError, canonical_number};
pub use object_kind::{ObjectKind, has_key_type, object_kind};
pub use page::{PageKeys, split_page};
pub use sample::Sample;
pub use shape_cache::ShapeCache;
pub use size::{WRITE_UNIT, for_each_attribute_size, item_size, read_units, write_units};
pub(crate) use split::ItemsBuilder;
pub use split::{Items, SplitError, SplitResponse, split_items};
pub use validate::{check_object, validate};
pub use value::{AttributeValue, Attributes, parse_item};
