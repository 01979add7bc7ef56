//! Text that identifies an item in files of rejects and in messages, without masked values.

use bytes::Bytes;

use crate::error::Result;
use crate::item::KeySchema;
use crate::place::LazyLinesFile;
use crate::transform::Transform;

/// Formats source items for files and messages. If values are masked, an item is identified by its key, provided that the key may be
/// shown.
pub(crate) struct ItemFormatter {
    transform: Transform,
    /// The key of the items in their source.
    key: KeySchema,
}

impl ItemFormatter {
    /// A formatter for items that have this key in their source.
    pub(crate) fn new(transform: Transform, key: KeySchema) -> Self {
        Self { transform, key }
    }

    /// Appends a line `{"reason":…,"item":…}`, or `{"reason":…,"key":…}` if values are masked. With a transform, the outputs that the
    /// table refused follow as `"output":[…]`.
    pub(crate) fn append_rejected(
        &self,
        lines: &mut LazyLinesFile,
        reason: &str,
        item: &[u8],
        outputs: &[Bytes],
    ) -> Result<()> {
        // Without a transform, the output is the item itself, which is already in the line.
        let outputs =
            Some(outputs).filter(|outputs| !self.transform.is_empty() && !outputs.is_empty());
        if self.transform.masks().is_none() {
            return lines.append_with_reason(reason, "item", item, outputs);
        }

        let key = self.transform.displayable_key(item, &self.key);
        lines.append_with_reason(
            reason,
            "key",
            key.as_deref().unwrap_or("null").as_bytes(),
            outputs,
        )
    }

    /// Whether the key of an item contains masked values and must not be written to disk.
    pub(crate) fn is_key_masked(&self, item: &[u8]) -> bool {
        self.transform.masks().is_some()
            && self.transform.displayable_key(item, &self.key).is_none()
    }

    /// The JSON value for a file of rejects that represents text which is not an item.
    pub(crate) fn format_invalid(&self, text: &[u8]) -> String {
        // Text that cannot be parsed cannot be searched for masked values.
        if self.transform.masks().is_some() {
            return "null".to_owned();
        }

        serde_json::Value::from(String::from_utf8_lossy(text)).to_string()
    }

    /// A short label for an error message: the item's key, otherwise the beginning of its text.
    pub(crate) fn label(&self, item: &[u8], key: &KeySchema) -> String {
        const MAX_CHARACTERS: usize = 200;

        let without_key = || match self.transform.masks() {
            Some(_) => "(key not shown: it contains masked values)".to_owned(),
            None => String::from_utf8_lossy(item)
                .chars()
                .take(MAX_CHARACTERS)
                .collect(),
        };

        self.transform
            .displayable_key(item, key)
            .unwrap_or_else(without_key)
    }
}
