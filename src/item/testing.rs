//! Items for property tests: arbitrary ones of all ten types, and any of the ways to write them down.

use super::value::{AttributeValue, Attributes};
use ::base64::Engine;
use ::base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use std::fmt::Write as _;

/// The style in which an item is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Style {
    /// On one line without blanks, as DynamoDB does.
    Compact,
    /// Indented.
    Pretty,
    /// Blanks and escapes wherever JSON allows them, chosen by the seed.
    Random(u64),
}

/// Names and strings, nasty ones among them.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,12}",
        any::<String>(),
        "[\\x00-\\x1f\"\\\\{}\\[\\]:,.é😀\\u{2028}\\u{7f}]{0,70}",
        proptest::sample::select(vec![
            "\0",
            "\"Items\":[",
            "Items",
            "a.b",
            "S",
            "M",
            "",
            "\\",
            "\u{10ffff}"
        ])
        .prop_map(str::to_owned),
    ]
}

/// Numbers up to 38 digits at both ends of the exponents.
pub(crate) fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        "-?[1-9](\\.[0-9]{37})?E(-130|\\+?125)",
        "-?[0-9]{1,19}\\.[0-9]{1,19}",
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..40)
}

fn value() -> impl Strategy<Value = AttributeValue> {
    let leaf = prop_oneof![
        text().prop_map(AttributeValue::S),
        number().prop_map(AttributeValue::N),
        bytes().prop_map(AttributeValue::B),
        any::<bool>().prop_map(AttributeValue::Bool),
        Just(AttributeValue::Null),
        proptest::collection::vec(text(), 1..4).prop_map(AttributeValue::Ss),
        proptest::collection::vec(number(), 1..4).prop_map(AttributeValue::Ns),
        proptest::collection::vec(bytes(), 1..4).prop_map(AttributeValue::Bs),
    ];

    let nested = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::btree_map(text(), inner.clone(), 0..4)
                .prop_map(AttributeValue::M),
            proptest::collection::vec(inner, 0..4).prop_map(AttributeValue::L),
        ]
    });

    (nested, prop_oneof![9 => Just(0usize), 1 => 0..27usize]).prop_map(|(value, levels)| {
        (0..levels).fold(value, |value, level| match level % 2 {
            0 => AttributeValue::L(vec![value]),
            _ => AttributeValue::M(Attributes::from([("m".to_owned(), value)])),
        })
    })
}

/// An item with a key `pk` and some more.
pub(crate) fn item() -> impl Strategy<Value = Attributes> {
    (
        proptest::collection::btree_map(text(), value(), 0..6),
        text(),
    )
        .prop_map(|(mut item, key)| {
            item.insert("pk".to_owned(), AttributeValue::S(key));
            item
        })
}

/// The JSON text of an item.
pub(crate) fn render(item: &Attributes, style: Style) -> String {
    let mut writer = ItemWriter {
        out: String::new(),
        style,
        state: 1,
        indent: 0,
    };

    if let Style::Random(seed) = style {
        writer.state = seed | 1;
    }

    writer.map(item);

    writer.out
}

struct ItemWriter {
    out: String,
    style: Style,
    state: u64,
    indent: usize,
}

impl ItemWriter {
    /// A choice among `n`, from xorshift.
    fn choice(&mut self, n: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;

        (self.state >> 11) % n
    }

    fn gap(&mut self, new_line: bool) {
        match self.style {
            Style::Compact => {}
            Style::Pretty if new_line => {
                self.out.push('\n');
                self.out += &"  ".repeat(self.indent);
            }
            Style::Pretty => self.out.push(' '),
            Style::Random(_) => {
                for _ in 0..self.choice(3) {
                    let blank =
                        [" ", "\t", "\n", "\r\n"][usize::try_from(self.choice(4)).expect("small")];
                    self.out += blank;
                }
            }
        }
    }

    fn text(&mut self, text: &str) {
        if !matches!(self.style, Style::Random(_)) {
            self.out += &serde_json::to_string(text).expect("a string");
            return;
        }

        self.out.push('"');
        for character in text.chars() {
            if self.choice(4) == 0 {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(self.out, "\\u{unit:04x}").expect("a string takes everything");
                }
            } else {
                let json = serde_json::to_string(&character).expect("a character");
                self.out += &json[1..json.len() - 1];
            }
        }

        self.out.push('"');
    }

    fn series<T>(
        &mut self,
        brackets: [char; 2],
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        self.out.push(brackets[0]);
        self.indent += 1;
        let mut first = true;
        for item in items {
            if !std::mem::take(&mut first) {
                self.out.push(',');
            }

            self.gap(true);
            each(self, item);
        }

        self.indent -= 1;

        if !first {
            self.gap(true);
        }

        self.out.push(brackets[1]);
    }

    fn map(&mut self, attributes: &Attributes) {
        self.series(['{', '}'], attributes, |writer, (name, value)| {
            writer.text(name);
            writer.colon();
            writer.value(value);
        });
    }

    fn colon(&mut self) {
        if matches!(self.style, Style::Random(_)) {
            self.gap(false);
        }

        self.out.push(':');
        self.gap(false);
    }

    fn value(&mut self, value: &AttributeValue) {
        self.series(['{', '}'], [value], |writer, value| {
            let tag = match value {
                AttributeValue::S(_) => "S",
                AttributeValue::N(_) => "N",
                AttributeValue::B(_) => "B",
                AttributeValue::Bool(_) => "BOOL",
                AttributeValue::Null => "NULL",
                AttributeValue::M(_) => "M",
                AttributeValue::L(_) => "L",
                AttributeValue::Ss(_) => "SS",
                AttributeValue::Ns(_) => "NS",
                AttributeValue::Bs(_) => "BS",
            };

            writer.text(tag);
            writer.colon();
            writer.payload(value);
        });
    }

    fn payload(&mut self, value: &AttributeValue) {
        match value {
            AttributeValue::S(text) | AttributeValue::N(text) => self.text(text),
            AttributeValue::B(bytes) => self.text(&STANDARD.encode(bytes)),
            AttributeValue::Bool(value) => self.out += if *value { "true" } else { "false" },
            AttributeValue::Null => self.out += "true",
            AttributeValue::M(map) => self.map(map),
            AttributeValue::L(list) => self.series(['[', ']'], list, Self::value),
            AttributeValue::Ss(set) | AttributeValue::Ns(set) => {
                self.series(['[', ']'], set, |writer, text| writer.text(text));
            }
            AttributeValue::Bs(set) => self.series(['[', ']'], set, |writer, bytes| {
                writer.text(&STANDARD.encode(bytes));
            }),
        }
    }
}
